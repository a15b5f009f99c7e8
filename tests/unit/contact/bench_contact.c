/* What the contact room adds to a webhook and to a send, in nanoseconds of CPU: the best of several
 * rounds. Not a ctest case; tests/results/contact.md has the command. */
#include "../keyring/help.h"

#include <sodium.h>
#include <stdio.h>
#include <time.h>

#include "../store/support.h"
#include "sluis/base/clock.h"
#include "sluis/contact.h"

#define ROUNDS 7
#define CALLS 200000u

static struct contacts *contacts;
static struct store *store;
static const char *const words[] = {"stop", "stop aub", "afmelden", "uitschrijven", "unsubscribe"};

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void measure(const char *name, unsigned calls, void (*call)(unsigned i))
{
    double best = 0;
    for (int round = 0; round < ROUNDS; round++) {
        double from = now_ns();
        for (unsigned i = 0; i < calls; i++)
            call(i);
        double each = (now_ns() - from) / calls;
        best = round == 0 || each < best ? each : best;
    }
    printf("%-52s %9.0f ns\n", name, best);
}

static void note_same(unsigned i)
{
    contact_note_in(contacts, (struct contact_id){1, 1 + i % 1000}, 1000 + i);
}

static void note_many(unsigned i)
{
    contact_note_in(contacts, (struct contact_id){1, 1 + i % 150000}, 1000 + i);
}

static void stop_long(unsigned i)
{
    (void)i;
    if (contact_is_stop_word(words, 5, SPAN("Goedemiddag, ik wil graag mijn parkeervergunning")))
        abort();
}

static void stop_short(unsigned i)
{
    (void)i;
    if (contact_is_stop_word(words, 5, SPAN("Dank u wel!")))
        abort();
}

static void language(unsigned i)
{
    (void)i;
    if (contact_language(SPAN("Goedemiddag, ik wil graag mijn parkeervergunning verlengen."),
                         SPAN("31612345678")) != CONTACT_DUTCH)
        abort();
}

static void consents(unsigned i)
{
    (void)contact_consents(contacts, (struct contact_id){1, 1 + i % 1000});
}

static void read_none(unsigned i)
{
    static struct contact_state state;
    if (contact_read(contacts, (struct contact_id){2, 1 + i % 1000}, &state) != 0)
        abort();
}

static void read_five(unsigned i)
{
    static struct contact_state state;
    (void)i;
    if (contact_read(contacts, (struct contact_id){3, 5}, &state) != 0 || state.notice_count != 5)
        abort();
}

static void window(unsigned i)
{
    enum contact_window w;
    if (contact_window(contacts, (struct contact_id){1, 1 + i % 1000}, clock_wall_ms(), &w) != 0)
        abort();
}

int main(void)
{
    struct place place;
    char folder[256];
    struct keyring *keyring;
    if (sodium_init() < 0)
        return 1;
    place_make(&place);
    test_folder(folder);
    if (place_open(&place, true, &keyring) != 0)
        return 1;
    store = test_store(folder);
    if (contacts_open(store, keyring, &contacts) != 0)
        return 1;
    for (unsigned i = 0; i < 5; i++) {
        char name[32];
        struct contact_change *change;
        snprintf(name, sizeof(name), "n%u", i);
        if (contact_noticed(contacts, (struct contact_id){3, 5}, span_str(name), 1000, &change) ||
            contact_apply(contacts, change))
            return 1;
        contact_change_free(change);
    }
    printf("every message that comes in:\n");
    measure("  remembering when, 1,000 contacts", CALLS, note_same);
    measure("  remembering when, 150,000 contacts (half forgotten)", CALLS, note_many);
    measure("  is it a stop word: a sentence", CALLS, stop_long);
    measure("  is it a stop word: a short text", CALLS, stop_short);
    printf("where the policy has notices, or conditions on consent:\n");
    measure("  its language", CALLS / 10, language);
    measure("  did they consent: remembered", CALLS, consents);
    printf("every message that goes out:\n");
    measure("  what is on record: nothing", CALLS / 10, read_none);
    measure("  what is on record: five facts", CALLS / 10, read_five);
    measure("  the window: remembered", CALLS, window);
    contacts_close(contacts);
    store_close(store);
    keyring_close(keyring);
    test_folder_remove(folder);
    place_remove(&place);
    return 0;
}

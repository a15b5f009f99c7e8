/*
 * Enrolment: persons come, are enrolled anew, choose a password, are confirmed, go.
 *
 * Who enrols somebody sees the secret and could sign in as that person. So from the moment that
 * there were two officers, who is added or enrolled anew has no rights until an officer, another
 * than who did it, confirms it: whoever may add persons cannot be two officers alone.
 */
#include "people.h"

#include <stdlib.h>
#include <strings.h>

#include "sluis/base/clock.h"
#include "sluis/base/encode.h"

#define ONE_TIME_BYTES 15 /* 120 random bits: 24 characters of base32 */

static int password_hash(const struct people *people, struct span password,
                         char hash[crypto_pwhash_STRBYTES])
{
    if (password.n < ACCESS_PASSWORD_MIN || password.n > ACCESS_PASSWORD_MAX)
        return SLUIS_EINVAL;
    memset(hash, 0, crypto_pwhash_STRBYTES);
    return crypto_pwhash_str_alg(hash, password.p, password.n, people->ops, people->mem,
                                 crypto_pwhash_ALG_ARGON2ID13)
               ? SLUIS_ENOMEM
               : 0;
}

/* A new secret, and a one-time password unless one was given. */
static int enrol(const struct people *people, struct person_row *row, struct span password,
                 int64_t now_ms, struct access_enrolment *out)
{
    uint8_t random[ONE_TIME_BYTES];
    struct buffer text;
    memset(out, 0, sizeof(*out));
    randombytes_buf(row->secret, sizeof(row->secret));
    row->last_step = 0;
    row->person.one_time_until_ms = 0;
    buffer_init(&text, 512);
    if (password.n == 0) {
        randombytes_buf(random, sizeof(random));
        base32_encode(span_of(random, sizeof(random)), &text);
        memcpy(out->password, text.p, text.n < sizeof(out->password) ? text.n : 0);
        buffer_clear(&text);
        password = span_str(out->password);
        row->person.one_time_until_ms = now_ms + ACCESS_ENROL_MS;
    }
    buffer_addf(&text, "otpauth://totp/Sluis:%s?secret=", row->person.name);
    base32_encode(span_of(row->secret, sizeof(row->secret)), &text);
    buffer_add_str(&text, "&issuer=Sluis&algorithm=SHA1&digits=6&period=30");
    int result = text.error ? text.error : password_hash(people, password, row->hash);
    if (!result && text.n < sizeof(out->uri))
        memcpy(out->uri, text.p, text.n);
    buffer_free(&text);
    sodium_memzero(random, sizeof(random));
    return result;
}

/* The oldest who was removed makes room when the table is full; 0: nobody has to. Under `lock`. */
static int find_room(const struct people *people, uint64_t *gone)
{
    *gone = 0;
    if (people->person_count < ACCESS_PERSONS_MAX)
        return 0;
    for (unsigned i = 0; i < people->person_count; i++) {
        const struct person_row *row = &people->persons[i];
        if (row->person.removed && !row->due) {
            *gone = row->person.id;
            return 0;
        }
    }
    return SLUIS_ELIMIT;
}

static bool name_taken(struct people *people, const char *name)
{
    for (unsigned i = 0; i < people->person_count; i++) {
        const struct person_row *row = &people->persons[i];
        if ((!row->person.removed || row->due) && strcmp(row->person.name, name) == 0)
            return true;
    }
    return false;
}

static void person_put(struct people *people, const struct person_row *row, uint64_t gone)
{
    pthread_mutex_lock(&people->lock);
    if (gone) {
        unsigned at = (unsigned)(person_by_id(people, gone) - people->persons);
        memmove(&people->persons[at], &people->persons[at + 1],
                (people->person_count - at - 1) * sizeof(*people->persons));
        people->person_count--;
    }
    people->persons[people->person_count++] = *row;
    pthread_mutex_unlock(&people->lock);
}

bool access_name_free(const char *name)
{
    static const char *const words[] = {"operator", "gateway", "installer", "stricter",
                                        "file",     "unknown", "anyone"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcasecmp(name, words[i]) == 0)
            return false;
    return true;
}

/* Two officers are remembered when there are two, not when somebody asks. Not under a lock. */
void officers_look(struct access *access)
{
    (void)access_governed(access, POLICY_MAY_APPROVE, clock_wall_ms());
    (void)access_governed(access, POLICY_MAY_ROLES, clock_wall_ms());
}

/* Who sees the secret, and whether somebody else has to vouch for it. Not under a lock. */
static void enrolled_by(struct access *access, struct person *person, const char *by, int64_t at_ms)
{
    snprintf(person->enrolled_by, sizeof(person->enrolled_by), "%s", by);
    person->confirmed_by[0] = '\0';
    person->confirmed_ms = 0;
    person->waits = access_governed(access, POLICY_MAY_APPROVE, at_ms) ||
                    access_governed(access, POLICY_MAY_ROLES, at_ms);
}

int access_person_add(struct access *access, const char *name, const char *added_by,
                      struct span password, struct access_enrolment *out)
{
    struct people *people = people_of(access);
    struct person_row row = {.last_step = 0};
    uint64_t gone = 0;
    memset(out, 0, sizeof(*out));
    if (!token_name_valid(name) || !access_name_free(name) || strlen(added_by) >= ACCESS_NAME_SIZE)
        return SLUIS_EINVAL;
    snprintf(row.person.name, sizeof(row.person.name), "%s", name);
    snprintf(row.person.added_by, sizeof(row.person.added_by), "%s", added_by);
    row.person.created_ms = clock_wall_ms();
    enrolled_by(access, &row.person, added_by, row.person.created_ms);
    int result = enrol(people, &row, password, row.person.created_ms, out);
    if (result)
        goto wipe;
    pthread_mutex_lock(&people->change); /* only its holders add or remove */
    pthread_mutex_lock(&people->lock);
    result = name_taken(people, name) ? SLUIS_EEXIST : find_room(people, &gone);
    row.person.id = people->next_person;
    people->next_person += result == 0;
    pthread_mutex_unlock(&people->lock);
    if (!result)
        result = person_commit(people, &row, gone);
    if (!result) {
        person_put(people, &row, gone);
        out->id = row.person.id;
    }
    pthread_mutex_unlock(&people->change);
wipe:
    sodium_memzero(&row, sizeof(row));
    if (result)
        sodium_memzero(out, sizeof(*out));
    return result;
}

/* Changes a person: `next` goes to the store, then to memory. Under `change`. */
static int person_replace(struct people *people, const struct person_row *next)
{
    int result = person_commit(people, next, 0);
    if (result)
        return result;
    pthread_mutex_lock(&people->lock);
    struct person_row *row = person_by_id(people, next->person.id);
    *row = *next;
    sessions_end(people, next->person.id, NULL);
    pthread_mutex_unlock(&people->lock);
    return 0;
}

static bool person_copy(struct people *people, uint64_t id, struct person_row *out)
{
    pthread_mutex_lock(&people->lock);
    const struct person_row *row = person_by_id(people, id);
    bool found = row && !row->person.removed;
    if (found)
        *out = *row;
    pthread_mutex_unlock(&people->lock);
    return found;
}

int access_person_reset(struct access *access, uint64_t id, const char *by,
                        struct access_enrolment *out)
{
    struct people *people = people_of(access);
    struct person_row row;
    struct person anew;
    const int64_t now = clock_wall_ms();
    memset(out, 0, sizeof(*out));
    if (strlen(by) >= ACCESS_NAME_SIZE)
        return SLUIS_EINVAL;
    enrolled_by(access, &anew, by, now);
    pthread_mutex_lock(&people->change);
    int result = person_copy(people, id, &row) ? 0 : SLUIS_ENOENT;
    if (!result) {
        memcpy(row.person.enrolled_by, anew.enrolled_by, sizeof(anew.enrolled_by));
        row.person.confirmed_by[0] = '\0';
        row.person.confirmed_ms = 0;
        row.person.waits = row.person.waits || anew.waits;
        result = enrol(people, &row, SPAN_EMPTY, now, out);
    }
    if (!result)
        result = person_replace(people, &row);
    pthread_mutex_unlock(&people->change);
    out->id = id;
    if (result)
        sodium_memzero(out, sizeof(*out));
    sodium_memzero(&row, sizeof(row));
    return result;
}

int access_person_confirm(struct access *access, uint64_t id, const char *by, bool alone)
{
    struct people *people = people_of(access);
    struct person_row row;
    pthread_mutex_lock(&people->change);
    int result = person_copy(people, id, &row) ? 0 : SLUIS_ENOENT;
    if (!result && !row.person.waits)
        result = SLUIS_EEXIST;
    else if (!result && row.person.one_time_until_ms)
        result = SLUIS_EAGAIN; /* who has the one-time password could still be anybody */
    else if (!result && strcmp(row.person.name, by) == 0)
        result = SLUIS_EDENIED;
    else if (!result && !alone && strcmp(row.person.enrolled_by, by) == 0)
        result = SLUIS_EDENIED;
    if (!result) {
        row.person.waits = false;
        row.person.confirmed_ms = clock_wall_ms();
        snprintf(row.person.confirmed_by, sizeof(row.person.confirmed_by), "%s", by);
        result = person_commit(people, &row, 0);
    }
    if (!result) { /* sessions go on: from now on they may do something */
        pthread_mutex_lock(&people->lock);
        struct person_row *now = person_by_id(people, id);
        now->person = row.person;
        pthread_mutex_unlock(&people->lock);
    }
    pthread_mutex_unlock(&people->change);
    sodium_memzero(&row, sizeof(row));
    if (!result)
        officers_look(access);
    return result;
}

int access_person_password(struct access *access, uint64_t id, struct span password)
{
    struct people *people = people_of(access);
    struct person_row row;
    pthread_mutex_lock(&people->change);
    int result = person_copy(people, id, &row) ? 0 : SLUIS_ENOENT;
    if (!result &&
        crypto_pwhash_str_verify(row.hash, password.p ? password.p : "", password.n) == 0)
        result = SLUIS_EINVAL; /* the same again: a one-time password would live on */
    if (!result)
        result = password_hash(people, password, row.hash);
    row.person.one_time_until_ms = 0;
    if (!result)
        result = person_replace(people, &row);
    pthread_mutex_unlock(&people->change);
    sodium_memzero(&row, sizeof(row));
    if (!result)
        officers_look(access);
    return result;
}

int access_person_remove(struct access *access, uint64_t id)
{
    struct people *people = people_of(access);
    struct person_row copy;
    officers_look(access);
    pthread_mutex_lock(&people->change);
    pthread_mutex_lock(&people->lock);
    struct person_row *row = person_by_id(people, id);
    if (row) {
        row->person.removed = true; /* at once, before it is durable */
        row->due = true;            /* until it is: people_flush tries again */
        sodium_memzero(row->hash, sizeof(row->hash));
        sodium_memzero(row->secret, sizeof(row->secret));
        sessions_end(people, id, NULL);
        copy = *row;
    }
    pthread_mutex_unlock(&people->lock);
    int result = row ? person_gone(people, &copy) : SLUIS_ENOENT;
    pthread_mutex_unlock(&people->change);
    return result;
}

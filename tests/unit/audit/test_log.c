/* The running log: checkpoints in a file, what a start refuses, exports that verify. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../store/support.h"
#include "sluis/audit.h"
#include "sluis/base/clock.h"

#define ORIGIN "sluis/00112233445566778899aabbccddeeff"

static const uint8_t seed[NOTE_SEED] = {5, 5};
static char folder[256], file[300];

struct put {
    struct store_job job;
    unsigned first, n;
    const char *actor;
};

static int put_leaves(struct store_txn *txn, struct store_job *job)
{
    const struct put *p = (const struct put *)job;
    for (unsigned i = 0; i < p->n; i++) {
        const struct audit_event event = {.at_ms = 1795300205123 + (p->first + i) * 1000,
                                          .action = i % 3 ? AUDIT_DELIVER : AUDIT_SEND,
                                          .actor = p->actor,
                                          .object = p->first + i + 1,
                                          .outcome = i % 2 ? "delivered" : "refused"};
        audit_put(txn, &event);
    }
    return store_txn_error(txn);
}

static void put(struct store *store, unsigned first, unsigned n, const char *actor)
{
    struct put p = {.job = {.priority = STORE_NORMAL, .run = put_leaves},
                    .first = first,
                    .n = n,
                    .actor = actor};
    assert_int_equal(store_submit_wait(store, &p.job), 0);
}

static int open_log(struct store *store, bool accept, struct audit_log **log, struct diag *diag)
{
    const struct audit_log_config config = {
        .store = store, .seed = seed, .origin = ORIGIN, .file = file, .accept = accept};
    *diag = (struct diag){.text = ""};
    return audit_log_open(&config, log, diag);
}

static unsigned checkpoints(void)
{
    struct note_key key;
    struct span rest, note;
    struct checkpoint c;
    static char text[1 << 20];
    uint64_t before = 0;
    unsigned n = 0;
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? 0 : read(fd, text, sizeof(text));
    if (fd >= 0)
        close(fd);
    assert_int_equal(note_key_of_seed(SPAN(ORIGIN), seed, &key), 0);
    rest = span_of(text, (size_t)got);
    while (note_next(&rest, &note) == 0) {
        assert_int_equal(checkpoint_open(note, &key, &c), 0);
        assert_true(c.size >= before);
        assert_true(span_starts(c.extension, SPAN("time 20")));
        before = c.size;
        n++;
    }
    assert_int_equal(rest.n, n ? 1 : 0);
    return n;
}

static int setup(void **state)
{
    (void)state;
    test_folder(folder);
    snprintf(file, sizeof(file), "%s.checkpoints", folder);
    unlink(file);
    return sodium_init() < 0;
}

static int teardown(void **state)
{
    (void)state;
    test_folder_remove(folder);
    unlink(file);
    return 0;
}

static void test_start(void **state)
{
    (void)state;
    struct store *store = test_store(folder);
    struct audit_log *log;
    struct diag diag;
    put(store, 0, 130, "gateway");
    assert_int_equal(open_log(store, false, &log, &diag), 0);
    assert_int_equal(audit_log_checkpoint(log, NULL), 0);
    assert_int_equal(audit_log_checkpoint(log, NULL), 0); /* nothing new */
    assert_int_equal(checkpoints(), 1);
    put(store, 130, 1, "gateway");
    assert_int_equal(audit_log_checkpoint(log, NULL), 0);
    assert_int_equal(checkpoints(), 2);
    audit_log_close(log);
    /* The thread makes one at its start, close the last. */
    assert_int_equal(open_log(store, false, &log, &diag), 0);
    assert_int_equal(audit_log_start(log), 0);
    put(store, 131, 5, "gateway");
    audit_log_close(log);
    assert_true(checkpoints() >= 3);
    assert_int_equal(open_log(store, false, &log, &diag), 0);
    audit_log_close(log);
    store_close(store);
}

/* A log with fewer leaves, with another leaf, of another key: refused, unless an operator says so.
 */
static void test_refused(void **state)
{
    (void)state;
    struct store *store = test_store(folder);
    struct audit_log *log;
    struct diag diag;
    char text[512];
    put(store, 0, 130, "gateway");
    assert_int_equal(open_log(store, false, &log, &diag), 0);
    assert_int_equal(audit_log_checkpoint(log, NULL), 0);
    audit_log_close(log);
    store_close(store);
    test_folder_remove(folder);

    store = test_store(folder);
    put(store, 0, 129, "gateway");
    assert_int_equal(open_log(store, false, &log, &diag), SLUIS_EDENIED);
    assert_non_null(strstr(diag.text, "shorter"));
    put(store, 129, 1, "gateway");
    assert_int_equal(open_log(store, false, &log, &diag), SLUIS_EDENIED);
    assert_non_null(strstr(diag.text, "not the one"));
    put(store, 130, 70, "gateway");
    assert_int_equal(open_log(store, false, &log, &diag), SLUIS_EDENIED);
    assert_non_null(strstr(diag.text, "not the one"));
    assert_int_equal(open_log(store, true, &log, &diag), 0);
    audit_log_close(log);
    /* The file of another log. */
    int fd = open(file, O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_int_equal(write(fd, "hello\n", 6), 6);
    close(fd);
    assert_int_equal(open_log(store, false, &log, &diag), SLUIS_EDENIED);
    assert_non_null(strstr(diag.text, "none of this access log"));
    assert_string_equal(diag_line(&diag, text, sizeof(text)) ? diag.file : "", file);
    store_close(store);
}

/* A crash in the middle of an append, at every byte: the next start cuts it off and goes on. */
static void test_torn(void **state)
{
    (void)state;
    struct store *store = test_store(folder);
    struct audit_log *log;
    struct diag diag;
    struct stat one, two;
    put(store, 0, 3, "gateway");
    assert_int_equal(open_log(store, false, &log, &diag), 0);
    assert_int_equal(audit_log_checkpoint(log, NULL), 0);
    assert_int_equal(stat(file, &one), 0);
    put(store, 3, 3, "gateway");
    assert_int_equal(audit_log_checkpoint(log, NULL), 0);
    audit_log_close(log);
    assert_int_equal(stat(file, &two), 0);
    for (off_t size = two.st_size - 1; size > one.st_size - 1; size -= 7) {
        assert_int_equal(truncate(file, size), 0);
        assert_int_equal(open_log(store, false, &log, &diag), 0);
        assert_int_equal(audit_log_checkpoint(log, NULL), 0);
        unsigned n = checkpoints();
        assert_true(n == 2 || n == 3);
        audit_log_close(log);
    }
    store_close(store);
}

/* Nowhere to push to: the log goes on, and the checkpoint follows when there is. */
static void test_push_fails(void **state)
{
    (void)state;
    struct store *store = test_store(folder);
    struct audit_log *log;
    struct diag diag;
    struct buffer note;
    char kept[300];
    memcpy(kept, file, sizeof(kept));
    snprintf(file, sizeof(file), "%s.absent/checkpoints", folder);
    put(store, 0, 3, "gateway");
    assert_int_equal(open_log(store, false, &log, &diag), 0);
    buffer_init(&note, NOTE_MAX);
    assert_int_equal(audit_log_checkpoint(log, &note), 0);
    assert_true(note.n > 0);
    assert_int_equal(checkpoints(), 0);
    char absent[300];
    snprintf(absent, sizeof(absent), "%s.absent", folder);
    assert_int_equal(mkdir(absent, 0700), 0);
    assert_int_equal(audit_log_checkpoint(log, NULL), 0);
    assert_int_equal(checkpoints(), 1);
    audit_log_close(log);
    unlink(file);
    rmdir(absent);
    memcpy(file, kept, sizeof(kept));
    buffer_free(&note);
    store_close(store);
}

/* ---- the gate ---- */

static int pay_never(void *ctx)
{
    atomic_fetch_add((_Atomic unsigned *)ctx, 1);
    return SLUIS_EAGAIN;
}

static int open_gated(struct store *store, struct audit_gate *gate, _Atomic unsigned *paid,
                      const struct audit_target *target, struct audit_log **log)
{
    struct diag diag = {.text = ""};
    const struct audit_log_config config = {.store = store,
                                            .seed = seed,
                                            .origin = ORIGIN,
                                            .targets = target,
                                            .target_count = target != NULL,
                                            .gate = gate,
                                            .hold_after_s = 1,
                                            .pay = pay_never,
                                            .pay_ctx = paid};
    return audit_log_open(&config, log, &diag);
}

/* Until the gate is as it should be: a thread acts when it is its turn. */
static void wait_closed(const struct audit_gate *gate, bool closed)
{
    for (unsigned i = 0; i < 6000 && audit_closed(gate) != closed; i++)
        usleep(10000);
    assert_int_equal(audit_closed(gate), closed);
}

/* What is owed and cannot be written (a full disk) is tried again, but not without a pause. */
static void test_not_paid(void **state)
{
    (void)state;
    struct store *store = test_store(folder);
    struct audit_gate gate = {.owed = 0};
    _Atomic unsigned paid = 0;
    struct audit_log *log;
    struct buffer note;
    buffer_init(&note, NOTE_MAX);
    assert_int_equal(open_gated(store, &gate, &paid, NULL, &log), 0);
    assert_int_equal(audit_log_start(log), 0);
    usleep(200000);
    int64_t begun = clock_mono_ms();
    atomic_store(&gate.owed, 1);
    assert_int_equal(audit_log_checkpoint(log, &note), 0); /* by a person: at once, all the same */
    for (unsigned i = 0; i < 6000 && atomic_load(&paid) == 0; i++)
        usleep(10000);
    usleep(700000);
    unsigned tries = atomic_load(&paid);
    assert_in_range(tries, 1, 2 + (clock_mono_ms() - begun) / (AUDIT_RETRY_S * 1000));
    assert_true(audit_closed(&gate));
    assert_false(audit_refuses(&gate)); /* new leaves go into the log */
    buffer_free(&note);
    audit_log_close(log);
    store_close(store);
}

static int push_fails(void *ctx, struct span note)
{
    (void)note;
    return atomic_load((_Atomic int *)ctx);
}

/* Turns are further apart than the term: a way out that works does not close the gate in between;
 * one that fails does. And a thread that stands still closes it, whatever it waits for. */
static void test_gate(void **state)
{
    (void)state;
    struct store *store = test_store(folder);
    struct audit_gate gate = {.owed = 0};
    _Atomic unsigned paid = 0;
    _Atomic int answer = 0;
    const struct audit_target target = {"https", push_fails, &answer, true};
    struct audit_log *log;
    put(store, 0, 3, "gateway");
    assert_int_equal(open_gated(store, &gate, &paid, &target, &log), 0);
    assert_int_equal(audit_log_start(log), 0);
    usleep(1300000);
    put(store, 3, 3, "gateway");
    assert_int_equal(audit_log_checkpoint(log, NULL), 0); /* of the turn to come: not tried yet */
    assert_false(audit_closed(&gate));
    answer = SLUIS_EIO;
    struct buffer note;
    buffer_init(&note, NOTE_MAX);
    assert_int_equal(audit_log_checkpoint(log, &note), 0); /* hurries the thread */
    wait_closed(&gate, true);
    answer = 0;
    assert_int_equal(audit_log_checkpoint(log, &note), 0);
    wait_closed(&gate, false);
    assert_true(atomic_load(&gate.due_ms) > clock_mono_ms());
    atomic_store(&gate.due_ms, clock_mono_ms() - 1);
    assert_true(audit_closed(&gate));
    assert_int_equal(audit_log_checkpoint(log, NULL), 0);
    assert_false(audit_closed(&gate));
    buffer_free(&note);
    audit_log_close(log);
    store_close(store);
}

/* ---- long logs ---- */

static int open_long(struct store *store, struct audit_log **log, struct diag *diag)
{
    const struct audit_log_config config = {
        .store = store, .seed = seed, .origin = ORIGIN, .file = file, .hash_at_open = 1};
    *diag = (struct diag){.text = ""};
    return audit_log_open(&config, log, diag);
}

static struct buffer row;

static int copy_row(struct store_txn *txn, struct store_job *job)
{
    (void)job;
    store_put_row(txn, STORE_TABLE_SETTING, SPAN("audit-range"), buffer_span(&row));
    return store_txn_error(txn);
}

/* The checkpoint's word is taken at the start and looked into afterwards. */
static void test_long(void **state)
{
    (void)state;
    struct store *store = test_store(folder);
    struct audit_log *log;
    struct diag diag;
    struct store_read *read;
    struct arena arena;
    struct span value;
    put(store, 0, 130, "gateway");
    assert_int_equal(open_long(store, &log, &diag), 0);
    assert_int_equal(audit_log_checkpoint(log, NULL), 0);
    audit_log_close(log);
    put(store, 130, 7, "gateway");
    assert_int_equal(open_long(store, &log, &diag), 0);
    assert_int_equal(audit_log_start(log), 0);
    audit_log_close(log);
    assert_int_equal(open_log(store, false, &log, &diag), 0); /* all of it hashed: the same */
    audit_log_close(log);
    buffer_init(&row, 4096);
    arena_init(&arena, 8192);
    assert_int_equal(store_read_begin(store, &read), 0);
    assert_int_equal(store_get_row(read, STORE_TABLE_SETTING, SPAN("audit-range"), &arena, &value),
                     0);
    buffer_add(&row, value);
    store_read_end(read);
    arena_free(&arena);
    store_close(store);
    test_folder_remove(folder);
    /* Other leaves under the same range: the start believes it, the thread does not. */
    store = test_store(folder);
    put(store, 0, 137, "gateway");
    struct store_job job = {.priority = STORE_NORMAL, .run = copy_row};
    assert_int_equal(store_submit_wait(store, &job), 0);
    assert_int_equal(open_log(store, false, &log, &diag), SLUIS_EDENIED);
    assert_int_equal(open_long(store, &log, &diag), 0);
    unsigned before = checkpoints();
    assert_int_equal(audit_log_start(log), 0);
    int r = 0;
    for (int i = 0; r == 0 && i < 6000; i++) {
        usleep(10000);
        r = audit_log_checkpoint(log, NULL);
    }
    assert_int_equal(r, SLUIS_ECRYPTO);
    audit_log_close(log);
    assert_true(checkpoints() <= before + 1);
    /* A range that is not the checkpoint's is not believed: the log is hashed, and refused. */
    row.p[20] ^= 1;
    assert_int_equal(store_submit_wait(store, &job), 0);
    assert_int_equal(open_long(store, &log, &diag), SLUIS_EDENIED);
    row.p[7] ^= 1;
    assert_int_equal(store_submit_wait(store, &job), 0);
    assert_int_equal(open_long(store, &log, &diag), SLUIS_EDENIED);
    buffer_free(&row);
    store_close(store);
}

/* ---- exports ---- */

static void export_log(struct audit_log *log, const struct audit_filter *filter, uint64_t size,
                       const uint64_t *cuts, size_t cut_count, struct span note, struct buffer *out)
{
    struct buffer escaped;
    buffer_init(&escaped, NOTE_MAX);
    export_note_write(note, &escaped);
    export_line_write(
        &(struct export_line){.kind = EXPORT_CHECKPOINT, .text = buffer_span(&escaped)}, out);
    buffer_free(&escaped);
    for (uint64_t from = 0; from < size;)
        assert_int_equal(audit_log_page(log, filter, from, size, cuts, cut_count, out, &from), 0);
}

static int check_export(struct span text, const struct note_key *key, struct span earlier,
                        struct export_report *report)
{
    struct export_check *check;
    struct export_finding f = {.text = ""};
    assert_int_equal(export_check_new(key, &check), 0);
    int r = earlier.n ? export_check_earlier(check, earlier, &f) : 0;
    while (r == 0 && text.n) {
        size_t n = span_find(text, '\n');
        r = export_check_line(check, span_sub(text, 0, n), &f);
        text = span_from(text, n + 1);
    }
    if (r == 0)
        r = export_check_end(check, report, &f);
    if (r != 0)
        print_message("%s\n", f.text);
    export_check_free(check);
    return r;
}

static void test_export(void **state)
{
    (void)state;
    struct store *store = test_store(folder);
    struct audit_log *log;
    struct diag diag;
    struct buffer early, note, out;
    struct export_report report;
    buffer_init(&early, NOTE_MAX);
    buffer_init(&note, NOTE_MAX);
    buffer_init(&out, 64u << 20);
    struct note_key key;
    put(store, 0, 1000, "gateway");
    assert_int_equal(open_log(store, false, &log, &diag), 0);
    audit_log_key(log, &key);
    assert_int_equal(audit_log_checkpoint(log, &early), 0);
    for (unsigned i = 1; i < 10; i++)
        put(store, i * 1000, 1000, "tool");
    assert_int_equal(audit_log_checkpoint(log, &note), 0);
    const struct audit_filter all = {.actor = SPAN_EMPTY};
    export_log(log, &all, 10000, NULL, 0, buffer_span(&note), &out);
    assert_int_equal(check_export(buffer_span(&out), &key, buffer_span(&early), &report), 0);
    assert_int_equal(report.shown, 10000);
    assert_int_equal(report.pages, 2);
    assert_int_equal(report.earlier, 1);
    /* By actor, outcome and time; comparable with the earlier checkpoint only with a cut at it. */
    const struct audit_filter some = {.actor = SPAN("gateway"),
                                      .outcome = SPAN("refused"),
                                      .from = SPAN("2026-11-21T22:30:1"),
                                      .to = SPAN("2026-11-21T22:31")};
    const uint64_t cut = 1000;
    buffer_clear(&out);
    export_log(log, &some, 10000, &cut, 1, buffer_span(&note), &out);
    assert_int_equal(check_export(buffer_span(&out), &key, buffer_span(&early), &report), 0);
    assert_int_equal(report.shown, 25); /* even seconds from :10.123 or so to :59 */
    assert_int_equal(report.skipped, 10000 - 25);
    assert_true(report.filtered);
    buffer_clear(&out);
    export_log(log, &some, 10000, NULL, 0, buffer_span(&note), &out);
    assert_int_equal(check_export(buffer_span(&out), &key, SPAN_EMPTY, &report), 0);
    assert_int_equal(check_export(buffer_span(&out), &key, buffer_span(&early), &report),
                     SLUIS_ECRYPTO);
    /* Not beyond what a checkpoint covers, not from the middle of a page. */
    uint64_t to;
    assert_int_equal(audit_log_page(log, &all, 0, 10001, NULL, 0, &out, &to), SLUIS_EINVAL);
    assert_int_equal(audit_log_page(log, &all, 1, 10000, NULL, 0, &out, &to), SLUIS_EINVAL);
    assert_int_equal(audit_log_page(log, &all, 16384, 10000, NULL, 0, &out, &to), SLUIS_EINVAL);
    const struct audit_filter bad = {.actor = SPAN("a\"b")};
    assert_int_equal(audit_log_page(log, &bad, 0, 10000, NULL, 0, &out, &to), SLUIS_EINVAL);
    audit_log_close(log);
    store_close(store);
    buffer_free(&early);
    buffer_free(&note);
    buffer_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_start, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_torn, setup, teardown),
        cmocka_unit_test_setup_teardown(test_push_fails, setup, teardown),
        cmocka_unit_test_setup_teardown(test_not_paid, setup, teardown),
        cmocka_unit_test_setup_teardown(test_gate, setup, teardown),
        cmocka_unit_test_setup_teardown(test_long, setup, teardown),
        cmocka_unit_test_setup_teardown(test_export, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

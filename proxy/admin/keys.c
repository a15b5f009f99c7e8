/* `sluis keys status` and `rotate`: the keyring of the running gateway. */
#include "internal.h"

#include "sluis/purge.h"

#include <sodium.h>

static void add_status(struct admin_request *r, struct buffer *out)
{
    struct keyring_status s;
    struct keyring_lookup lookup;
    struct purge_status purge;
    char made[CLOCK_RFC3339_SIZE], until[CLOCK_RFC3339_SIZE];
    keyring_status(r->admin->deps.keyring, &s);
    keyring_lookup(r->admin->deps.keyring, &lookup);
    purge_status(r->admin->deps.purge, &purge);
    clock_rfc3339(lookup.made_ms, made);
    clock_rfc3339(lookup.made_ms + PURGE_LOOKUP_DAYS * (int64_t)24 * 3600 * 1000, until);
    buffer_add(out, SPAN("{\"installation\":\""));
    buffer_add_hex(out, span_of(s.installation, sizeof(s.installation)));
    buffer_addf(out,
                "\",\"generation\":%llu,\"keys\":%llu,\"behind\":%s,\"locked\":%s,\"root\":\"%s\"",
                (unsigned long long)s.generation, (unsigned long long)s.cover_nodes,
                s.behind ? "true" : "false", s.locked ? "true" : "false", s.root);
    buffer_addf(out,
                ",\"lookup\":%u,\"lookup_made\":\"%s\",\"lookup_until\":\"%s\","
                "\"lookup_replacing\":%s,\"lookup_error\":\"%s\"}",
                lookup.number, made, until, lookup.replacing ? "true" : "false",
                error_word(purge.lookup_error));
}

void admin_keys_status(struct admin_request *r)
{
    struct buffer out;
    buffer_init(&out, 1024);
    add_status(r, &out);
    admin_json(r, 200, &out);
    buffer_free(&out);
}

static const char *why_not(int result)
{
    switch (result) {
    case SLUIS_EDENIED:
        return "the root key is a credential: replace it where it is provided";
    case SLUIS_EINVAL:
        return "a passphrase of at least 12 bytes belongs to a passphrase root, and to no other";
    default:
        return "the new root key could not be made; the old one, or the new, opens: a start finds "
               "out";
    }
}

/* The service thread makes the index anew: the answer does not wait for it. */
static void rotate_lookup(struct admin_request *r)
{
    const struct audit_event event = {.at_ms = clock_wall_ms(),
                                      .action = AUDIT_KEYS,
                                      .actor = r->who.name,
                                      .outcome = "rotate_lookup"};
    struct buffer out;
    int result = admin_record(r->admin->deps.store, &event);
    if (result != 0) {
        admin_error(r, 422, error_word(result), "the access log refuses");
        return;
    }
    purge_lookup_ask(r->admin->deps.purge);
    buffer_init(&out, 1024);
    add_status(r, &out);
    admin_json(r, 200, &out);
    buffer_free(&out);
}

static void rotate_log_key(struct admin_request *r)
{
    struct buffer out;
    struct note_key key;
    int result = r->admin->deps.replace_log_key(r->admin->deps.ctx, r->who.name);
    if (result != 0) {
        admin_error(r, 422, error_word(result), "the key of the access log was not replaced");
        return;
    }
    audit_log_key(r->admin->deps.log, &key);
    buffer_init(&out, 1024);
    buffer_add(&out, SPAN("{\"log_key\":\""));
    note_key_write(&key, &out);
    buffer_add(&out, SPAN("\"}"));
    admin_json(r, 200, &out);
    buffer_free(&out);
}

void admin_keys_rotate(struct admin_request *r)
{
    if (r->body.count && json_is(&r->body, json_get(&r->body, 0, SPAN("log")), JSON_TRUE)) {
        rotate_log_key(r);
        return;
    }
    if (r->body.count && json_is(&r->body, json_get(&r->body, 0, SPAN("lookup")), JSON_TRUE)) {
        rotate_lookup(r);
        return;
    }
    struct diag diag = {.text = ""};
    const struct audit_event event = {
        .at_ms = clock_wall_ms(), .action = AUDIT_KEYS, .actor = r->who.name, .outcome = "rotate"};
    int result = admin_record(r->admin->deps.store, &event);
    if (result == 0)
        result = keyring_rotate_root(r->admin->deps.keyring, admin_text(r, "passphrase"));
    else
        diag_set(&diag, NULL, 0, 0, "the access log refuses");
    if (result != 0) {
        admin_error(r, 422, error_word(result), diag.text[0] ? diag.text : why_not(result));
        return;
    }
    if (keyring_bind(r->admin->deps.keyring, r->admin->deps.store, true, &diag) != 0)
        LOG(LOG_ALARM, "keys", "not_bound", log_word("reason", diag.text));
    struct buffer out;
    buffer_init(&out, 1024);
    add_status(r, &out);
    admin_json(r, 200, &out);
    buffer_free(&out);
}

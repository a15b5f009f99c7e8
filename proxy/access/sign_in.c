/*
 * Signing in: on a thread of its own, one at a time, behind a bounded queue, since argon2id takes
 * 64 MiB and a tenth of a second. Everything is computed whatever is wrong, for names that do not
 * exist too; then it is decided.
 */
#include "people.h"

#include <arpa/inet.h>

#include "sluis/base/log.h"

#define FREE_PAIR 5     /* failures of a name at an address before it slows down */
#define FREE_ADDRESS 20 /* an office behind one address makes mistakes */
#define FREE_NAME 50    /* whoever tries one name from many addresses */

static void queue_done(struct people *people, struct access_sign_in *s, int result)
{
    s->result = result;
    if (result)
        people->refused[result == SLUIS_EAGAIN ? ACCESS_REFUSED_SLOWED : ACCESS_REFUSED_SIGN_IN]++;
    sodium_memzero(s->password, sizeof(s->password));
    sodium_memzero(s->code, sizeof(s->code));
    s->done(s);
}

/* IPv6 by /64: an attacker has a whole one. */
static void address_key(const char *peer, char out[ACCESS_NAME_SIZE])
{
    struct in6_addr address;
    snprintf(out, ACCESS_NAME_SIZE, "%s", peer);
    if (inet_pton(AF_INET6, peer, &address) == 1) {
        memset(address.s6_addr + 8, 0, 8);
        inet_ntop(AF_INET6, &address, out, ACCESS_NAME_SIZE);
    }
}

static int64_t wait_for(struct people *people, const struct access_sign_in *s, const char *address)
{
    struct throttle *t = &people->throttle;
    int64_t pair = throttle_wait(t, 'b', s->name, address, FREE_PAIR, s->at_ms);
    int64_t from = throttle_wait(t, 'a', address, "", FREE_ADDRESS, s->at_ms);
    /* Whoever knows a name could keep its owner out from many addresses: not from where they signed
     * in before, since the gateway started. There the other two hold. */
    int64_t name = throttle_has(t, 'k', s->name, address)
                       ? 0
                       : throttle_wait(t, 'n', s->name, "", FREE_NAME, s->at_ms);
    int64_t most = pair > from ? pair : from;
    return most > name ? most : name;
}

static void count(struct people *people, const struct access_sign_in *s, const char *address,
                  bool passed)
{
    void (*act)(struct throttle *, char, const char *, const char *, int64_t) =
        passed ? throttle_passed : throttle_failed;
    act(&people->throttle, 'b', s->name, address, s->at_ms);
    if (!passed) { /* one right sign-in does not wash an address clean */
        throttle_failed(&people->throttle, 'a', address, "", s->at_ms);
        throttle_failed(&people->throttle, 'n', s->name, "", s->at_ms);
    } else {
        throttle_passed(&people->throttle, 'n', s->name, "", s->at_ms);
        throttle_failed(&people->throttle, 'k', s->name, address, s->at_ms); /* known from now on */
    }
}

/* The step whose code this is, of the three that are good; 0: none. Constant time. */
static uint64_t code_step(const uint8_t secret[PERSON_SECRET], const char *code, int64_t at_ms)
{
    uint64_t now = (uint64_t)(at_ms / CODE_STEP_MS), found = 0;
    for (uint64_t step = now - 1; step <= now + 1; step++) {
        char want[9];
        if (totp_code(TOTP_SHA1, span_of(secret, PERSON_SECRET), step, 6, want) == 0 &&
            span_eq_secret(span_str(want), span_str(code)))
            found = step;
    }
    return found;
}

static int try_one(struct people *people, struct access_sign_in *s, struct person_row *copy)
{
    char hash[crypto_pwhash_STRBYTES];
    pthread_mutex_lock(&people->lock);
    const struct person_row *row = person_by_name(people, s->name);
    if (row)
        *copy = *row;
    else
        memset(copy, 0, sizeof(*copy));
    pthread_mutex_unlock(&people->lock);
    memcpy(hash, row ? copy->hash : people->no_hash, sizeof(hash));
    bool known = row != NULL;
    bool password =
        crypto_pwhash_str_verify(hash, s->password, strnlen(s->password, ACCESS_PASSWORD_MAX)) == 0;
    uint64_t step = code_step(copy->secret, s->code, s->at_ms);
    bool in_time = copy->person.one_time_until_ms == 0 || s->at_ms < copy->person.one_time_until_ms;
    sodium_memzero(hash, sizeof(hash));
    if (!known || !password || !step || step <= copy->last_step || !in_time)
        return SLUIS_EDENIED;
    copy->last_step = step;
    return 0;
}

/* The code is used up, durably, before there is a session. */
static int let_in(struct people *people, struct access_sign_in *s, struct person_row *copy)
{
    pthread_mutex_lock(&people->change);
    pthread_mutex_lock(&people->lock);
    struct person_row *row = person_by_id(people, copy->person.id);
    /* Changed meanwhile: another password, another secret, removed, the same code on its way. */
    bool same =
        row && !row->person.removed && memcmp(row->hash, copy->hash, sizeof(row->hash)) == 0 &&
        memcmp(row->secret, copy->secret, PERSON_SECRET) == 0 && row->last_step < copy->last_step;
    if (same) {
        row->last_step = copy->last_step;
        row->used_ms = s->at_ms;
        row->person.last_use_ms = s->at_ms;
        *copy = *row;
    }
    pthread_mutex_unlock(&people->lock);
    int result = same ? person_commit(people, copy, 0) : SLUIS_EDENIED;
    pthread_mutex_unlock(&people->change);
    if (result)
        return result;
    pthread_mutex_lock(&people->lock);
    row = person_by_id(people, copy->person.id);
    result = row && !row->person.removed
                 ? session_add(people, row, s->kind, s->peer, s->at_ms, s->session)
                 : SLUIS_EDENIED;
    if (!result) {
        principal_of(&row->person, &s->who);
        s->one_time = row->person.one_time_until_ms != 0;
    }
    pthread_mutex_unlock(&people->lock);
    return result;
}

static void run_one(struct people *people, struct access_sign_in *s)
{
    const char *address = s->from;
    struct person_row copy;
    int64_t wait = wait_for(people, s, address);
    if (wait) {
        s->wait_s = (unsigned)((wait + 999) / 1000);
        queue_done(people, s, SLUIS_EAGAIN);
        return;
    }
    int result = try_one(people, s, &copy);
    if (!result)
        result = let_in(people, s, &copy);
    sodium_memzero(&copy, sizeof(copy));
    if (!result || result == SLUIS_EDENIED)
        count(people, s, address, !result);
    queue_done(people, s, result);
}

static void *sign_in_thread(void *ctx)
{
    struct people *people = ctx;
    /* Of a password nobody has, so that a name that does not exist costs the same. */
    uint8_t random[32];
    randombytes_buf(random, sizeof(random));
    if (crypto_pwhash_str_alg(people->no_hash, (const char *)random, sizeof(random), people->ops,
                              people->mem, crypto_pwhash_ALG_ARGON2ID13) != 0)
        LOG(LOG_ALARM, "access", "argon2_no_memory");
    sodium_memzero(random, sizeof(random));
    pthread_mutex_lock(&people->lock);
    while (!people->stop) {
        if (people->queued == 0) {
            pthread_cond_wait(&people->work, &people->lock);
            continue;
        }
        struct access_sign_in *s = people->queue[0];
        people->queued--;
        memmove(people->queue, people->queue + 1, people->queued * sizeof(people->queue[0]));
        pthread_mutex_unlock(&people->lock);
        run_one(people, s);
        pthread_mutex_lock(&people->lock);
    }
    pthread_mutex_unlock(&people->lock);
    return NULL;
}

/* At the first sign-in: a gateway without persons has no such thread. */
int sign_in_start(struct people *people)
{
    if (people->started)
        return 0;
    if (pthread_create(&people->thread, NULL, sign_in_thread, people) != 0)
        return SLUIS_ESYS;
    people->started = true;
    return 0;
}

void sign_in_stop(struct people *people)
{
    pthread_mutex_lock(&people->lock);
    people->stop = true;
    pthread_cond_signal(&people->work);
    pthread_mutex_unlock(&people->lock);
    if (people->started)
        pthread_join(people->thread, NULL);
    people->started = false;
    while (people->queued)
        queue_done(people, people->queue[--people->queued], SLUIS_ECLOSED);
}

void access_stop(struct access *access)
{
    sign_in_stop(people_of(access));
}

/* May one more wait? Known (this name signed in from this address before) and strangers have places
 * of their own, so that neither an address nor many of them shut out who signs in every day. Beyond
 * its own places a known one is a stranger: who shares an officer's address cannot fill the queue
 * in that officer's name. */
static bool has_place(const struct people *people, struct access_sign_in *s)
{
    unsigned strangers = 0, here = 0, same = 0;
    for (unsigned i = 0; i < people->queued; i++) {
        const struct access_sign_in *other = people->queue[i];
        bool near = strcmp(other->from, s->from) == 0;
        strangers += !other->known;
        here += near && !other->known;
        same += near && other->known && strcmp(other->name, s->name) == 0;
    }
    if (people->queued == ACCESS_SIGN_INS_MAX)
        return false;
    if (s->known && same < ACCESS_SIGN_INS_KNOWN)
        return true;
    s->known = false;
    return here < ACCESS_SIGN_INS_ADDRESS && strangers < ACCESS_SIGN_INS_STRANGERS;
}

int access_sign_in(struct access *access, struct access_sign_in *sign_in)
{
    struct people *people = people_of(access);
    address_key(sign_in->peer, sign_in->from);
    sign_in->known = throttle_has(&people->throttle, 'k', sign_in->name, sign_in->from);
    pthread_mutex_lock(&people->lock);
    int result = people->stop                  ? SLUIS_ECLOSED
                 : !has_place(people, sign_in) ? SLUIS_EAGAIN
                                               : sign_in_start(people);
    if (!result) {
        people->queue[people->queued++] = sign_in;
        pthread_cond_signal(&people->work);
    }
    pthread_mutex_unlock(&people->lock);
    if (result == SLUIS_EAGAIN)
        people->refused[ACCESS_REFUSED_SLOWED]++;
    return result;
}

const char *access_refusal_word(enum access_refusal refusal)
{
    static const char *const words[ACCESS_REFUSALS] = {
        [ACCESS_REFUSED_TOKEN] = "token",
        [ACCESS_REFUSED_SIGN_IN] = "sign_in",
        [ACCESS_REFUSED_SLOWED] = "slowed",
        [ACCESS_REFUSED_SESSION] = "session",
    };
    return words[refusal];
}

void access_refusals(struct access *access, uint64_t out[ACCESS_REFUSALS])
{
    struct people *people = people_of(access);
    for (unsigned i = 0; i < ACCESS_REFUSALS; i++)
        out[i] = atomic_exchange(&people->refused[i], 0);
}

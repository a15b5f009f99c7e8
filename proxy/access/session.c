/* Sessions: in memory only, hashed; idle and absolute limits; bound to an address. */
#include "people.h"

#include "sluis/base/encode.h"

#define SECRET 32

static void session_hash(const uint8_t secret[SECRET], uint8_t out[32])
{
    crypto_generichash_blake2b(out, 32, secret, SECRET, (const uint8_t *)"session", 7);
}

static const uint8_t no_hash[32];

static bool is_free(const struct session *s)
{
    return memcmp(s->hash, no_hash, sizeof(no_hash)) == 0;
}

static bool over(const struct session *s, int64_t now_ms)
{
    return now_ms - s->seen_ms >= ACCESS_IDLE_MS || now_ms - s->created_ms >= ACCESS_ABSOLUTE_MS ||
           now_ms < s->created_ms - ACCESS_IDLE_MS; /* the clock went back */
}

static void session_end(struct session *s)
{
    sodium_memzero(s, sizeof(*s));
}

void sessions_end(struct people *people, uint64_t person, const struct session *but)
{
    for (unsigned i = 0; i < SESSIONS_MAX; i++)
        if (people->sessions[i].person == person && &people->sessions[i] != but)
            session_end(&people->sessions[i]);
}

/* A place: free, over, or the oldest of a person who has SESSIONS_EACH. */
static struct session *session_place(struct people *people, uint64_t person, int64_t now_ms)
{
    struct session *place = NULL, *oldest = NULL;
    unsigned own = 0;
    for (unsigned i = 0; i < SESSIONS_MAX; i++) {
        struct session *s = &people->sessions[i];
        if (!is_free(s) && over(s, now_ms))
            session_end(s);
        if (is_free(s)) {
            place = place ? place : s;
        } else if (s->person == person) {
            own++;
            if (!oldest || s->seen_ms < oldest->seen_ms)
                oldest = s;
        }
    }
    return own >= SESSIONS_EACH ? oldest : place;
}

int session_add(struct people *people, const struct person_row *row, enum access_session_kind kind,
                const char *peer, int64_t now_ms, char text[ACCESS_SECRET_TEXT])
{
    uint8_t secret[SECRET];
    struct session *s = session_place(people, row->person.id, now_ms);
    if (!s)
        return SLUIS_ELIMIT;
    randombytes_buf(secret, sizeof(secret));
    session_end(s);
    session_hash(secret, s->hash);
    s->person = row->person.id;
    s->kind = kind;
    s->one_time = row->person.one_time_until_ms != 0;
    s->created_ms = s->seen_ms = now_ms;
    snprintf(s->peer, sizeof(s->peer), "%s", peer);
    base64url_encode(secret, sizeof(secret), text);
    sodium_memzero(secret, sizeof(secret));
    return 0;
}

int access_session_open(struct access *access, const char *name, enum access_session_kind kind,
                        const char *peer, int64_t now_ms, char text[ACCESS_SECRET_TEXT])
{
    struct people *people = people_of(access);
    pthread_mutex_lock(&people->lock);
    struct person_row *row = person_by_name(people, name);
    int result = row ? session_add(people, row, kind, peer, now_ms, text) : SLUIS_ENOENT;
    if (!result)
        row->used_ms = now_ms;
    pthread_mutex_unlock(&people->lock);
    return result;
}

static bool session_decode(struct span text, uint8_t secret[SECRET])
{
    return text.n == BASE64URL_LEN(SECRET) && base64url_decode(text, secret, SECRET) == SECRET;
}

/* Every place is compared, in constant time each: which one it was does not show. */
static struct session *session_find(struct people *people, const uint8_t secret[SECRET])
{
    uint8_t hash[32];
    struct session *found = NULL;
    session_hash(secret, hash);
    for (unsigned i = 0; i < SESSIONS_MAX; i++)
        if (sodium_memcmp(people->sessions[i].hash, hash, sizeof(hash)) == 0)
            found = &people->sessions[i];
    return found;
}

/* The token of this session's forms: from the cookie, so that it is not stored. */
static void form_token(const uint8_t secret[SECRET], char out[ACCESS_SECRET_TEXT])
{
    uint8_t hash[32];
    crypto_generichash_blake2b(hash, sizeof(hash), secret, SECRET, (const uint8_t *)"form", 4);
    base64url_encode(hash, sizeof(hash), out);
}

int access_session(struct access *access, struct span text, enum access_session_kind kind,
                   const char *peer, int64_t now_ms, struct access_session *out)
{
    struct people *people = people_of(access);
    uint8_t secret[SECRET];
    int result = SLUIS_EDENIED;
    memset(out, 0, sizeof(*out));
    if (!session_decode(text, secret)) {
        people->refused[ACCESS_REFUSED_SESSION]++;
        return SLUIS_EDENIED;
    }
    pthread_mutex_lock(&people->lock);
    struct session *s = session_find(people, secret);
    struct person_row *row = s ? person_by_id(people, s->person) : NULL;
    if (s && (over(s, now_ms) || !row || row->person.removed)) {
        session_end(s);
    } else if (s && s->kind == kind && strcmp(s->peer, peer) != 0) {
        principal_of(&row->person, &out->who); /* for the record of it */
        session_end(s);
        result = SLUIS_EEXPIRED;
    } else if (s && s->kind == kind) {
        s->seen_ms = row->used_ms = now_ms;
        out->one_time = s->one_time;
        principal_of(&row->person, &out->who);
        form_token(secret, out->form_token);
        result = 0;
    }
    pthread_mutex_unlock(&people->lock);
    sodium_memzero(secret, sizeof(secret));
    if (result)
        people->refused[ACCESS_REFUSED_SESSION]++;
    return result;
}

void access_session_close(struct access *access, struct span text)
{
    struct people *people = people_of(access);
    uint8_t secret[SECRET];
    if (!session_decode(text, secret))
        return;
    pthread_mutex_lock(&people->lock);
    struct session *s = session_find(people, secret);
    if (s)
        session_end(s);
    pthread_mutex_unlock(&people->lock);
    sodium_memzero(secret, sizeof(secret));
}

/*
 * Disorder: peers that send pieces, stop, reset and leave at any moment, against a server whose
 * handlers answer at once, later, never or abort; and a client against a server that answers,
 * truncates and resets. What must hold: no memory error (asan), one callback per request, nothing
 * left behind, and service afterwards. The seed is printed; SLUIS_SEED repeats it.
 */
#include "net_help.h"
#include "sluis/net/client.h"
#include "sluis/net/server.h"

#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
/* after the headers that it needs */
#include <cmocka.h>

#define STORM_MS 1500
enum { PEERS = 4 };

static struct certs certs;
static unsigned long seed;

static uint32_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

/* ---- the server under storm ---- */

struct hall {
    struct loop *loop;
    struct server *server[2]; /* TLS, plain */
    struct tls_context *tls;
    atomic_ulong seen, gone, answered;
    uint64_t random; /* loop's thread */
};

struct later {
    struct mail mail;
    struct server *server;
    struct hall *hall;
    uint64_t id;
    unsigned hops;
};

static void on_later(struct mail *mail)
{
    struct later *later = (struct later *)mail;
    if (later->hops-- > 0) {
        loop_post(later->hall->loop, &later->mail, on_later);
        return;
    }
    struct exchange *ex = server_exchange(later->server, later->id);
    if (ex) {
        atomic_fetch_add(&later->hall->answered, 1);
        exchange_answer(ex, 200, SPAN("text/plain"), SPAN("later"));
    }
    free(later);
}

static void on_request(struct exchange *ex, void *ctx)
{
    struct hall *hall = ctx;
    static char big[300 * 1000];
    atomic_fetch_add(&hall->seen, 1);
    switch (next_random(&hall->random) % 8) {
    case 0:
        return; /* never */
    case 1:
        atomic_fetch_add(&hall->answered, 1);
        exchange_abort(ex, "storm");
        return;
    case 2:
        atomic_fetch_add(&hall->answered, 1);
        exchange_answer(ex, 200, SPAN_EMPTY, span_of(big, sizeof(big)));
        return;
    case 3:
    case 4: {
        struct later *later = calloc(1, sizeof(*later));
        *later = (struct later){.server = exchange_server(ex),
                                .hall = hall,
                                .id = exchange_id(ex),
                                .hops = next_random(&hall->random) % 50};
        loop_post(hall->loop, &later->mail, on_later);
        return;
    }
    default:
        atomic_fetch_add(&hall->answered, 1);
        exchange_answer(ex, 200, SPAN("text/plain"), exchange_body(ex));
    }
}

static int on_head(struct exchange *ex, uint64_t *body_max, void *ctx)
{
    struct hall *hall = ctx;
    (void)body_max;
    if (next_random(&hall->random) % 10 == 0)
        exchange_answer(ex, 403, SPAN_EMPTY, SPAN_EMPTY);
    return 0;
}

static void on_gone(struct exchange *ex, void *ctx)
{
    struct hall *hall = ctx;
    (void)ex;
    atomic_fetch_add(&hall->gone, 1);
}

static void hall_open(struct hall *hall)
{
    struct diag diag;
    struct tls_server_config tls = {.certificate = certs.server, .key_file = certs.server_key};
    memset(hall, 0, sizeof(*hall));
    hall->random = seed;
    assert_int_equal(tls_server_new(&tls, &hall->tls, &diag), 0);
    assert_int_equal(loop_new(&hall->loop, 0), 0);
    for (int i = 0; i < 2; i++) {
        struct server_config config = {.name = i ? "plain" : "tls",
                                       .address = "127.0.0.1:0",
                                       .kind = i ? SERVER_PLAIN : SERVER_TLS,
                                       .tls = hall->tls,
                                       .limits = {.answer_ms = 150,
                                                  .head_ms = 200,
                                                  .body_ms = 200,
                                                  .idle_ms = 200,
                                                  .write_ms = 200,
                                                  .handshake_ms = 300,
                                                  .memory_max = 1000 * 1000},
                                       .on_head = on_head,
                                       .on_request = on_request,
                                       .on_gone = on_gone,
                                       .ctx = hall};
        assert_int_equal(server_new(hall->loop, &config, &hall->server[i], &diag), 0);
    }
    assert_int_equal(loop_start(hall->loop), 0);
}

struct ask {
    struct mail mail;
    struct hall *hall;
    unsigned busy;
    sem_t done;
};

static void on_ask(struct mail *mail)
{
    struct ask *ask = (struct ask *)mail;
    ask->busy = server_busy(ask->hall->server[0]) + server_busy(ask->hall->server[1]);
    sem_post(&ask->done);
}

static unsigned busy(struct hall *hall)
{
    struct ask ask = {.hall = hall};
    sem_init(&ask.done, 0, 0);
    loop_post(hall->loop, &ask.mail, on_ask);
    sem_wait(&ask.done);
    sem_destroy(&ask.done);
    return ask.busy;
}

struct raider {
    pthread_t thread;
    struct hall *hall;
    uint64_t random;
};

/* A stream of requests, now and then a broken one. */
static size_t write_stream(char *out, size_t size, uint64_t *random)
{
    size_t n = 0;
    unsigned count = 1 + next_random(random) % 6;
    while (count-- > 0 && n + 4096 < size) {
        unsigned body = next_random(random) % 2000;
        switch (next_random(random) % 6) {
        case 0:
            n += (size_t)snprintf(out + n, size - n, "GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
            break;
        case 1:
            n += (size_t)snprintf(out + n, size - n,
                                  "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
                                  "chunked\r\n\r\n5\r\nhallo\r\n%s",
                                  next_random(random) % 4 ? "0\r\n\r\n" : "zz\r\n");
            break;
        case 2:
            n += (size_t)snprintf(out + n, size - n, "%c broken\r\n\r\n",
                                  (char)('A' + next_random(random) % 26));
            break;
        default:
            n += (size_t)snprintf(out + n, size - n,
                                  "POST /x HTTP/1.1\r\nHost: a\r\n%sContent-Length: %u\r\n\r\n",
                                  next_random(random) % 5 ? "" : "Expect: 100-continue\r\n", body);
            memset(out + n, 'b', body);
            n += body;
        }
    }
    return n;
}

static void raid(struct raider *r, char *stream, size_t size)
{
    struct peer_tls tls = {.ca = certs.ca};
    unsigned which = next_random(&r->random) % 4 == 0 ? 0 : 1; /* handshakes are slow */
    struct peer *p = peer_open(server_port(r->hall->server[which]), which ? NULL : &tls);
    if (!p)
        return;
    struct timeval brief = {.tv_usec = 20000};
    setsockopt(peer_fd(p), SOL_SOCKET, SO_RCVTIMEO, &brief, sizeof(brief));
    size_t n = write_stream(stream, size, &r->random), at = 0;
    while (at < n) {
        size_t part = 1 + next_random(&r->random) % 3000;
        if (part > n - at)
            part = n - at;
        if (!peer_send_n(p, stream + at, part))
            break;
        at += part;
        unsigned what = next_random(&r->random) % 20;
        if (what == 0)
            break;
        if (what == 1)
            sleep_ms(5);
    }
    char answer[4096];
    switch (next_random(&r->random) % 4) {
    case 0:
        peer_reset(p);
        return;
    case 1:
        peer_half_close(p);
        (void)peer_read_end(p, answer, sizeof(answer));
        break;
    case 2:
        (void)peer_read_end(p, answer, sizeof(answer));
        break;
    default:
        break;
    }
    peer_close(p);
}

static void *raid_main(void *ctx)
{
    struct raider *r = ctx;
    char *stream = malloc(64 * 1024);
    int64_t end = now_ms() + STORM_MS;
    while (now_ms() < end)
        raid(r, stream, 64 * 1024);
    free(stream);
    return NULL;
}

static void server_storm(void **state)
{
    (void)state;
    struct hall hall;
    struct raider raiders[PEERS];
    hall_open(&hall);
    for (unsigned i = 0; i < PEERS; i++) {
        raiders[i] = (struct raider){.hall = &hall, .random = seed + i};
        pthread_create(&raiders[i].thread, NULL, raid_main, &raiders[i]);
    }
    for (unsigned i = 0; i < PEERS; i++)
        pthread_join(raiders[i].thread, NULL);
    /* Deadlines clear what was left. */
    for (int i = 0; i < 1200 && busy(&hall) > 0; i++)
        sleep_ms(50);
    assert_int_equal(busy(&hall), 0);
    /* Every request that a handler saw was answered, or its end was told. A refused head may be
     * told too, hence not equal. */
    assert_true(atomic_load(&hall.seen) > 0);
    assert_true(atomic_load(&hall.answered) + atomic_load(&hall.gone) >= atomic_load(&hall.seen));
    assert_true(atomic_load(&hall.answered) <= atomic_load(&hall.seen));
    print_message("seen %lu answered %lu gone %lu\n", atomic_load(&hall.seen),
                  atomic_load(&hall.answered), atomic_load(&hall.gone));
    loop_stop(hall.loop);
    loop_join(hall.loop);
    server_free(hall.server[0]);
    server_free(hall.server[1]);
    tls_unref(hall.tls);
    loop_free(hall.loop);
}

/* ---- the client under storm ---- */

struct trap {
    int listener;
    uint16_t port;
    uint64_t random;
};

static void *trap_main(void *ctx)
{
    static const char *const answers[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhallo",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhallo",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhal",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
        "HTTP/1.1 503 Busy\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naa",
        "HTTP/1.1 200 OK\r\n\r\n",
        "nonsense\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n",
    };
    struct trap *trap = ctx;
    char request[65536];
    for (;;) {
        struct peer *p = peer_accept(trap->listener, NULL, NULL);
        if (!p)
            break;
        struct timeval brief = {.tv_usec = 20000};
        setsockopt(peer_fd(p), SOL_SOCKET, SO_RCVTIMEO, &brief, sizeof(brief));
        while (peer_read_message(p, request, sizeof(request), false) > 0) {
            unsigned what = next_random(&trap->random) % 12;
            if (what >= sizeof(answers) / sizeof(answers[0]))
                break;
            peer_send(p, answers[what]);
        }
        if (next_random(&trap->random) % 2)
            peer_reset(p);
        else
            peer_close(p);
    }
    return NULL;
}

enum { REQUESTS = 1500 };

struct order {
    struct swarm *swarm;
    uint64_t id;
    unsigned calls;
    bool sent, cancelled;
};

struct swarm {
    struct mail mail;
    struct loop *loop;
    struct client *client;
    struct client_url url;
    struct order orders[REQUESTS];
    unsigned next, open, good;
    uint64_t random;
    sem_t done;
};

static void on_answer(const struct client_answer *answer, void *ctx);

static void send_some(struct swarm *s)
{
    while (s->next < REQUESTS && s->open < 40) {
        struct order *o = &s->orders[s->next++];
        struct client_request request = {.method = HTTP_POST,
                                         .url = &s->url,
                                         .body = SPAN("body"),
                                         .status_only = next_random(&s->random) % 2,
                                         .fresh_connection = next_random(&s->random) % 8 == 0,
                                         .answer_ms = 100,
                                         .done = on_answer,
                                         .ctx = o};
        o->swarm = s;
        if (client_send(s->client, &request, &o->id))
            continue;
        o->sent = true;
        s->open++;
        if (next_random(&s->random) % 10 == 0) {
            struct order *victim = &s->orders[next_random(&s->random) % s->next];
            if (victim->sent && !victim->calls && !victim->cancelled) {
                client_cancel(s->client, victim->id);
                victim->cancelled = true;
                s->open--;
            }
        }
    }
    if (s->next == REQUESTS && s->open == 0)
        sem_post(&s->done);
}

static void on_answer(const struct client_answer *answer, void *ctx)
{
    struct order *o = ctx;
    struct swarm *s = o->swarm;
    o->calls++;
    s->open--;
    if (answer->error == 0)
        s->good++;
    send_some(s);
}

static void on_swarm(struct mail *mail)
{
    send_some((struct swarm *)mail);
}

static void client_storm(void **state)
{
    (void)state;
    struct swarm *s = calloc(1, sizeof(*s));
    struct trap trap = {.random = seed}, each[PEERS];
    struct client_config config = {.connections = 8, .waiting = 100, .connect_ms = 2000};
    pthread_t traps[PEERS];
    char url[64];
    s->random = seed + 99;
    trap.listener = listen_local(&trap.port);
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/x", trap.port);
    assert_int_equal(client_url_parse(span_str(url), &s->url), 0);
    for (unsigned i = 0; i < PEERS; i++) {
        each[i] = trap;
        each[i].random += i;
        pthread_create(&traps[i], NULL, trap_main, &each[i]);
    }
    assert_int_equal(loop_new(&s->loop, 0), 0);
    assert_int_equal(client_new(s->loop, &config, &s->client), 0);
    assert_int_equal(loop_start(s->loop), 0);
    sem_init(&s->done, 0, 0);
    loop_post(s->loop, &s->mail, on_swarm);
    sem_wait(&s->done);
    loop_stop(s->loop);
    loop_join(s->loop);
    for (unsigned i = 0; i < REQUESTS; i++)
        assert_int_equal(s->orders[i].calls, s->orders[i].sent && !s->orders[i].cancelled);
    assert_true(s->good > REQUESTS / 50);
    print_message("good %u of %u\n", s->good, (unsigned)REQUESTS);
    client_free(s->client);
    loop_free(s->loop);
    shutdown(trap.listener, SHUT_RDWR);
    for (unsigned i = 0; i < PEERS; i++)
        pthread_join(traps[i], NULL);
    close(trap.listener);
    sem_destroy(&s->done);
    free(s);
}

static int setup(void **state)
{
    (void)state;
    const char *given = getenv("SLUIS_SEED");
    seed = given ? strtoul(given, NULL, 10) : (unsigned long)now_ms();
    print_message("seed %lu\n", seed);
    certs_make(&certs);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    certs_remove(&certs);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(server_storm),
        cmocka_unit_test(client_storm),
    };
    cmocka_set_test_filter(getenv("SLUIS_TEST"));
    return cmocka_run_group_tests_name("net_storm", tests, setup, teardown);
}

#include "resolver_private.h"

#include "sluis/base/clock.h"
#include <arpa/inet.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Ahead of need, so that a request never waits for a name server. */
#define RESOLVER_REFRESH_MS (60 * 1000)
/* After a failure. */
#define RESOLVER_RETRY_MS (5 * 1000)
/* So long the last good answer serves when look-ups fail. */
#define RESOLVER_LAST_GOOD_MS (60 * 60 * 1000)
/* A name server that does not answer holds up one of these, not all hosts. */
#define RESOLVER_THREADS 3
#define RESOLVER_HOST_SIZE 256

struct host {
    char name[RESOLVER_HOST_SIZE];
    bool in_flight;
    int result;     /* SLUIS_EAGAIN before the first look-up ended; 0 when there are addresses */
    unsigned count; /* of all that came, private ones too: who asks decides */
    struct sockaddr_storage addresses[RESOLVER_ADDRESSES_MAX];
    int64_t good_ms; /* of the last good answer */
    int64_t next_ms; /* when to look up again */
};

struct resolver {
    pthread_mutex_t lock;
    pthread_cond_t work;
    bool stop;
    unsigned refs; /* the owner and the threads: a look-up may outlive the owner */
    resolver_lookup *lookup;
    void *ctx;
    unsigned host_count;
    struct host *hosts[RESOLVER_HOSTS_MAX];
};

static bool v4_is_private(uint32_t a)
{
    static const struct {
        uint32_t net;
        unsigned bits;
    } refused[] = {
        {0x00000000, 8},  /* this network */
        {0x0A000000, 8},  /* RFC 1918 */
        {0x64400000, 10}, /* shared address space, RFC 6598 */
        {0x7F000000, 8},  /* loopback */
        {0xA9FE0000, 16}, /* link-local, cloud metadata */
        {0xAC100000, 12}, /* RFC 1918 */
        {0xC0000000, 24}, /* IETF protocol assignments */
        {0xC0000200, 24}, /* documentation */
        {0xC0A80000, 16}, /* RFC 1918 */
        {0xC6120000, 15}, /* benchmarking */
        {0xC6336400, 24}, /* documentation */
        {0xCB007100, 24}, /* documentation */
        {0xE0000000, 4},  /* multicast */
        {0xF0000000, 4},  /* reserved, broadcast */
    };
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        if ((a ^ refused[i].net) >> (32 - refused[i].bits) == 0)
            return true;
    return false;
}

static uint32_t v4_at(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static bool v6_is_private(const unsigned char a[16])
{
    static const unsigned char zero[16];
    if (memcmp(a, zero, 10) == 0 && a[10] == 0xFF && a[11] == 0xFF) /* IPv4-mapped */
        return v4_is_private(v4_at(a + 12));
    if (memcmp(a, zero, 12) == 0) /* ::, ::1, IPv4-compatible */
        return true;
    if (a[0] == 0x00 && a[1] == 0x64 && a[2] == 0xFF && a[3] == 0x9B) /* NAT64 */
        return memcmp(a + 4, zero, 8) != 0 || v4_is_private(v4_at(a + 12));
    if (a[0] == 0x20 && a[1] == 0x02) /* 6to4 */
        return v4_is_private(v4_at(a + 2));
    /* Only global unicast 2000::/3 is left: not fc00::/7, fe80::/10, fec0::/10, ff00::/8. */
    if ((a[0] & 0xE0) != 0x20)
        return true;
    /* Teredo and documentation. */
    return a[0] == 0x20 && a[1] == 0x01 &&
           ((a[2] == 0x00 && a[3] == 0x00) || (a[2] == 0x0D && a[3] == 0xB8));
}

bool resolver_is_private(const struct sockaddr_storage *address)
{
    if (address->ss_family == AF_INET)
        return v4_is_private(ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr));
    if (address->ss_family == AF_INET6)
        return v6_is_private(((const struct sockaddr_in6 *)address)->sin6_addr.s6_addr);
    return true;
}

bool resolver_numeric(const char *host, struct sockaddr_storage *out)
{
    struct sockaddr_in *in = (struct sockaddr_in *)out;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;
    memset(out, 0, sizeof(*out));
    if (inet_pton(AF_INET, host, &in->sin_addr) == 1) {
        in->sin_family = AF_INET;
        return true;
    }
    memset(out, 0, sizeof(*out));
    if (inet_pton(AF_INET6, host, &in6->sin6_addr) == 1) {
        in6->sin6_family = AF_INET6;
        return true;
    }
    return false;
}

static int lookup_system(const char *host, struct sockaddr_storage *out, unsigned most, void *ctx)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    unsigned n = 0;
    (void)ctx;
    if (getaddrinfo(host, NULL, &hints, &list))
        return SLUIS_ENOENT;
    for (const struct addrinfo *a = list; a && n < most; a = a->ai_next) {
        if (a->ai_family != AF_INET && a->ai_family != AF_INET6)
            continue;
        memset(&out[n], 0, sizeof(out[n]));
        memcpy(&out[n++], a->ai_addr, a->ai_addrlen);
    }
    freeaddrinfo(list);
    return n ? (int)n : SLUIS_ENOENT;
}

/* Takes in what a look-up gave. Under the lock. */
static void settle(struct host *host, const struct sockaddr_storage *found, int n)
{
    int64_t now = clock_mono_ms();
    host->in_flight = false;
    if (n < 0) {
        host->next_ms = now + RESOLVER_RETRY_MS;
        if (host->count == 0)
            host->result = SLUIS_ENOENT;
        return;
    }
    /* Also those of a host that moved to a private address: its last good one no longer holds. */
    memcpy(host->addresses, found, (size_t)n * sizeof(*found));
    host->count = (unsigned)n;
    host->result = 0;
    host->good_ms = now;
    host->next_ms = now + RESOLVER_REFRESH_MS;
}

static struct host *next_due(struct resolver *r, int64_t now, int64_t *wait_ms)
{
    *wait_ms = RESOLVER_REFRESH_MS;
    for (unsigned i = 0; i < r->host_count; i++) {
        struct host *host = r->hosts[i];
        if (host->in_flight)
            continue;
        if (host->next_ms <= now)
            return host;
        if (host->next_ms - now < *wait_ms)
            *wait_ms = host->next_ms - now;
    }
    return NULL;
}

static void wait_for(struct resolver *r, int64_t ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(ms / 1000);
    until.tv_nsec += (long)(ms % 1000 * 1000000);
    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }
    pthread_cond_timedwait(&r->work, &r->lock, &until);
}

/* Called with the lock held, which is gone afterwards. */
static void leave(struct resolver *r)
{
    bool last = --r->refs == 0;
    pthread_mutex_unlock(&r->lock);
    if (!last)
        return;
    for (unsigned i = 0; i < r->host_count; i++)
        free(r->hosts[i]);
    pthread_mutex_destroy(&r->lock);
    pthread_cond_destroy(&r->work);
    free(r);
}

static void *work(void *ctx)
{
    struct resolver *r = ctx;
    struct sockaddr_storage found[RESOLVER_ADDRESSES_MAX];
    char name[RESOLVER_HOST_SIZE];
    pthread_mutex_lock(&r->lock);
    while (!r->stop) {
        int64_t wait_ms = 0;
        struct host *host = next_due(r, clock_mono_ms(), &wait_ms);
        if (!host) {
            wait_for(r, wait_ms);
            continue;
        }
        host->in_flight = true;
        memcpy(name, host->name, sizeof(name));
        pthread_mutex_unlock(&r->lock);
        int n = r->lookup(name, found, RESOLVER_ADDRESSES_MAX, r->ctx);
        pthread_mutex_lock(&r->lock);
        settle(host, found, n);
    }
    leave(r);
    return NULL;
}

static int start_thread(struct resolver *r)
{
    pthread_t thread;
    pthread_attr_t attr;
    sigset_t all, before;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&thread, &attr, work, r);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return failed ? SLUIS_ESYS : 0;
}

int resolver_new_with(resolver_lookup *lookup, void *ctx, struct resolver **out)
{
    pthread_condattr_t attr;
    struct resolver *r = calloc(1, sizeof(*r));
    int failed = 0;
    if (!r)
        return SLUIS_ENOMEM;
    r->lookup = lookup;
    r->ctx = ctx;
    r->refs = 1;
    pthread_mutex_init(&r->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&r->work, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_lock(&r->lock);
    for (unsigned i = 0; i < RESOLVER_THREADS && !failed; i++) {
        failed = start_thread(r);
        if (!failed)
            r->refs++;
    }
    pthread_mutex_unlock(&r->lock);
    if (failed) {
        resolver_free(r);
        return failed;
    }
    *out = r;
    return 0;
}

int resolver_new(struct resolver **out)
{
    return resolver_new_with(lookup_system, NULL, out);
}

void resolver_free(struct resolver *r)
{
    if (!r)
        return;
    pthread_mutex_lock(&r->lock);
    r->stop = true;
    pthread_cond_broadcast(&r->work);
    leave(r);
}

static struct host *find(struct resolver *r, const char *name)
{
    for (unsigned i = 0; i < r->host_count; i++)
        if (strcmp(r->hosts[i]->name, name) == 0)
            return r->hosts[i];
    return NULL;
}

/* Under the lock. */
static int add(struct resolver *r, const char *name)
{
    size_t n = strlen(name);
    if (n == 0 || n >= RESOLVER_HOST_SIZE)
        return SLUIS_EINVAL;
    if (r->host_count == RESOLVER_HOSTS_MAX)
        return SLUIS_ELIMIT;
    struct host *host = calloc(1, sizeof(*host));
    if (!host)
        return SLUIS_ENOMEM;
    memcpy(host->name, name, n);
    host->result = SLUIS_EAGAIN;
    r->hosts[r->host_count++] = host;
    pthread_cond_signal(&r->work);
    return 0;
}

int resolver_add(struct resolver *r, const char *name)
{
    struct sockaddr_storage unused;
    int result = 0;
    if (resolver_numeric(name, &unused))
        return 0; /* never looked up */
    pthread_mutex_lock(&r->lock);
    if (find(r, name))
        pthread_cond_signal(&r->work);
    else
        result = add(r, name);
    pthread_mutex_unlock(&r->lock);
    return result;
}

/* Copies what this caller may use. */
static int give(const struct sockaddr_storage *all, unsigned count, bool private_allowed,
                struct sockaddr_storage *out, unsigned most)
{
    unsigned n = 0;
    for (unsigned i = 0; i < count && n < most; i++)
        if (private_allowed || !resolver_is_private(&all[i]))
            out[n++] = all[i];
    return n ? (int)n : SLUIS_EDENIED;
}

int resolver_get(struct resolver *r, const char *name, bool private_allowed,
                 struct sockaddr_storage *out, unsigned most)
{
    struct sockaddr_storage numeric;
    int result;
    if (most == 0)
        return SLUIS_EINVAL;
    if (resolver_numeric(name, &numeric))
        return give(&numeric, 1, private_allowed, out, most);
    pthread_mutex_lock(&r->lock);
    const struct host *host = find(r, name);
    if (!host) {
        result = add(r, name);
        if (result == 0)
            result = SLUIS_EAGAIN;
    } else if (host->result) {
        result = host->result;
    } else if (clock_mono_ms() - host->good_ms > RESOLVER_LAST_GOOD_MS) {
        result = SLUIS_ENOENT;
    } else {
        result = give(host->addresses, host->count, private_allowed, out, most);
    }
    pthread_mutex_unlock(&r->lock);
    return result;
}

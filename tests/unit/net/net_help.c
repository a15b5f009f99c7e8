#include "net_help.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define MUST(x)                                                                                    \
    do {                                                                                           \
        if (!(x)) {                                                                                \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x);                                \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

struct signer {
    X509 *certificate;
    EVP_PKEY *key;
};

static void extend(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    MUST(e && X509_add_ext(certificate, e, -1));
    X509_EXTENSION_free(e);
}

static struct signer make(const struct signer *issuer, const char *cn, const char *san, long serial)
{
    struct signer s = {X509_new(), EVP_EC_gen("P-256")};
    MUST(s.certificate && s.key);
    X509 *c = s.certificate;
    X509_set_version(c, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(c), serial);
    X509_gmtime_adj(X509_getm_notBefore(c), -3600);
    X509_gmtime_adj(X509_getm_notAfter(c), 86400);
    X509_set_pubkey(c, s.key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(c), "CN", MBSTRING_UTF8,
                               (const unsigned char *)cn, -1, -1, 0);
    X509 *by = issuer ? issuer->certificate : c;
    X509_set_issuer_name(c, X509_get_subject_name(by));
    extend(c, by, NID_basic_constraints, issuer ? "CA:FALSE" : "critical,CA:TRUE");
    if (san)
        extend(c, by, NID_subject_alt_name, san);
    MUST(X509_sign(c, issuer ? issuer->key : s.key, EVP_sha256()));
    return s;
}

static void save(const struct signer *s, const char *certificate, const char *key)
{
    FILE *f = fopen(certificate, "w");
    MUST(f && PEM_write_X509(f, s->certificate));
    fclose(f);
    if (!key)
        return;
    f = fopen(key, "w");
    MUST(f && PEM_write_PrivateKey(f, s->key, NULL, NULL, 0, NULL, NULL));
    fclose(f);
}

static void done(struct signer *s)
{
    X509_free(s->certificate);
    EVP_PKEY_free(s->key);
}

static void leaf(const struct certs *certs, const struct signer *ca, const char *file,
                 const char *cn, const char *san, char *certificate, char *key)
{
    static long serial = 100;
    struct signer s = make(ca, cn, san, serial++);
    snprintf(certificate, 96, "%s/%s.pem", certs->dir, file);
    snprintf(key, 96, "%s/%s.key", certs->dir, file);
    save(&s, certificate, key);
    done(&s);
}

void certs_make(struct certs *certs)
{
    snprintf(certs->dir, sizeof(certs->dir), "/tmp/sluis-net-XXXXXX");
    MUST(mkdtemp(certs->dir));
    struct signer ca = make(NULL, "Sluis test CA", NULL, 1);
    struct signer other = make(NULL, "Another test CA", NULL, 2);
    snprintf(certs->ca, sizeof(certs->ca), "%s/ca.pem", certs->dir);
    snprintf(certs->other_ca, sizeof(certs->other_ca), "%s/other.pem", certs->dir);
    save(&ca, certs->ca, NULL);
    save(&other, certs->other_ca, NULL);
    leaf(certs, &ca, "server", "localhost", "DNS:localhost,IP:127.0.0.1", certs->server,
         certs->server_key);
    leaf(certs, &ca, "wrong", "elsewhere.example", "DNS:elsewhere.example", certs->wrong,
         certs->wrong_key);
    leaf(certs, &ca, "client", "meta.example", NULL, certs->client, certs->client_key);
    leaf(certs, &ca, "longer", "meta.example.evil.test", NULL, certs->longer, certs->longer_key);
    leaf(certs, &other, "foreign", "meta.example", NULL, certs->foreign, certs->foreign_key);
    done(&ca);
    done(&other);
}

void certs_remove(const struct certs *certs)
{
    static const char *const names[] = {"ca.pem",     "other.pem",  "server.pem",  "server.key",
                                        "wrong.pem",  "wrong.key",  "client.pem",  "client.key",
                                        "longer.pem", "longer.key", "foreign.pem", "foreign.key"};
    char path[128];
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", certs->dir, names[i]);
        unlink(path);
    }
    rmdir(certs->dir);
}

struct peer {
    int fd;
    SSL_CTX *ctx;
    SSL *ssl;
    char *kept; /* read past the last message */
    size_t kept_n;
};

static struct peer *wrap(int fd)
{
    struct timeval patience = {.tv_sec = 5};
    int one = 1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    struct peer *p = calloc(1, sizeof(*p));
    MUST(p);
    p->fd = fd;
    p->kept = malloc(1 << 20);
    MUST(p->kept);
    return p;
}

struct peer *peer_open(uint16_t port, const struct peer_tls *tls)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&in, sizeof(in))) {
        close(fd);
        return NULL;
    }
    struct peer *p = wrap(fd);
    if (!tls)
        return p;
    p->ctx = SSL_CTX_new(TLS_client_method());
    MUST(SSL_CTX_load_verify_locations(p->ctx, tls->ca, NULL));
    SSL_CTX_set_verify(p->ctx, SSL_VERIFY_PEER, NULL);
    if (tls->max_version) {
        SSL_CTX_set_min_proto_version(p->ctx, TLS1_VERSION);
        SSL_CTX_set_max_proto_version(p->ctx, tls->max_version);
        SSL_CTX_set_security_level(p->ctx, 0);
    }
    if (tls->certificate) {
        MUST(SSL_CTX_use_certificate_chain_file(p->ctx, tls->certificate));
        MUST(SSL_CTX_use_PrivateKey_file(p->ctx, tls->key, SSL_FILETYPE_PEM));
    }
    p->ssl = SSL_new(p->ctx);
    SSL_set1_host(p->ssl, "localhost");
    SSL_set_fd(p->ssl, fd);
    if (SSL_connect(p->ssl) != 1) {
        peer_close(p);
        return NULL;
    }
    return p;
}

struct peer *peer_open_unix(const char *path)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&un, sizeof(un))) {
        close(fd);
        return NULL;
    }
    return wrap(fd);
}

int listen_local(uint16_t *port)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    socklen_t n = sizeof(in);
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    MUST(bind(fd, (struct sockaddr *)&in, sizeof(in)) == 0 && listen(fd, 16) == 0);
    MUST(getsockname(fd, (struct sockaddr *)&in, &n) == 0);
    *port = ntohs(in.sin_port);
    return fd;
}

struct peer *peer_accept(int listener, const char *certificate, const char *key)
{
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return NULL;
    struct peer *p = wrap(fd);
    if (!certificate)
        return p;
    p->ctx = SSL_CTX_new(TLS_server_method());
    MUST(SSL_CTX_use_certificate_chain_file(p->ctx, certificate));
    MUST(SSL_CTX_use_PrivateKey_file(p->ctx, key, SSL_FILETYPE_PEM));
    p->ssl = SSL_new(p->ctx);
    SSL_set_fd(p->ssl, fd);
    if (SSL_accept(p->ssl) != 1) {
        peer_close(p);
        return NULL;
    }
    return p;
}

bool peer_send_n(struct peer *p, const void *bytes, size_t n)
{
    const char *at = bytes;
    while (n > 0) {
        ssize_t w = p->ssl ? SSL_write(p->ssl, at, (int)n) : send(p->fd, at, n, MSG_NOSIGNAL);
        if (w <= 0)
            return false;
        at += w;
        n -= (size_t)w;
    }
    return true;
}

bool peer_send(struct peer *p, const char *text)
{
    return peer_send_n(p, text, strlen(text));
}

static ssize_t some(struct peer *p, char *out, size_t n)
{
    return p->ssl ? SSL_read(p->ssl, out, (int)n) : recv(p->fd, out, n, 0);
}

/* Length of the message at the start of `kept`, 0 when it is not whole. */
static size_t whole(const struct peer *p, bool head_only)
{
    char *head_end = memmem(p->kept, p->kept_n, "\r\n\r\n", 4);
    if (!head_end)
        return 0;
    size_t head = (size_t)(head_end - p->kept) + 4;
    char *length = memmem(p->kept, head, "Content-Length: ", 16);
    size_t body = length && !head_only ? (size_t)strtoul(length + 16, NULL, 10) : 0;
    return head + body <= p->kept_n ? head + body : 0;
}

long peer_read_message(struct peer *p, char *out, size_t size, bool head_only)
{
    size_t n;
    while ((n = whole(p, head_only)) == 0) {
        ssize_t r = some(p, p->kept + p->kept_n, (1 << 20) - p->kept_n - 1);
        if (r <= 0)
            return r;
        p->kept_n += (size_t)r;
        p->kept[p->kept_n] = '\0';
    }
    MUST(n < size);
    memcpy(out, p->kept, n);
    out[n] = '\0';
    memmove(p->kept, p->kept + n, p->kept_n - n);
    p->kept_n -= n;
    return (long)n;
}

bool peer_read_end(struct peer *p, char *out, size_t size)
{
    size_t n = p->kept_n;
    MUST(n < size);
    memcpy(out, p->kept, n);
    p->kept_n = 0;
    for (;;) {
        ssize_t r = n + 1 < size ? some(p, out + n, size - n - 1) : -1;
        if (r <= 0) {
            out[n] = '\0';
            return p->ssl ? SSL_get_error(p->ssl, (int)r) == SSL_ERROR_ZERO_RETURN : r == 0;
        }
        n += (size_t)r;
    }
}

void peer_reset(struct peer *p)
{
    struct linger hard = {.l_onoff = 1, .l_linger = 0};
    setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    close(p->fd);
    p->fd = -1;
    peer_close(p);
}

void peer_half_close(struct peer *p)
{
    if (p->ssl)
        SSL_shutdown(p->ssl);
    shutdown(p->fd, SHUT_WR);
}

void peer_close(struct peer *p)
{
    if (!p)
        return;
    if (p->ssl && p->fd >= 0 && SSL_is_init_finished(p->ssl))
        SSL_shutdown(p->ssl);
    SSL_free(p->ssl);
    SSL_CTX_free(p->ctx);
    if (p->fd >= 0)
        close(p->fd);
    free(p->kept);
    free(p);
    ERR_clear_error();
}

int peer_fd(const struct peer *p)
{
    return p->fd;
}

void sleep_ms(int ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
    nanosleep(&t, NULL);
}

int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

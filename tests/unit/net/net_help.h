/* What the tests of net share: certificates made on the spot, and a plain blocking peer that sends
 * and reads exactly what a test says, without any code of ours in between. */
#ifndef NET_HELP_H
#define NET_HELP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct certs {
    char dir[64];
    char ca[96], other_ca[96];
    char server[96], server_key[96];   /* localhost, 127.0.0.1 */
    char wrong[96], wrong_key[96];     /* elsewhere.example */
    char client[96], client_key[96];   /* CN meta.example */
    char longer[96], longer_key[96];   /* CN meta.example.evil.test */
    char foreign[96], foreign_key[96]; /* CN meta.example, by other_ca */
};
void certs_make(struct certs *certs);
void certs_remove(const struct certs *certs);

struct peer;
struct peer_tls {
    const char *ca;
    const char *certificate, *key; /* client certificate or NULL */
    int max_version;               /* 0: any */
};
/* NULL when the connection or the handshake failed. Reads time out after 5 s. */
struct peer *peer_open(uint16_t port, const struct peer_tls *tls);
struct peer *peer_open_unix(const char *path);
/* The accepting side, for tests of the client. */
int listen_local(uint16_t *port);
struct peer *peer_accept(int listener, const char *certificate, const char *key);
/* False when the write failed. */
bool peer_send(struct peer *peer, const char *text);
bool peer_send_n(struct peer *peer, const void *bytes, size_t n);
/* Reads one answer or request by its head and Content-Length; the length, 0 at the end, negative
 * on an error. `out` is NUL-terminated. */
long peer_read_message(struct peer *peer, char *out, size_t size, bool head_only);
/* Reads to the end; true when it was an orderly one. */
bool peer_read_end(struct peer *peer, char *out, size_t size);
void peer_reset(struct peer *peer); /* RST */
void peer_half_close(struct peer *peer);
void peer_close(struct peer *peer);
int peer_fd(const struct peer *peer);

void sleep_ms(int ms);
int64_t now_ms(void);

#endif

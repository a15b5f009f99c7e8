/* How the gateway fares, to systemd (Type=notify): one datagram to the socket that NOTIFY_SOCKET
 * names, as sd_notify(3) describes it. Without that variable nothing is sent. A datagram that does
 * not arrive is systemd's to notice: it ends a start that is never said to be over. */
#include "internal.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "sluis/base/log.h"

void notify_systemd(const char *state)
{
    const char *name = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (!name || (name[0] != '/' && name[0] != '@') || strlen(name) >= sizeof(to.sun_path))
        return;
    size_t n = strlen(name);
    memcpy(to.sun_path, name, n);
    if (name[0] == '@') /* a name without a file */
        to.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    if (fd < 0 || sendto(fd, state, strlen(state), MSG_NOSIGNAL,
                         (const struct sockaddr *)&to, length) < 0)
        LOG(LOG_WARN, "gateway", "systemd_not_told", log_word("socket", name));
    if (fd >= 0)
        close(fd);
}

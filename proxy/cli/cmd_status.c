#include "internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void print_status(const struct control_answer *a)
{
    char x[512], y[512], z[512], q[64], p[64], e[64];
    printf("sluis %s, configuration %s\n", print_member(a, 0, "version", x, sizeof(x)),
           print_member(a, 0, "config_hash", y, sizeof(y)));
    printf("store: %s, %s of %s bytes in use, %s jobs queued\n",
           print_member(a, 0, "store.state", x, sizeof(x)),
           print_member(a, 0, "store.used", y, sizeof(y)),
           print_member(a, 0, "store.size", z, sizeof(z)),
           print_member(a, 0, "store.queued", q, sizeof(q)));
    printf("access log: %s leaves\n", print_member(a, 0, "log.leaves", x, sizeof(x)));
    printf("pictures: %s\n", print_member(a, 0, "pictures", x, sizeof(x)));
    uint32_t list = json_get(&a->json, 0, SPAN("channels"));
    for (uint32_t c = json_first(&a->json, list); c != JSON_NONE; c = json_next(&a->json, c)) {
        printf("channel %s: policy %s (%s), media %s\n", print_member(a, c, "name", x, sizeof(x)),
               print_member(a, c, "policy", y, sizeof(y)),
               print_member(a, c, "policy_hash", z, sizeof(z)),
               print_member(a, c, "media", q, sizeof(q)));
        if (print_member(a, c, "observing_until", y, sizeof(y))[0])
            printf("  OBSERVING until %s: nothing is masked but secrets; then policy %s\n", y,
                   print_member(a, c, "then", z, sizeof(z)));
    }
    list = json_get(&a->json, 0, SPAN("routes"));
    for (uint32_t r = json_first(&a->json, list); r != JSON_NONE; r = json_next(&a->json, r)) {
        printf("route %s: %s", print_member(a, r, "name", x, sizeof(x)),
               print_member(a, r, "state", y, sizeof(y)));
        if (print_member(a, r, "paused_by", z, sizeof(z))[0])
            printf(" by %s", z);
        printf(", %s waiting, %s parked, %s expired, %s delivered\n",
               print_member(a, r, "waiting", y, sizeof(y)),
               print_member(a, r, "parked", q, sizeof(q)),
               print_member(a, r, "expired", p, sizeof(p)),
               print_member(a, r, "delivered", e, sizeof(e)));
    }
}

int cmd_status(const struct cli_call *call)
{
    struct control_answer a;
    if (control_call(call, HTTP_GET, "/sluis/v1/status", SPAN_EMPTY, &a) != 0)
        return CLI_FAILED;
    if (!print_json(call, &a))
        print_status(&a);
    control_free(&a);
    return CLI_DONE;
}

int cmd_reload(const struct cli_call *call)
{
    struct control_answer a;
    char hash[80];
    if (control_call(call, HTTP_POST, "/sluis/v1/reload", SPAN_EMPTY, &a) != 0)
        return CLI_FAILED;
    if (!print_json(call, &a))
        printf("reloaded, configuration %s\n",
               print_member(&a, 0, "config_hash", hash, sizeof(hash)));
    control_free(&a);
    return CLI_DONE;
}

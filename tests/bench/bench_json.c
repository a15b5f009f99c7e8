/* CPU of the JSON part of the intake, per 700-byte webhook: scan, emit.
 * Usage: bench_json [rounds]. Run a release build on an idle core. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "sluis/base/json.h"

static const char webhook[] =
    "{\"object\":\"whatsapp_business_account\",\"entry\":[{\"id\":\"102290129340398\",\"changes\":["
    "{"
    "\"value\":{\"messaging_product\":\"whatsapp\",\"metadata\":{\"display_phone_number\":"
    "\"15550783881\",\"phone_number_id\":\"106540352242922\"},\"contacts\":[{\"profile\":{\"name\":"
    "\"Sanne de Vries\"},\"wa_id\":\"16505551234\",\"user_id\":\"US.13491208655302741918\"}],"
    "\"messages\":[{\"from\":\"16505551234\",\"from_user_id\":\"US.13491208655302741918\",\"id\":"
    "\"wamid.HBgLMTY1MDU1NTEyMzQVAgASGBQzQTRBNjU5OUFFRTAzODEwMTQ0RgA=\",\"timestamp\":"
    "\"1749416383\",\"type\":\"text\",\"text\":{\"body\":\"Goedemiddag, ik heb twee weken geleden "
    "een paspoort aangevraagd en nog niets gehoord. Kunt u nagaan wanneer ik het kan ophalen? "
    "Alvast bedankt, Sanne\"}}]},\"field\":\"messages\"}]}]}";

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

int main(int argc, char **argv)
{
    long rounds = argc > 1 ? strtol(argv[1], NULL, 10) : 300000;
    struct span text = {webhook, sizeof webhook - 1};
    struct arena arena;
    struct buffer out;
    struct json_doc doc;
    arena_init(&arena, 1024 * 1024);
    buffer_init(&out, 1024 * 1024);
    double start = now_us();
    for (long i = 0; i < rounds; i++) {
        if (json_scan(&doc, text, &arena, NULL) != 0)
            return 1;
        arena_reset(&arena);
    }
    double scan = (now_us() - start) / (double)rounds;
    start = now_us();
    for (long i = 0; i < rounds; i++) {
        if (json_emit(&out, text, 0, (uint32_t)text.n, NULL, 0) != 0)
            return 1;
        out.n = 0;
    }
    double emit = (now_us() - start) / (double)rounds;
    printf("%zu bytes: scan %.2f us, emit %.2f us\n", text.n, scan, emit);
    arena_free(&arena);
    buffer_free(&out);
    return 0;
}

/*
 * outbound.links on any text: a link elsewhere is refused whatever stands before or behind it in
 * words of their own; what an empty list lets through, every list does; the host told is printable.
 */
#include "sluis/base/buffer.h"
#include "sluis/policy.h"

#include <stdlib.h>

static struct policy *some, *none;

static struct policy *load(const char *text)
{
    struct policy *policy;
    if (policy_load(span_str(text), "fuzz", &policy, NULL) != 0)
        abort();
    return policy;
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    some = load("policy: 1\nname: t\noutbound: {links: [gemeente.example, \"*.zorg.example\"]}\n");
    none = load("policy: 1\nname: t\noutbound: {links: []}\n");
    return 0;
}

static bool allowed(const struct policy *policy, struct span text)
{
    char host[POLICY_HOST_MAX];
    bool good = policy_links_allowed(policy, text, host, sizeof(host));
    for (const char *c = host; *c; c++)
        if (*c <= 0x20 || *c >= 0x7f)
            abort();
    if (good && host[0])
        abort();
    return good;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct span text = span_of(data, size);
    struct buffer longer;
    if (allowed(none, text) && !allowed(some, text))
        abort();
    buffer_init(&longer, 1u << 22);
    buffer_add(&longer, text);
    buffer_add(&longer, SPAN(" elders.nl"));
    if (allowed(some, buffer_span(&longer)))
        abort();
    buffer_clear(&longer);
    buffer_add(&longer, SPAN("Zie https://elders.example/x "));
    buffer_add(&longer, text);
    if (allowed(some, buffer_span(&longer)))
        abort();
    buffer_free(&longer);
    return 0;
}

/* `sluis policy register FILE`: the entry in the register of processing activities. */
#include "internal.h"

#include "policy_case.h"

#include <stdio.h>

int cmd_policy_register(const struct cli_call *call)
{
    const char *language = cli_value(call, "--language", 0);
    struct policy *policy;
    struct buffer out;
    if (call->word_count != 1)
        return cli_usage(call, "which FILE?");
    if (language && strcmp(language, "nl") != 0 && strcmp(language, "en") != 0)
        return cli_usage(call, "--language %s: nl or en", language);
    if (case_load(call->words[0], &policy) != 0)
        return CLI_FAILED;
    bool dutch = !language || strcmp(language, "nl") == 0;
    buffer_init(&out, CASE_OUT_MAX);
    int result = policy_register(policy, dutch, &out);
    if (result == 0 && cli_has(call, "--dpia"))
        result = policy_register_dpia(policy, dutch, &out);
    if (result == 0 && cli_has(call, "--html")) {
        struct buffer page;
        buffer_init(&page, 4 * CASE_OUT_MAX);
        result = policy_register_html(buffer_span(&out), dutch, &page);
        buffer_free(&out);
        out = page;
    }
    if (result == 0)
        result = fwrite(out.p, 1, out.n, stdout) == out.n && fflush(stdout) == 0 ? 0 : SLUIS_EIO;
    if (result)
        fprintf(stderr, "sluis policy register: %s\n", error_word(result));
    buffer_free(&out);
    policy_unref(policy);
    return result ? CLI_FAILED : CLI_DONE;
}

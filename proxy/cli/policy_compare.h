/* Inside of `sluis policy test`: one run, and the comparing of a test with what policy does. */
#ifndef SLUIS_CLI_POLICY_COMPARE_H
#define SLUIS_CLI_POLICY_COMPARE_H

#include "policy_case.h"
#include "sluis/base/yaml.h"

#define RULES_SEEN_MAX 8192 /* rules of one policy that coverage follows */

struct run {
    const struct yaml_doc *doc;
    struct policy *policy;
    struct detect_scratch *scratch;
    struct finding *found;
    struct diag diag;
    unsigned number, failed; /* over all files */
    bool bad;                /* this test */
    const char *seen[RULES_SEEN_MAX];
    size_t seen_count;
    unsigned rules, missed, missed_all; /* coverage */
};

/* Compares everything the test expects; differences are printed, and r->bad is set. A diagnosis
 * when the test itself is wrong. */
SLUIS_MUST_CHECK int compare_all(struct run *r, const struct yaml_node *node,
                                 const struct policy_case *c);
/* Whether some test came by this rule. */
bool compare_seen_rule(const struct run *r, const char *rule);

#endif

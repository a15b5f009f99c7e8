/* The table of commands: a row each, in the order of `sluis --help` and of PERMISSION_COMMANDS. */
#include "commands.h"

/* Options: one that takes a value, that value's name in the help; one that may be given again; one
 * that takes none. */
#define VALUE(name, letter, value, help)                                                           \
    {                                                                                              \
        name, letter, value, false, help                                                           \
    }
#define VALUES(name, letter, value, help)                                                          \
    {                                                                                              \
        name, letter, value, true, help                                                            \
    }
#define SWITCH(name, letter, help)                                                                 \
    {                                                                                              \
        name, letter, NULL, false, help                                                            \
    }

/* Options that more than one command takes, the same everywhere. */
#define O_CONFIG VALUE("--config", 'c', "FILE", "configuration (default " CLI_CONFIG ")")
#define O_SOCKET VALUE("--socket", 's', "PATH", "control socket instead of the configuration's")
#define O_JSON SWITCH("--json", 'j', "machine-readable output")
#define O_AS CLI_OPTION_AS
#define O_GLASS                                                                                    \
    VALUE("--break-glass", 'G', "REASON",                                                          \
          "as the operator, where officers should: raises an alarm, on record")
#define O_PASSPHRASE                                                                               \
    VALUE("--passphrase", 'p', "FILE",                                                             \
          "file with the passphrase, or - for standard input; never an argument")
#define O_DRY_RUN(help) SWITCH("--dry-run", 'd', help)
#define O_CHANNEL VALUE("--channel", 'C', "NAME", "channel (needed)")
#define O_CHANNEL_OF_MORE VALUE("--channel", 'C', "NAME", "the channel; needed when there are more")
#define O_CONVERSATION                                                                             \
    VALUE("--conversation", 'v', "ID",                                                             \
          "this conversation, instead of IDENTIFIER (sluis history list shows it)")
#define O_TAG VALUE("--tag", 'g', "TAG", "only with this tag")
#define SINCE_HELP "from this time on (UTC): 2026-11-21T22:30:00Z, or its beginning: 2026-11-21"
#define O_SINCE VALUE("--since", 'f', "TIME", SINCE_HELP)
#define O_UNTIL VALUE("--until", 't', "TIME", "before this time (UTC)")
#define O_TIME                                                                                     \
    VALUE("--time", 't', "TIME", "when (UTC; default now): 2026-11-21T22:30:00Z, or 2026-11-21")
#define O_MESSAGE                                                                                  \
    VALUE("--message", 'm', "N", "this message, by its serial (`sluis subject export`)")
#define O_LANGUAGE VALUE("--language", 'l', "LANGUAGE", "nl (default) or en")

/* Groups of them. */
#define SOCKET O_CONFIG, O_SOCKET /* whom a command asks: the running gateway */
#define GATEWAY SOCKET, O_JSON
#define PERIOD                                                                                     \
    VALUE("--from", 'f', "TIME",                                                                   \
          "messages from this time on (UTC): 2026-11-21T22:30:00Z, or 2026-11-21"),                \
        VALUE("--to", 't', "TIME", "messages before this time (UTC)")
#define WHY                                                                                        \
    VALUE("--purpose", 'p', "TEXT", "why you look, for the access log"),                           \
        VALUE("--reference", 'r', "TEXT", "case or ticket, for the access log")
#define LEAF_FILTERS                                                                               \
    VALUE("--actor", 'a', "NAME", "only of this actor: a token or a person, by name"),             \
        VALUE("--role", 'r', "NAME", "only of this role"),                                         \
        VALUE("--subject", 'u', "HEX", "only about this pseudonym (sluis subject find shows it)"), \
        VALUE("--action", 'n', "WORD",                                                             \
              "only this action: send, deliver ... (sluis-log(7) names them)"),                    \
        VALUE("--outcome", 'o', "WORD",                                                            \
              "only with this outcome: accepted, masked ... (sluis-log(7) names them)")

static int run_scan(const struct cli_call *call)
{
    (void)call; /* scan reads its own options: see cli_main */
    return CLI_USAGE;
}

/* A row: name, words after it, what runs it, a line of help, an example, its options. */
#define COMMAND(name, usage, run, help, example, ...)                                              \
    {                                                                                              \
        name, usage, help, example, run,                                                           \
        {                                                                                          \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }

const struct cli_command cli_commands[] = {
    COMMAND("serve", "", cmd_serve, "run the gateway", "sluis serve -c /etc/sluis/sluis.yaml",
            O_CONFIG,
            SWITCH("--accept-older-keyring", 'A',
                   "start with a keyring from a backup, which may open what was destroyed since"),
            SWITCH("--accept-log", 'L',
                   "start with an access log that is not the one of its last pushed checkpoint"),
            SWITCH("--accept-empty-store", 'E',
                   "start with an empty store though the keyring was used with one")),
    COMMAND("check", "", cmd_check,
            "validate configuration and policies; file:line:column on error",
            "sluis check -c sluis.yaml", O_CONFIG, O_JSON),
    COMMAND("scan", "", run_scan, "detect and mask text from standard input",
            "echo 'mijn rekening is NL91 ABNA 0417 1643 00' | sluis scan", {0}),
    COMMAND("status", "", cmd_status, "what the running gateway is doing", "sluis status --json",
            GATEWAY),
    COMMAND("reload", "", cmd_reload, "read configuration and policies anew, all or nothing",
            "sluis reload", GATEWAY, O_AS),
    COMMAND(
        "doctor", "", cmd_doctor, "find out what is wrong: gateway, routes, Meta's callback",
        "sluis doctor --route burgerzaken/webcare", GATEWAY,
        VALUE("--route", 'r', "NAME", "send a signed test message to this route, as channel/route"),
        SWITCH("--meta", 'm', "ask Meta where each channel's callback points"),
        SWITCH("--store", 'S', "open every stored value and check its tag, while serving")),
    COMMAND("token add", "", cmd_token_add, "make a token for a tool; it is shown once",
            "sluis token add --name chatwoot --channel burgerzaken --route burgerzaken/webcare",
            GATEWAY, VALUE("--name", 'n', "NAME", "name of the tool, for the access log (needed)"),
            VALUES("--channel", 'C', "NAME", "channel it may use (needed; repeat for more)"),
            VALUE("--route", 'r', "NAME", "route on which this tool receives, as channel/route"),
            VALUE("--expires", 'e', "DAYS",
                  "valid for so many days, 1 to 3660 (default: until revoked)"),
            VALUE("--role", 'R', "ROLE", "role of its policy: rights, hours, profile"),
            VALUES("--range", 'i', "RANGE",
                   "address or range it may come from, as 192.0.2.0/24 (repeat for more)"),
            O_AS, O_GLASS),
    COMMAND("token rotate", "ID", cmd_token_rotate,
            "a new text for the same tool; the old one goes on for a day, or as said",
            "sluis token rotate 3 --overlap 48", GATEWAY,
            VALUE("--overlap", 'o', "HOURS", "how long both are good, 0 to 744 (default 24)"), O_AS,
            O_GLASS),
    COMMAND("token list", "", cmd_token_list, "tokens and what they may use", "sluis token list",
            GATEWAY, O_AS),
    COMMAND("token revoke", "ID", cmd_token_revoke, "make a token useless at once",
            "sluis token revoke 3", GATEWAY, O_AS),
    COMMAND("person add", "NAME", cmd_person_add,
            "a person who may sign in; the enrolment is shown once", "sluis person add j.jansen",
            GATEWAY,
            SWITCH("--password", 'p',
                   "ask for a password on standard input instead of making a one-time one"),
            O_AS, O_GLASS),
    COMMAND("person reset", "NAME", cmd_person_reset,
            "lost the phone or the password: a new enrolment; sessions end",
            "sluis person reset j.jansen", GATEWAY, O_AS, O_GLASS),
    COMMAND(
        "person confirm", "NAME", cmd_person_confirm,
        "as a second officer: it was this person who enrolled; until then the roles do not count",
        "sluis person confirm j.jansen --as f.elamrani", GATEWAY, O_AS, O_GLASS),
    COMMAND("person revoke", "NAME", cmd_person_revoke,
            "remove a person: at once, sessions and roles too", "sluis person revoke j.jansen",
            GATEWAY, O_DRY_RUN("say what would be done"), O_AS),
    COMMAND("person password", "", cmd_person_password,
            "choose a password of your own; signs in with the one you have",
            "sluis person password --as j.jansen", GATEWAY, O_AS),
    COMMAND("person list", "", cmd_person_list, "persons, their roles and when they last came",
            "sluis person list", GATEWAY, O_AS),
    COMMAND("role add", "", cmd_role_add, "grant a role of the policies in force to a person",
            "sluis role add --person j.jansen --role behandelaar --channel burgerzaken", GATEWAY,
            VALUE("--person", 'p', "NAME", "to whom (needed)"),
            VALUE("--role", 'r', "ROLE", "a role of the channels' policies (needed)"),
            VALUES("--channel", 'C', "NAME",
                   "on this channel (repeat for more); this or --all is needed"),
            SWITCH("--all", 'a', "on every channel, later ones too"), O_AS, O_GLASS),
    COMMAND("role list", "", cmd_role_list,
            "grants; with --review everything an access review asks for",
            "sluis role list --review", GATEWAY,
            SWITCH("--review", 'v',
                   "each person and token: role, channels, granted by and when, last use"),
            O_AS),
    COMMAND("role revoke", "ID", cmd_role_revoke, "take a grant back, at once",
            "sluis role revoke 3", GATEWAY, O_DRY_RUN("say what would be done"), O_AS),
    COMMAND("queue list", "", cmd_queue_list,
            "deliveries waiting, parked or expired, and quarantine", "sluis queue list", GATEWAY),
    COMMAND("queue retry", "ROUTE [SERIAL]", cmd_queue_retry,
            "try again now; without SERIAL the whole route, which it resumes",
            "sluis queue retry burgerzaken/webcare", GATEWAY),
    COMMAND("queue drop", "ROUTE SERIAL", cmd_queue_drop, "give up one delivery, on record",
            "sluis queue drop burgerzaken/webcare 4711 --dry-run", GATEWAY,
            O_DRY_RUN("say what would be dropped")),
    COMMAND("audit list", "", cmd_audit_list,
            "the access log, a JSON line per leaf (reading it is logged)",
            "sluis audit list --from 0 | jq .leaf.action", SOCKET,
            SWITCH("--json", 'j', "changes nothing: the output is JSON lines"),
            VALUE("--from", 'f', "INDEX", "first leaf (default 0, or that of --since)"),
            VALUE("--since", 'S', "TIME", SINCE_HELP), O_UNTIL, LEAF_FILTERS),
    COMMAND(
        "audit export", "", cmd_audit_export,
        "the log with what proves it, for sluis-verify (reading it is logged)",
        "sluis audit export --since 2026-11-01 --action send > export.jsonl", SOCKET, O_SINCE,
        O_UNTIL, LEAF_FILTERS,
        VALUE("--checkpoint", 'k', "FILE",
              "earlier checkpoints (100 at most) to compare it with; without filters any can be")),
    COMMAND(
        "audit bundle", "FOLDER", cmd_audit_bundle,
        "evidence about a person or an incident, and how to check it, in a new folder",
        "sluis audit bundle incident-7 --since 2026-11-20 --until 2026-11-22", SOCKET, O_SINCE,
        O_UNTIL, LEAF_FILTERS,
        VALUE("--checkpoint", 'k', "FILE", "earlier checkpoints (100 at most) to compare it with")),
    COMMAND("audit reconcile", "FILE", cmd_audit_reconcile,
            "compare what a route was sent with FILE: what its tool received, an X-Sluis-Delivery "
            "a line",
            "sluis audit reconcile --route burgerzaken/webcare received.txt --since 2026-11-20",
            GATEWAY, VALUE("--route", 'r', "NAME", "the route, as channel/route (needed)"),
            VALUE("--since", 'f', "TIME",
                  "accepted from this time on (UTC): 2026-11-21T22:30:00Z, or 2026-11-21"),
            VALUE("--until", 't', "TIME", "accepted before this time (UTC)")),
    COMMAND("audit checkpoint", "", cmd_audit_checkpoint,
            "a signed checkpoint of the log as it stands, or the log's key",
            "sluis audit checkpoint --key > log.key", GATEWAY,
            SWITCH("--key", 'k', "the verifier key instead, for the auditor's own file")),
    COMMAND("audit incident", "", cmd_audit_incident,
            "what left in a period, for a notification (AVG art. 33); Markdown, or --json",
            "sluis audit incident --from 2026-11-20 --to 2026-11-22 --token chatwoot", GATEWAY,
            VALUE("--from", 'f', "TIME",
                  "begin of the period, UTC (needed): 2026-11-20T10:00:00Z, or 2026-11-20"),
            VALUE("--to", 't', "TIME", "its end (needed)"),
            VALUE("--known", 'k', "TIME",
                  "when it became known, UTC (default now): the 72 hours count from there"),
            VALUE("--route", 'r', "NAME", "only this route, as channel/route"),
            VALUE("--token", 'T', "NAME", "only this token or person")),
    COMMAND(
        "stats", "", cmd_stats,
        "messages, waiting times and findings by channel, route and tag; never about one person",
        "sluis stats --channel burgerzaken --from 2026-11-01 --to 2026-12-01 --by day", GATEWAY,
        O_CHANNEL,
        VALUE("--from", 'f', "TIME",
              "begin of the period, UTC (default a week ago): 2026-11-01T10:00:00Z, or 2026-11-01"),
        VALUE("--to", 't', "TIME", "its end (default now)"),
        VALUE("--by", 'b', "UNIT",
              "a count for each: all (default; the whole period), day or hour")),
    COMMAND("history list", "", cmd_history_list, "conversations of a channel, newest first",
            "sluis history list --channel burgerzaken --from 2026-11-01", GATEWAY, O_CHANNEL,
            PERIOD, O_TAG, WHY),
    COMMAND("history show", "[IDENTIFIER]", cmd_history_show,
            "messages of a conversation, masked, newest first",
            "sluis history show +31612345678 --channel burgerzaken", GATEWAY, O_CHANNEL,
            O_CONVERSATION, PERIOD, O_TAG, WHY),
    COMMAND("history search", "", cmd_history_search,
            "search a period and channel, masked; a purpose and a reference are needed",
            "sluis history search --channel burgerzaken --from 2026-11-01 --to 2026-12-01 \\\n     "
            " --word lekkage --purpose klacht --reference Z-12",
            GATEWAY, O_CHANNEL, PERIOD,
            VALUES("--word", 'w', "TEXT", "a word that must occur (repeat for more)"), O_TAG, WHY),
    COMMAND(
        "history export", "[IDENTIFIER]", cmd_history_export,
        "a conversation with its metadata, JSON or HTML without script",
        "sluis history export +31612345678 --channel burgerzaken --form html --out gesprek.html",
        GATEWAY, O_CHANNEL, O_CONVERSATION, PERIOD,
        VALUE("--form", 'F', "FORM", "json (default) or html"),
        VALUE("--out", 'o', "FILE",
              "write here instead of standard output; kept only when it is whole"),
        WHY),
    COMMAND("history expiring", "", cmd_history_expiring,
            "what the selection list demanded was kept and is about to end",
            "sluis history expiring --channel burgerzaken --before 2027-01-01", GATEWAY, O_CHANNEL,
            VALUE("--before", 'b', "TIME",
                  "ends before this time (UTC): 2027-01-01T00:00:00Z, or 2027-01-01"),
            WHY),
    COMMAND(
        "image", "FILE...", cmd_image,
        "inspect pictures: what is seen, what is covered, the covered copy",
        "sluis image pas.jpg -o afgeschermd.jpg --sheet vergelijk.png", O_JSON,
        VALUE("--output", 'o', "OUT",
              "write the covered picture there (a folder for several files)"),
        VALUE("--sheet", 's', "OUT.png", "before and after, side by side, of the first 12 files"),
        VALUE("--models", 'm', "FOLDER",
              "models of the worker; else $SLUIS_MODELS or its own search"),
        VALUE("--policy", 'p', "FILE",
              "what this policy says of pictures, its recognisers (default: cover all)")),
    COMMAND("policy check", "FILE...", cmd_policy_check,
            "validate policies alone; file:line:column on error",
            "sluis policy check policies/gemeente.yaml", O_JSON,
            SWITCH("--strict", 's', "exit 1 on warnings too")),
    COMMAND(
        "policy explain", "", cmd_policy_explain,
        "what a policy does with one message: readers, notices, sending; and which line says so",
        "echo 'mijn rekening is NL91 ABNA 0417 1643 00' | sluis policy explain -p gemeente.yaml",
        VALUE("--policy", 'p', "FILE", "the policy (needed)"),
        VALUE("--text", 't', "TEXT",
              "the message; default: standard input, which the list of processes does not show"),
        VALUE("--from", 'f', "WHO", "customer (default) or agent: then also what goes out"),
        VALUE("--asked", 'a', "TEXT", "what an agent wrote just before"),
        VALUE("--channel", 'C', "NAME", "on this channel, where rules name channels"),
        VALUE("--route", 'r', "NAME", "this route only"),
        VALUE("--role", 'R', "NAME", "the agent's role, for what goes out"),
        VALUE("--template", 'T', "NAME", "the agent sends it by this template"),
        VALUE("--at", 'A', "TIME", "sent at this moment, Dutch time: '2026-11-23 10:00'"),
        SWITCH("--consent", 'g', "the contact opted in"),
        SWITCH("--first", '1', "the contact's first message"),
        VALUE("--picture", 'P', "CLASS",
              "it is a picture in which this was seen: card, clean ...")),
    COMMAND("policy test", "FILE...", cmd_policy_test,
            "run the tests of policies (NAME.test.yaml); TAP, and which rules were not tested",
            "sluis policy test policies/*.test.yaml",
            SWITCH("--all-rules", 'a', "exit 1 when a rule is not tested")),
    COMMAND("policy diff", "OLD NEW", cmd_policy_diff,
            "what becomes looser and what stricter; exit 1 when anything becomes looser",
            "sluis policy diff policies/gemeente.yaml new.yaml", GATEWAY,
            VALUE("--replay", 'R', "PERIOD",
                  "what would have changed in the past 24h, 7d, 2w ...: counts and rules, from the "
                  "running gateway"),
            VALUE("--channel", 'C', "NAME", "with --replay: this channel only")),
    COMMAND("policy approve", "NAME", cmd_policy_approve,
            "agree, as the second officer, with a looser policy that was put forward; it is then "
            "in force",
            "sluis policy approve gemeente --as f.elamrani", GATEWAY,
            O_DRY_RUN("say what becomes looser, and the hash"),
            VALUE("--hash", 'H', "HEX", "only if the file has the hash that begins so"), O_AS,
            O_GLASS),
    COMMAND("policy versions", "", cmd_policy_versions,
            "policies that were put forward: hash, author, approver, when", "sluis policy versions",
            GATEWAY, O_AS),
    COMMAND("policy register", "FILE", cmd_policy_register,
            "the entry in the register of processing activities (AVG art. 30), Markdown or HTML",
            "sluis policy register policies/gemeente.yaml --language nl", O_LANGUAGE,
            SWITCH("--dpia", 'D', "with an annex of risks for an impact assessment (art. 35)"),
            SWITCH("--html", 'H', "a page of HTML")),
    COMMAND("policy report", "", cmd_policy_report,
            "the monthly control report, counted from the access log (reading it is logged)",
            "sluis policy report --month 2026-11 --language nl", GATEWAY,
            VALUE("--month", 'm', "MONTH", "the month, as 2026-11 (needed)"), O_LANGUAGE),
    COMMAND("keys init", "", cmd_keys_init, "make the keyring of a new installation",
            "sluis keys init -c sluis.yaml", O_CONFIG, O_JSON, O_PASSPHRASE),
    COMMAND("keys clock-accept", "", cmd_keys_clock_accept,
            "say that the clock is right, after it was off for more than a day",
            "sluis keys clock-accept", GATEWAY),
    COMMAND(
        "purge", "[FROM TO]", cmd_purge,
        "destroy now what has expired, or state what was destroyed",
        "sluis purge --report 2026-11-01 2026-11-30 --lang nl", GATEWAY,
        O_DRY_RUN("say what would be destroyed"),
        SWITCH(
            "--apply-policy", 'a',
            "shorten what is stored to the terms of the policy in force, where these are shorter"),
        SWITCH("--report", 'r',
               "the signed statements of a period: FROM and TO, days as 2026-11-22 (UTC)"),
        VALUE("--lang", 'l', "LANG", "nl (default) or en, for --report")),
    COMMAND(
        "subject find", "IDENTIFIER", cmd_subject_find,
        "what is known of a person, by phone number or BSUID (- reads it); who had the number when",
        "sluis subject find +31612345678", GATEWAY),
    COMMAND("subject export", "IDENTIFIER", cmd_subject_export,
            "everything kept of a person and who saw it, as JSON (art. 15, 20)",
            "sluis subject export - < number > export.json", SOCKET),
    COMMAND("subject erase", "IDENTIFIER", cmd_subject_erase,
            "destroy the keys of a person; prints a signed certificate (art. 17)",
            "sluis subject erase +31612345678 --dry-run", GATEWAY,
            O_DRY_RUN("say what would be erased")),
    COMMAND(
        "subject certificate", "NUMBER", cmd_subject_certificate,
        "a certificate of erasure again, with what the routes that were told answered (art. 19)",
        "sluis subject certificate 1234", GATEWAY),
    COMMAND(
        "subject redact", "[IDENTIFIER]", cmd_subject_redact,
        "hide a text in a person's messages, or all of one message; the original's keys are "
        "destroyed",
        "sluis subject redact --message 812", GATEWAY, O_MESSAGE,
        VALUE("--text", 't', "TEXT", "only where this stands (- reads a line of standard input)"),
        O_DRY_RUN("say how many messages and places")),
    COMMAND(
        "subject correct", "[IDENTIFIER]", cmd_subject_correct,
        "put what is right in the place of what is not (art. 16); the original's keys are "
        "destroyed",
        "sluis subject correct --message 812 --text 'Dorpsstraat 1' --instead 'Dorpsstraat 11'",
        GATEWAY, O_MESSAGE,
        VALUE("--text", 't', "TEXT", "what stands there now (- reads a line of standard input)"),
        VALUE("--instead", 'i', "TEXT", "what is right (likewise)"),
        O_DRY_RUN("say how many messages and places")),
    COMMAND("subject unlink", "IDENTIFIER", cmd_subject_unlink,
            "undo the links that a change of number made; ask for a linked subject as #SERIAL",
            "sluis subject unlink +31612345678", GATEWAY),
    COMMAND("subject restrict", "IDENTIFIER", cmd_subject_restrict,
            "no delivery of this person's messages until it is lifted (art. 18)",
            "sluis subject restrict +31612345678", GATEWAY,
            SWITCH("--lift", 'l', "lift it: deliver again")),
    COMMAND(
        "subject hold", "IDENTIFIER", cmd_subject_hold,
        "keep what there is of a person, whatever expires (legal hold)",
        "sluis subject hold +31612345678 --reason 'bezwaar 2026/1' --author fg --until 2027-12-31",
        GATEWAY, VALUE("--reason", 'r', "TEXT", "why (needed)"),
        VALUE("--author", 'a', "NAME", "who ordered it (needed)"),
        VALUE("--until", 'u', "DAY",
              "day to look at it again, as 2027-12-31; it does not end of itself")),
    COMMAND("subject release", "IDENTIFIER", cmd_subject_release,
            "end a legal hold: what expired meanwhile is destroyed",
            "sluis subject release +31612345678", GATEWAY),
    COMMAND("consent add", "CONTACT", cmd_consent_add,
            "record why a contact may be written to first (- reads the contact)",
            "sluis consent add +31612345678 --basis consent --purpose nieuwsbrief --source balie",
            GATEWAY, VALUE("--basis", 'b', "BASIS", "consent, customer, contract or task"),
            VALUE("--purpose", 'p', "TEXT",
                  "what for, as in the policy's templates; default: anything"),
            VALUE("--source", 's', "TEXT", "where it was given"), O_TIME, O_CHANNEL_OF_MORE,
            VALUE("--reference", 'r', "TEXT", "the organisation's own number of this contact")),
    COMMAND(
        "consent list", "[CONTACT]", cmd_consent_list,
        "what is on record of a contact (- reads it), or of --reference",
        "sluis consent list --reference KL-10042", GATEWAY, O_CHANNEL_OF_MORE,
        VALUE("--reference", 'r', "TEXT", "by the organisation's own number, instead of CONTACT")),
    COMMAND("consent withdraw", "CONTACT", cmd_consent_withdraw,
            "a contact takes a consent back, or all of it (- reads the contact)",
            "sluis consent withdraw +31612345678 --all", GATEWAY,
            VALUE("--basis", 'b', "BASIS", "which: consent, customer, contract or task"),
            VALUE("--purpose", 'p', "TEXT", "of which purpose"),
            SWITCH("--all", 'a', "nothing may be begun any more, as if they had said STOP"), O_TIME,
            O_CHANNEL_OF_MORE),
    COMMAND(
        "consent import", "FILE", cmd_consent_import,
        "record a list: CSV (contact,basis,purpose,source,time,channel,reference) or JSON lines",
        "sluis consent import --dry-run lijst.csv", GATEWAY,
        VALUE("--channel", 'C', "NAME", "for lines that name none"),
        SWITCH("--dry-run", 'n', "look at every line, record nothing")),
    COMMAND("keys status", "", cmd_keys_status,
            "whose keyring, its generation, where the root key comes from", "sluis keys status",
            GATEWAY),
    COMMAND("keys rotate", "", cmd_keys_rotate,
            "a new root key; the old one opens nothing any more", "sluis keys rotate --lookup",
            GATEWAY, O_PASSPHRASE,
            SWITCH("--log", 'L', "a new key for the access log instead, signed by the old one"),
            SWITCH("--lookup", 'l',
                   "the look-up key instead (of itself after 30 days): the index is made anew")),
    COMMAND("keys unseal", "", cmd_keys_unseal,
            "give a sealed gateway the passphrase of its root key",
            "sluis keys unseal < /run/passphrase", GATEWAY, O_PASSPHRASE),
    COMMAND("keys recovery", "", cmd_keys_recovery,
            "make the key pair for backups of the keyring; the secret is shown once",
            "sluis keys recovery", O_CONFIG),
    COMMAND("backup list", "", cmd_backup_list, "registered backups of the keyring",
            "sluis backup list", GATEWAY),
    COMMAND("backup confirm", "N", cmd_backup_confirm,
            "say that keyring backup N is destroyed everywhere", "sluis backup confirm 3", GATEWAY),
    COMMAND("backup verify", "DIR", cmd_backup_verify,
            "prove a backup restorable with today's keyring",
            "sluis backup verify /var/backups/sluis-2027-01-01", GATEWAY),
    COMMAND(
        "backup", "", cmd_backup,
        "back up the running gateway into a new folder: data and keyring apart",
        "sluis backup --to /var/backups/sluis-2027-01-01 --verify", GATEWAY,
        VALUE("--to", 't', "DIR", "folder to make (needed); the gateway's user must be able to"),
        SWITCH("--verify", 'v', "prove it restorable afterwards"),
        VALUE("--keep", 'k', "DAYS",
              "days within which its keyring part must be destroyed, 1 to 366 (default 31)"),
        SWITCH("--data-only", 'd', "no backup of the keyring")),
    COMMAND("restore", "", cmd_restore,
            "put a backup in place, with no gateway running, into empty folders",
            "sluis restore --from /var/backups/sluis-2027-01-01", O_CONFIG,
            VALUE("--from", 'f', "DIR", "the data part, or the folder with it"),
            VALUE("--keyring", 'k', "FILE", "the keyring part; default: the keyring that is there"),
            VALUE("--recovery-key", 'r', "FILE", "file with the recovery secret"), O_PASSPHRASE),
};
/* Names are compared by tests/unit/access/test_permissions.c. */
_Static_assert(sizeof(cli_commands) / sizeof(cli_commands[0]) == PERMISSION_COMMAND_COUNT,
               "each command has a row in PERMISSION_COMMANDS (sluis/access/table.h)");

/* The table of commands, the parser of command lines, the help. */
#include "internal.h"

#include "sluis/access/table.h"
#include "sluis/cli.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define O_CONFIG                                                                                   \
    {                                                                                              \
        "--config", 'c', "FILE", false, "configuration (default " CLI_CONFIG ")"                   \
    }
#define O_SOCKET                                                                                   \
    {                                                                                              \
        "--socket", 's', "PATH", false, "control socket instead of the configuration's"            \
    }
#define O_JSON                                                                                     \
    {                                                                                              \
        "--json", 'j', NULL, false, "machine-readable output"                                      \
    }

#define O_AS                                                                                       \
    {                                                                                              \
        "--as", 'A', "NAME", false, "as this person: asks password and code on standard input"     \
    }
#define O_GLASS                                                                                    \
    {                                                                                              \
        "--break-glass", 'G', "REASON", false,                                                     \
            "as the operator, where officers should: raises an alarm, on record"                   \
    }
#define O_DRY_RUN                                                                                  \
    {                                                                                              \
        "--dry-run", 'd', NULL, false, "say what would be done"                                    \
    }

#define O_PASSPHRASE                                                                               \
    {                                                                                              \
        "--passphrase", 'p', "FILE", false,                                                        \
            "file with the passphrase, or - for standard input; never an argument"                 \
    }

static int run_scan(const struct cli_call *call)
{
    (void)call; /* scan reads its own options: see cli_main */
    return CLI_USAGE;
}

static const struct cli_command commands[] = {
    {"serve",
     "",
     "run the gateway",
     "sluis serve -c /etc/sluis/sluis.yaml",
     cmd_serve,
     {O_CONFIG,
      {"--accept-older-keyring", 'A', NULL, false,
       "start with a keyring restored from a backup, which may open what was destroyed since"},
      {"--accept-log", 'L', NULL, false,
       "start with an access log that is not the one of its last pushed checkpoint"},
      {"--accept-empty-store", 'E', NULL, false,
       "start with an empty store though the keyring was used with one"}}},
    {"check",
     "",
     "validate configuration and policies; file:line:column on error",
     "sluis check -c sluis.yaml",
     cmd_check,
     {O_CONFIG, O_JSON}},
    {"scan",
     "",
     "detect and mask text from standard input",
     "echo 'mijn rekening is NL91 ABNA 0417 1643 00' | sluis scan",
     run_scan,
     {{0}}},
    {"status",
     "",
     "what the running gateway is doing",
     "sluis status --json",
     cmd_status,
     {O_CONFIG, O_SOCKET, O_JSON}},
    {"reload",
     "",
     "read configuration and policies anew, all or nothing",
     "sluis reload",
     cmd_reload,
     {O_CONFIG, O_SOCKET, O_JSON, O_AS}},
    {"doctor",
     "",
     "find out what is wrong: gateway, routes, Meta's callback",
     "sluis doctor --route burgerzaken/webcare",
     cmd_doctor,
     {O_CONFIG,
      O_SOCKET,
      O_JSON,
      {"--route", 'r', "NAME", false, "send a signed test message to this route"},
      {"--meta", 'm', NULL, false, "ask Meta where each channel's callback points"},
      {"--store", 'S', NULL, false, "open every stored value and check its tag, while serving"}}},
    {"token add",
     "",
     "make a token for a tool; it is shown once",
     "sluis token add --name chatwoot --channel burgerzaken --route burgerzaken/webcare",
     cmd_token_add,
     {O_CONFIG,
      O_SOCKET,
      O_JSON,
      {"--name", 'n', "NAME", false, "name of the tool, for the access log"},
      {"--channel", 'C', "NAME", true, "channel it may use (repeat for more)"},
      {"--route", 'r', "NAME", false, "route on which this tool receives"},
      {"--expires", 'e', "DAYS", false, "valid for so many days (default: until revoked)"},
      {"--role", 'R', "ROLE", false, "role of its policy: rights, hours, profile"},
      {"--range", 'i', "RANGE", true, "address or range it may come from (repeat for more)"},
      O_AS,
      O_GLASS}},
    {"token rotate",
     "ID",
     "a new text for the same tool; the old one goes on for a day, or as said",
     "sluis token rotate 3 --overlap 48",
     cmd_token_rotate,
     {O_CONFIG,
      O_SOCKET,
      O_JSON,
      {"--overlap", 'o', "HOURS", false, "how long both are good (default 24, at most 744)"},
      O_AS,
      O_GLASS}},
    {"token list",
     "",
     "tokens and what they may use",
     "sluis token list",
     cmd_token_list,
     {O_CONFIG, O_SOCKET, O_JSON, O_AS}},
    {"token revoke",
     "ID",
     "make a token useless at once",
     "sluis token revoke 3",
     cmd_token_revoke,
     {O_CONFIG, O_SOCKET, O_JSON, O_AS}},
    {"person add",
     "NAME",
     "a person who may sign in; the enrolment is shown once",
     "sluis person add j.jansen",
     cmd_person_add,
     {O_CONFIG,
      O_SOCKET,
      O_JSON,
      {"--password", 'p', NULL, false,
       "ask for a password on standard input instead of making a one-time one"},
      O_AS,
      O_GLASS}},
    {"person reset",
     "NAME",
     "lost the phone or the password: a new enrolment; sessions end",
     "sluis person reset j.jansen",
     cmd_person_reset,
     {O_CONFIG, O_SOCKET, O_JSON, O_AS, O_GLASS}},
    {"person confirm",
     "NAME",
     "as a second officer: it was this person who enrolled; until then the roles do not count",
     "sluis person confirm j.jansen --as f.elamrani",
     cmd_person_confirm,
     {O_CONFIG, O_SOCKET, O_JSON, O_AS, O_GLASS}},
    {"person revoke",
     "NAME",
     "remove a person: at once, sessions and roles too",
     "sluis person revoke j.jansen",
     cmd_person_revoke,
     {O_CONFIG, O_SOCKET, O_JSON, O_DRY_RUN, O_AS}},
    {"person password",
     "",
     "choose a password of your own; signs in with the one you have",
     "sluis person password --as j.jansen",
     cmd_person_password,
     {O_CONFIG, O_SOCKET, O_JSON, O_AS}},
    {"person list",
     "",
     "persons, their roles and when they last came",
     "sluis person list",
     cmd_person_list,
     {O_CONFIG, O_SOCKET, O_JSON, O_AS}},
    {"role add",
     "",
     "grant a role of the policies in force to a person",
     "sluis role add --person j.jansen --role behandelaar --channel burgerzaken",
     cmd_role_add,
     {O_CONFIG,
      O_SOCKET,
      O_JSON,
      {"--person", 'p', "NAME", false, "to whom"},
      {"--role", 'r', "ROLE", false, "a role of the channels' policies"},
      {"--channel", 'C', "NAME", true, "on this channel (repeat for more)"},
      {"--all", 'a', NULL, false, "on every channel, later ones too"},
      O_AS,
      O_GLASS}},
    {"role list",
     "",
     "grants; with --review everything an access review asks for",
     "sluis role list --review",
     cmd_role_list,
     {O_CONFIG,
      O_SOCKET,
      O_JSON,
      {"--review", 'v', NULL, false,
       "each person and token: role, channels, granted by and when, last use"},
      O_AS}},
    {"role revoke",
     "ID",
     "take a grant back, at once",
     "sluis role revoke 3",
     cmd_role_revoke,
     {O_CONFIG, O_SOCKET, O_JSON, O_DRY_RUN, O_AS}},
    {"queue list",
     "",
     "deliveries waiting, parked or expired, and quarantine",
     "sluis queue list",
     cmd_queue_list,
     {O_CONFIG, O_SOCKET, O_JSON}},
    {"queue retry",
     "ROUTE [SERIAL]",
     "try again now; without SERIAL the whole route, which it resumes",
     "sluis queue retry burgerzaken/webcare",
     cmd_queue_retry,
     {O_CONFIG, O_SOCKET, O_JSON}},
    {"queue drop",
     "ROUTE SERIAL",
     "give up one delivery, on record",
     "sluis queue drop burgerzaken/webcare 4711 --dry-run",
     cmd_queue_drop,
     {O_CONFIG, O_SOCKET, O_JSON, {"--dry-run", 'd', NULL, false, "say what would be dropped"}}},
    {"audit list",
     "",
     "the access log, a JSON line per leaf (reading it is logged)",
     "sluis audit list --from 0 | jq .leaf.action",
     cmd_audit_list,
     {O_CONFIG,
      O_SOCKET,
      {"--json", 'j', NULL, false, "the same: it is JSON"},
      {"--from", 'f', "INDEX", false, "first leaf (default 0, or that of --since)"},
      {"--since", 'S', "TIME", false, "from this time on: 2026-11-21T22:30:00Z or its beginning"},
      {"--until", 't', "TIME", false, "before this time"},
      {"--actor", 'a', "NAME", false, "only of this actor"},
      {"--role", 'r', "NAME", false, "only of this role"},
      {"--subject", 'u', "HEX", false, "only about this pseudonym"},
      {"--action", 'n', "WORD", false, "only this action"},
      {"--outcome", 'o', "WORD", false, "only with this outcome"}}},
    {"audit export",
     "",
     "the log with what proves it, for sluis-verify (reading it is logged)",
     "sluis audit export --since 2026-11-01 --action send > export.jsonl",
     cmd_audit_export,
     {O_CONFIG,
      O_SOCKET,
      {"--since", 'f', "TIME", false, "from this time on: 2026-11-21T22:30:00Z or its beginning"},
      {"--until", 't', "TIME", false, "before this time"},
      {"--actor", 'a', "NAME", false, "only of this actor"},
      {"--role", 'r', "NAME", false, "only of this role"},
      {"--subject", 'u', "HEX", false, "only about this pseudonym"},
      {"--action", 'n', "WORD", false, "only this action"},
      {"--outcome", 'o', "WORD", false, "only with this outcome"},
      {"--checkpoint", 'k', "FILE", false,
       "earlier checkpoints (100 at most) that it is to be comparable with; without filters any "
       "are"}}},
    {"audit bundle",
     "FOLDER",
     "evidence about a person or an incident, with how to check it (reading the log is logged)",
     "sluis audit bundle incident-7 --since 2026-11-20 --until 2026-11-22",
     cmd_audit_bundle,
     {O_CONFIG,
      O_SOCKET,
      {"--since", 'f', "TIME", false, "from this time on: 2026-11-21T22:30:00Z or its beginning"},
      {"--until", 't', "TIME", false, "before this time"},
      {"--actor", 'a', "NAME", false, "only of this actor"},
      {"--role", 'r', "NAME", false, "only of this role"},
      {"--subject", 'u', "HEX", false, "only about this pseudonym (sluis subject find)"},
      {"--action", 'n', "WORD", false, "only this action"},
      {"--outcome", 'o', "WORD", false, "only with this outcome"},
      {"--checkpoint", 'k', "FILE", false,
       "earlier checkpoints (100 at most) that it is to be comparable with"}}},
    {"audit reconcile",
     "FILE",
     "what was delivered to a route beside what its tool says it received; FILE: any text with an "
     "X-Sluis-Delivery a line",
     "sluis audit reconcile --route burgerzaken/webcare received.txt --since 2026-11-20",
     cmd_audit_reconcile,
     {O_CONFIG,
      O_SOCKET,
      O_JSON,
      {"--route", 'r', "NAME", false, "channel/route"},
      {"--since", 'f', "TIME", false,
       "accepted from this time on: 2026-11-21T22:30 or its beginning"},
      {"--until", 't', "TIME", false, "accepted before this time"}}},
    {"audit checkpoint",
     "",
     "a signed checkpoint of the log as it stands, or the log's key",
     "sluis audit checkpoint --key > log.key",
     cmd_audit_checkpoint,
     {O_CONFIG,
      O_SOCKET,
      O_JSON,
      {"--key", 'k', NULL, false, "the verifier key instead, for the auditor's own file"}}},
    {"audit incident",
     "",
     "what left in a period, for a notification (AVG art. 33); Markdown, or --json",
     "sluis audit incident --from 2026-11-20 --to 2026-11-22 --token chatwoot",
     cmd_audit_incident,
     {O_CONFIG,
      O_SOCKET,
      O_JSON,
      {"--from", 'f', "TIME", false, "begin of the period"},
      {"--to", 't', "TIME", false, "its end"},
      {"--known", 'k', "TIME", false,
       "when it became known (default now): 72 hours count from there"},
      {"--route", 'r', "NAME", false, "only this route (channel/route)"},
      {"--token", 'T', "NAME", false, "only this token or person"}}},
    {"stats",
     "",
     "messages, waiting times and findings by channel, route and tag; never about one person",
     "sluis stats --channel burgerzaken --from 2026-11-01 --to 2026-12-01 --by day",
     cmd_stats,
     {O_CONFIG,
      O_SOCKET,
      O_JSON,
      {"--channel", 'C', "NAME", false, "the channel"},
      {"--from", 'f', "TIME", false, "begin of the period, UTC (default a week ago)"},
      {"--to", 't', "TIME", false, "its end (default now)"},
      {"--by", 'b', "UNIT", false, "all (default), day or hour"}}},
    {"history list",
     "",
     "conversations of a channel, newest first",
     "sluis history list --channel burgerzaken --from 2026-11-01",
     cmd_history_list,
     {O_CONFIG,
      O_SOCKET,
      O_JSON,
      {"--channel", 'C', "NAME", false, "channel"},
      {"--from", 'f', "TIME", false, "taken at or after this time, or day"},
      {"--to", 't', "TIME", false, "taken before this time"},
      {"--tag", 'g', "TAG", false, "only with this tag"},
      {"--purpose", 'p', "TEXT", false, "why, for the access log"},
      {"--reference", 'r', "TEXT", false, "case or ticket"}}},
    {"history show",
     "[IDENTIFIER]",
     "messages of a conversation, masked, newest first",
     "sluis history show +31612345678 --channel burgerzaken",
     cmd_history_show,
     {O_CONFIG,
      O_SOCKET,
      O_JSON,
      {"--channel", 'C', "NAME", false, "channel"},
      {"--conversation", 'v', "ID", false, "instead of a phone number"},
      {"--from", 'f', "TIME", false, "taken at or after this time, or day"},
      {"--to", 't', "TIME", false, "taken before this time"},
      {"--tag", 'g', "TAG", false, "only with this tag"},
      {"--purpose", 'p', "TEXT", false, "why, for the access log"},
      {"--reference", 'r', "TEXT", false, "case or ticket"}}},
    {"history search",
     "",
     "search a period and channel, masked; a purpose and a reference are needed",
     "sluis history search --channel burgerzaken --from 2026-11-01 --to 2026-12-01 --word lekkage "
     "--purpose klacht --reference Z-12",
     cmd_history_search,
     {O_CONFIG,
      O_SOCKET,
      O_JSON,
      {"--channel", 'C', "NAME", false, "channel"},
      {"--from", 'f', "TIME", false, "taken at or after this time, or day"},
      {"--to", 't', "TIME", false, "taken before this time"},
      {"--word", 'w', "TEXT", true, "a word that must occur (repeat for more)"},
      {"--tag", 'g', "TAG", false, "only with this tag"},
      {"--purpose", 'p', "TEXT", false, "why, for the access log"},
      {"--reference", 'r', "TEXT", false, "case or ticket"}}},
    {"history export",
     "[IDENTIFIER]",
     "a conversation with its metadata, JSON or HTML without script",
     "sluis history export +31612345678 --channel burgerzaken --form html --out gesprek.html",
     cmd_history_export,
     {O_CONFIG,
      O_SOCKET,
      O_JSON,
      {"--channel", 'C', "NAME", false, "channel"},
      {"--conversation", 'v', "ID", false, "instead of a phone number"},
      {"--from", 'f', "TIME", false, "taken at or after this time, or day"},
      {"--to", 't', "TIME", false, "taken before this time"},
      {"--form", 'F', "FORM", false, "json (default) or html"},
      {"--out", 'o', "FILE", false, "write here; kept only when it is whole"},
      {"--purpose", 'p', "TEXT", false, "why, for the access log"},
      {"--reference", 'r', "TEXT", false, "case or ticket"}}},
    {"history expiring",
     "",
     "what the selection list demanded was kept and is about to end",
     "sluis history expiring --channel burgerzaken --before 2027-01-01",
     cmd_history_expiring,
     {O_CONFIG,
      O_SOCKET,
      O_JSON,
      {"--channel", 'C', "NAME", false, "channel"},
      {"--before", 'b', "TIME", false, "ends before this time"},
      {"--purpose", 'p', "TEXT", false, "why, for the access log"},
      {"--reference", 'r', "TEXT", false, "case or ticket"}}},
    {"image",
     "FILE...",
     "inspect pictures: what is seen, what is covered, the covered copy",
     "sluis image pas.jpg -o afgeschermd.jpg --sheet vergelijk.png",
     cmd_image,
     {O_JSON,
      {"--output", 'o', "OUT", false,
       "write the covered picture there (a folder for several files)"},
      {"--sheet", 's', "OUT.png", false, "before and after, side by side, of the first 12 files"},
      {"--models", 'm', "FOLDER", false,
       "models of the worker; else $SLUIS_MODELS or its own search"},
      {"--policy", 'p', "FILE", false,
       "what this policy says of pictures, its recognisers (default: cover all)"}}},
    {"policy check",
     "FILE...",
     "validate policies alone; file:line:column on error",
     "sluis policy check policies/gemeente.yaml",
     cmd_policy_check,
     {O_JSON, {"--strict", 's', NULL, false, "exit 1 on warnings too"}}},
    {"policy explain",
     "",
     "what a policy does with one message: readers, notices, sending; and which line says so",
     "echo 'mijn rekening is NL91 ABNA 0417 1643 00' | sluis policy explain -p gemeente.yaml",
     cmd_policy_explain,
     {{"--policy", 'p', "FILE", false, "the policy"},
      {"--text", 't', "TEXT", false, "the message (default: standard input, safer: see ps)"},
      {"--from", 'f', "WHO", false, "customer (default) or agent: then also what goes out"},
      {"--asked", 'a', "TEXT", false, "what an agent wrote just before"},
      {"--channel", 'C', "NAME", false, "on this channel, where rules name channels"},
      {"--route", 'r', "NAME", false, "this route only"},
      {"--role", 'R', "NAME", false, "the agent's role, for what goes out"},
      {"--template", 'T', "NAME", false, "the agent sends it by this template"},
      {"--at", 'A', "TIME", false, "sent at this moment: '2026-11-23 10:00'"},
      {"--consent", 'g', NULL, false, "the contact opted in"},
      {"--first", '1', NULL, false, "the contact's first message"},
      {"--picture", 'P', "CLASS", false,
       "it is a picture in which this was seen: card, clean ..."}}},
    {"policy test",
     "FILE...",
     "run the tests of policies (NAME.test.yaml); TAP, and which rules were not tested",
     "sluis policy test policies/*.test.yaml",
     cmd_policy_test,
     {{"--all-rules", 'a', NULL, false, "exit 1 when a rule is not tested"}}},
    {"policy diff",
     "OLD NEW",
     "what becomes looser and what stricter; exit 1 when anything becomes looser",
     "sluis policy diff policies/gemeente.yaml new.yaml",
     cmd_policy_diff,
     {O_CONFIG,
      O_SOCKET,
      O_JSON,
      {"--replay", 'R', "PERIOD", false,
       "what would have changed over this time (7d), by the running gateway: counts and rules"},
      {"--channel", 'C', "NAME", false, "with --replay: this channel only"}}},
    {"policy approve",
     "NAME",
     "agree, as the second officer, with a policy that is looser; it is then in force",
     "sluis policy approve gemeente --as f.elamrani",
     cmd_policy_approve,
     {O_CONFIG,
      O_SOCKET,
      O_JSON,
      {"--dry-run", 'd', NULL, false, "say what becomes looser, and the hash"},
      {"--hash", 'H', "HEX", false, "only if the file has the hash that begins so"},
      O_AS,
      O_GLASS}},
    {"policy versions",
     "",
     "policies that were put forward: hash, author, approver, when",
     "sluis policy versions",
     cmd_policy_versions,
     {O_CONFIG, O_SOCKET, O_JSON, O_AS}},
    {"policy register",
     "FILE",
     "the entry in the register of processing activities (AVG art. 30), Markdown or HTML",
     "sluis policy register policies/gemeente.yaml --language nl",
     cmd_policy_register,
     {{"--language", 'l', "LANGUAGE", false, "nl (default) or en"},
      {"--dpia", 'D', NULL, false, "with an annex of risks for an impact assessment (art. 35)"},
      {"--html", 'H', NULL, false, "a page of HTML"}}},
    {"policy report",
     "",
     "the monthly control report, counted from the access log (reading it is logged)",
     "sluis policy report --month 2026-11 --language nl",
     cmd_policy_report,
     {O_CONFIG,
      O_SOCKET,
      O_JSON,
      {"--month", 'm', "MONTH", false, "2026-11"},
      {"--language", 'l', "LANGUAGE", false, "nl (default) or en"}}},
    {"keys init",
     "",
     "make the keyring of a new installation",
     "sluis keys init -c sluis.yaml",
     cmd_keys_init,
     {O_CONFIG, O_JSON, O_PASSPHRASE}},
    {"keys clock-accept",
     "",
     "say that the clock is right, after it was off for more than a day",
     "sluis keys clock-accept",
     cmd_keys_clock_accept,
     {O_CONFIG, O_SOCKET, O_JSON}},
    {"purge",
     "[FROM TO]",
     "destroy now what has expired, or state what was destroyed",
     "sluis purge --report 2026-11-01 2026-11-30 --lang nl",
     cmd_purge,
     {O_CONFIG,
      O_SOCKET,
      O_JSON,
      {"--dry-run", 'd', NULL, false, "say what would be destroyed"},
      {"--apply-policy", 'a', NULL, false,
       "bring what is stored down to the terms of the policy in force, where they are shorter"},
      {"--report", 'r', NULL, false, "the signed statements of a period (days, UTC)"},
      {"--lang", 'l', "LANG", false, "nl (default) or en, for --report"}}},
    {"subject find",
     "IDENTIFIER",
     "what is known of a person, by phone number or BSUID (- reads it), and who had the number "
     "when",
     "sluis subject find +31612345678",
     cmd_subject_find,
     {O_CONFIG, O_SOCKET, O_JSON}},
    {"subject export",
     "IDENTIFIER",
     "everything kept of a person and who saw it, as JSON (art. 15, 20)",
     "sluis subject export - < number > export.json",
     cmd_subject_export,
     {O_CONFIG, O_SOCKET}},
    {"subject erase",
     "IDENTIFIER",
     "destroy the keys of a person; prints a signed certificate (art. 17)",
     "sluis subject erase +31612345678 --dry-run",
     cmd_subject_erase,
     {O_CONFIG, O_SOCKET, O_JSON, {"--dry-run", 'd', NULL, false, "say what would be erased"}}},
    {"subject certificate",
     "NUMBER",
     "a certificate of erasure again, with what the routes that were told answered (art. 19)",
     "sluis subject certificate 1234",
     cmd_subject_certificate,
     {O_CONFIG, O_SOCKET, O_JSON}},
    {"subject redact",
     "[IDENTIFIER]",
     "hide a text in a person's messages, or all that one message says; its keys are destroyed",
     "sluis subject redact --message 812",
     cmd_subject_redact,
     {O_CONFIG,
      O_SOCKET,
      O_JSON,
      {"--message", 'm', "N", false, "this message, by its serial (`sluis subject export`)"},
      {"--text", 't', "TEXT", false, "only where this stands (- reads a line of standard input)"},
      {"--dry-run", 'd', NULL, false, "say how many messages and places"}}},
    {"subject correct",
     "[IDENTIFIER]",
     "put what is right in the place of what is not (art. 16); the original's keys are destroyed",
     "sluis subject correct --message 812 --text 'Dorpsstraat 1' --instead 'Dorpsstraat 11'",
     cmd_subject_correct,
     {O_CONFIG,
      O_SOCKET,
      O_JSON,
      {"--message", 'm', "N", false, "this message, by its serial (`sluis subject export`)"},
      {"--text", 't', "TEXT", false, "what stands there now (- reads a line of standard input)"},
      {"--instead", 'i', "TEXT", false, "what is right (likewise)"},
      {"--dry-run", 'd', NULL, false, "say how many messages and places"}}},
    {"subject unlink",
     "IDENTIFIER",
     "take away the links that a change of number made; linked subjects are asked for as #SERIAL",
     "sluis subject unlink +31612345678",
     cmd_subject_unlink,
     {O_CONFIG, O_SOCKET, O_JSON}},
    {"subject restrict",
     "IDENTIFIER",
     "no delivery of this person's messages until it is lifted (art. 18)",
     "sluis subject restrict +31612345678",
     cmd_subject_restrict,
     {O_CONFIG, O_SOCKET, O_JSON, {"--lift", 'l', NULL, false, "deliver again"}}},
    {"subject hold",
     "IDENTIFIER",
     "keep what there is of a person, whatever expires (legal hold)",
     "sluis subject hold +31612345678 --reason 'bezwaar 2026/1' --author fg --until 2027-12-31",
     cmd_subject_hold,
     {O_CONFIG,
      O_SOCKET,
      O_JSON,
      {"--reason", 'r', "TEXT", false, "why"},
      {"--author", 'a', "NAME", false, "who ordered it"},
      {"--until", 'u', "DAY", false,
       "when it is to be looked at again; it does not end of itself"}}},
    {"subject release",
     "IDENTIFIER",
     "end a legal hold: what expired meanwhile is destroyed",
     "sluis subject release +31612345678",
     cmd_subject_release,
     {O_CONFIG, O_SOCKET, O_JSON}},
    {"consent add",
     "CONTACT",
     "record why a contact may be written to first (- reads the contact)",
     "sluis consent add +31612345678 --basis consent --purpose nieuwsbrief --source balie",
     cmd_consent_add,
     {O_CONFIG,
      O_SOCKET,
      O_JSON,
      {"--basis", 'b', "BASIS", false, "consent, customer, contract or task"},
      {"--purpose", 'p', "TEXT", false,
       "what for, as in the policy's templates; default: anything"},
      {"--source", 's', "TEXT", false, "where it was given"},
      {"--time", 't', "TIME", false, "when, a day or a moment in UTC; default now"},
      {"--channel", 'C', "NAME", false, "the channel, when there are more"},
      {"--reference", 'r', "TEXT", false, "the organisation's own number of this contact"}}},
    {"consent list",
     "CONTACT",
     "what is on record of a contact (- reads it)",
     "sluis consent list --reference KL-10042",
     cmd_consent_list,
     {O_CONFIG,
      O_SOCKET,
      O_JSON,
      {"--channel", 'C', "NAME", false, "the channel, when there are more"},
      {"--reference", 'r', "TEXT", false, "by the organisation's own number"}}},
    {"consent withdraw",
     "CONTACT",
     "a contact takes a consent back, or all of it (- reads the contact)",
     "sluis consent withdraw +31612345678 --all",
     cmd_consent_withdraw,
     {O_CONFIG,
      O_SOCKET,
      O_JSON,
      {"--basis", 'b', "BASIS", false, "which: consent, customer, contract or task"},
      {"--purpose", 'p', "TEXT", false, "of which purpose"},
      {"--all", 'a', NULL, false, "nothing may be begun any more, as if they had said STOP"},
      {"--time", 't', "TIME", false, "when, a day or a moment in UTC; default now"},
      {"--channel", 'C', "NAME", false, "the channel, when there are more"}}},
    {"consent import",
     "FILE",
     "record a list: CSV (contact,basis,purpose,source,time,channel,reference) or JSON lines",
     "sluis consent import --dry-run lijst.csv",
     cmd_consent_import,
     {O_CONFIG,
      O_SOCKET,
      O_JSON,
      {"--channel", 'C', "NAME", false, "for lines that name none"},
      {"--dry-run", 'n', NULL, false, "look at every line, record nothing"}}},
    {"keys status",
     "",
     "whose keyring, its generation, where the root key comes from",
     "sluis keys status",
     cmd_keys_status,
     {O_CONFIG, O_SOCKET, O_JSON}},
    {"keys rotate",
     "",
     "a new root key; the old one opens nothing any more",
     "sluis keys rotate --lookup",
     cmd_keys_rotate,
     {O_CONFIG,
      O_SOCKET,
      O_JSON,
      O_PASSPHRASE,
      {"--log", 'L', NULL, false, "a new key for the access log instead, signed by the old one"},
      {"--lookup", 'l', NULL, false,
       "the look-up key instead (of itself after 30 days): the index is made anew"}}},
    {"keys unseal",
     "",
     "give a sealed gateway the passphrase of its root key",
     "sluis keys unseal < /run/passphrase",
     cmd_keys_unseal,
     {O_CONFIG, O_SOCKET, O_JSON, O_PASSPHRASE}},
    {"keys recovery",
     "",
     "make the key pair for backups of the keyring; the secret is shown once",
     "sluis keys recovery",
     cmd_keys_recovery,
     {O_CONFIG}},
    {"backup list",
     "",
     "registered backups of the keyring",
     "sluis backup list",
     cmd_backup_list,
     {O_CONFIG, O_SOCKET, O_JSON}},
    {"backup confirm",
     "N",
     "say that keyring backup N is destroyed everywhere",
     "sluis backup confirm 3",
     cmd_backup_confirm,
     {O_CONFIG, O_SOCKET, O_JSON}},
    {"backup verify",
     "DIR",
     "prove a backup restorable with today's keyring",
     "sluis backup verify /var/backups/sluis-2027-01-01",
     cmd_backup_verify,
     {O_CONFIG, O_SOCKET, O_JSON}},
    {"backup",
     "",
     "back up the running gateway into a new folder: data and keyring apart",
     "sluis backup --to /var/backups/sluis-2027-01-01 --verify",
     cmd_backup,
     {O_CONFIG,
      O_SOCKET,
      O_JSON,
      {"--to", 't', "DIR", false, "folder to make; the gateway's user must be able to"},
      {"--verify", 'v', NULL, false, "prove it restorable afterwards"},
      {"--keep", 'k', "DAYS", false, "keyring part: to be destroyed within (default 31)"},
      {"--data-only", 'd', NULL, false, "no backup of the keyring"}}},
    {"restore",
     "",
     "put a backup in place, with no gateway running, into empty folders",
     "sluis restore --from /var/backups/sluis-2027-01-01",
     cmd_restore,
     {O_CONFIG,
      {"--from", 'f', "DIR", false, "the data part, or the folder with it"},
      {"--keyring", 'k', "FILE", false, "the keyring part; default: the keyring that is there"},
      {"--recovery-key", 'r', "FILE", false, "file with the recovery secret"},
      O_PASSPHRASE}},
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))
/* Names are compared by tests/unit/access/test_permissions.c. */
_Static_assert(COMMANDS == PERMISSION_COMMAND_COUNT,
               "each command has a row in PERMISSION_COMMANDS (sluis/access/table.h)");

/* Commands of the contract that come with later versions: named, so that nobody thinks of a typing
 * error. */
static const char *const later[] = {
    NULL, /* none: the last row ends the list */
};

/* The i-th option of a command, NULL after the last: its own, and --as for whatever the gateway
 * decides, so that each such command can be given, and stands on record, by a person's name. */
static const struct cli_option *option_at(const struct cli_command *c, unsigned i)
{
#define X(name, where) PERMISSION_##where,
    static const uint8_t decides[] = {PERMISSION_COMMANDS(X)};
#undef X
    static const struct cli_option as = O_AS;
    unsigned own = 0;
    bool has = decides[c - commands] == PERMISSION_LOCAL;
    for (; own < CLI_OPTIONS_MAX && c->options[own].name; own++)
        has = has || strcmp(c->options[own].name, as.name) == 0;
    return i < own ? &c->options[i] : i == own && !has ? &as : NULL;
}

static void print_command(FILE *out, const struct cli_command *c)
{
    fprintf(out, "usage: sluis %s%s%s [options]\n\n%s\n", c->name, c->usage[0] ? " " : "", c->usage,
            c->help);
    if (c->options[0].name)
        fprintf(out, "\noptions\n");
    const struct cli_option *o;
    for (unsigned i = 0; (o = option_at(c, i)); i++) {
        char left[64];
        snprintf(left, sizeof(left), "-%c, %s%s%s", o->letter, o->name, o->value ? " " : "",
                 o->value ? o->value : "");
        fprintf(out, "  %-24s %s\n", left, o->help);
    }
    fprintf(out, "\nexample\n  %s\n", c->example);
}

static void print_all(FILE *out)
{
    fprintf(out, "Sluis " SLUIS_VERSION ", privacy gateway for the WhatsApp Business Cloud API\n\n"
                 "usage: sluis COMMAND [options]      sluis COMMAND --help\n\n");
    for (size_t i = 0; i < COMMANDS; i++) {
        char left[64];
        snprintf(left, sizeof(left), "%s %s", commands[i].name, commands[i].usage);
        fprintf(out, "  %-28s %s\n", left, commands[i].help);
    }
    fprintf(out, "\nexit codes: 0 done, 1 refused or failed, 2 usage, 3 restored with keys that "
                 "open too much\n");
}

/* For the test of the manual: a line per command and per option. Not in the help. */
static void print_table(void)
{
    for (size_t i = 0; i < COMMANDS; i++) {
        const struct cli_command *c = &commands[i];
        printf("command\tsluis %s%s%s\t%s\n", c->name, c->usage[0] ? " " : "", c->usage, c->help);
        const struct cli_option *o;
        for (unsigned k = 0; (o = option_at(c, k)); k++) {
            printf("option\t-%c, %s%s%s\t%s\n", o->letter, o->name, o->value ? " " : "",
                   o->value ? o->value : "", o->help);
        }
    }
    for (size_t i = 0; later[i]; i++)
        printf("later\tsluis %s\n", later[i]);
}

const char *cli_value(const struct cli_call *call, const char *name, unsigned nth)
{
    for (unsigned i = 0; i < call->given_count; i++)
        if (strcmp(call->given[i].option->name, name) == 0 && nth-- == 0)
            return call->given[i].value ? call->given[i].value : "";
    return NULL;
}

bool cli_has(const struct cli_call *call, const char *name)
{
    return cli_value(call, name, 0) != NULL;
}

int cli_usage(const struct cli_call *call, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "sluis %s: ", call->command->name);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\nsee: sluis %s --help\n", call->command->name);
    return CLI_USAGE;
}

/* "--name=value" gives *value. */
static const struct cli_option *find_option(const struct cli_command *c, const char *text,
                                            const char **value)
{
    *value = NULL;
    const struct cli_option *o;
    for (unsigned i = 0; (o = option_at(c, i)); i++) {
        size_t n = strlen(o->name);
        if (strncmp(text, o->name, n) == 0 && text[n] == '=' && o->value) {
            *value = text + n + 1;
            return o;
        }
        if (strcmp(text, o->name) == 0 ||
            (text[0] == '-' && text[1] == o->letter && o->letter && !text[2]))
            return o;
    }
    return NULL;
}

static int parse(struct cli_call *call, int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        if (argv[i][0] != '-' || !argv[i][1]) {
            if (call->word_count == CLI_WORDS_MAX)
                return cli_usage(call, "too many words");
            call->words[call->word_count++] = argv[i];
            continue;
        }
        const char *value;
        const struct cli_option *o = find_option(call->command, argv[i], &value);
        if (!o)
            return cli_usage(call, "unknown option %s", argv[i]);
        if (!o->repeated && cli_has(call, o->name))
            return cli_usage(call, "%s is given twice", o->name);
        if (o->value && !value && i + 1 == argc)
            return cli_usage(call, "%s needs a %s", o->name, o->value);
        if (call->given_count == sizeof(call->given) / sizeof(call->given[0]))
            return cli_usage(call, "too many options");
        call->given[call->given_count].option = o;
        call->given[call->given_count++].value = !o->value ? NULL : value ? value : argv[++i];
    }
    return CLI_DONE;
}

/* How many of the words are this command's name; 0 when it is another. */
static int name_words(const char *name, int argc, char **argv)
{
    struct span rest = span_str(name);
    int n = 0;
    while (rest.n) {
        size_t end = span_find(rest, ' ');
        if (n == argc || !span_is(span_sub(rest, 0, end), argv[n]))
            return 0;
        rest = span_from(rest, end + 1);
        n++;
    }
    return n;
}

static bool is_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0;
}

/* "sluis token": the commands whose first word that is. True when there are any. */
static bool print_group(const char *word, bool asked)
{
    bool any = false;
    size_t n = strlen(word);
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strncmp(commands[i].name, word, n) != 0 || commands[i].name[n] != ' ')
            continue;
        if (!any && !asked)
            fprintf(stderr, "sluis %s: which of these?\n", word);
        any = true;
        char left[64];
        snprintf(left, sizeof(left), "%s %s", commands[i].name, commands[i].usage);
        fprintf(asked ? stdout : stderr, "  %-28s %s\n", left, commands[i].help);
    }
    return any;
}

static int unknown(int argc, char **argv)
{
    for (size_t i = 0; later[i]; i++) {
        if (name_words(later[i], argc, argv)) {
            fprintf(stderr, "sluis %s: not available in this version\n", later[i]);
            return CLI_USAGE;
        }
    }
    if (print_group(argv[0], argc > 1 && is_help(argv[1])))
        return argc > 1 && is_help(argv[1]) ? CLI_DONE : CLI_USAGE;
    fprintf(stderr, "sluis: unknown command %s\nsee: sluis --help\n", argv[0]);
    return CLI_USAGE;
}

int cli_main(int argc, char **argv)
{
    if (argc < 2) {
        print_all(stderr);
        return CLI_USAGE;
    }
    if (is_help(argv[1])) {
        print_all(stdout);
        return CLI_DONE;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "version") == 0) {
        printf("sluis " SLUIS_VERSION "\n");
        return CLI_DONE;
    }
    if (strcmp(argv[1], "--commands") == 0) {
        print_table();
        return CLI_DONE;
    }
#ifdef SLUIS_HAS_SCAN
    if (strcmp(argv[1], "scan") == 0)
        return cmd_scan(argc - 1, argv + 1);
#endif
    for (size_t i = 0; i < COMMANDS; i++) {
        int n = name_words(commands[i].name, argc - 1, argv + 1);
        if (!n)
            continue;
        for (int k = 1 + n; k < argc; k++) {
            if (is_help(argv[k])) {
                print_command(stdout, &commands[i]);
                return CLI_DONE;
            }
        }
        char session[CLI_SESSION_SIZE] = "";
        struct cli_call call = {.command = &commands[i], .session = session};
        int r = parse(&call, argc - 1 - n, argv + 1 + n);
        if (r == 0) {
            r = commands[i].run(&call);
            control_sign_out(&call);
        }
        return r;
    }
    return unknown(argc - 1, argv + 1);
}

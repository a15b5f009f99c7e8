/*
 * `sluis audit bundle`: evidence about a person or an incident for somebody else: the leaves, what
 * proves them, the log's key, and how to check all that without Sluis' gateway.
 */
#include "internal.h"
#include "sluis/audit.h"

#include <errno.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_ROOM 4096

static const char how[] =
    "Bewijsbundel uit het toegangslogboek van Sluis\n"
    "==============================================\n"
    "export.jsonl   de regels die bij het filter horen, met het bewijs dat ze in het logboek "
    "staan\n"
    "log.key        de sleutel waarmee het logboek nu wordt ondertekend\n"
    "checkpoint     het ondertekende controlepunt van dit logboek\n\n"
    "Controleren, op een andere machine, zonder toegang tot Sluis:\n\n"
    "    sluis-verify export.jsonl --key log.key\n\n"
    "Gebruik liever de sleutel die u zelf bewaarde toen het logboek begon, en de controlepunten "
    "die\n"
    "u sindsdien kreeg: dan blijkt ook dat er sindsdien niets is veranderd of verwijderd.\n\n"
    "    sluis-verify export.jsonl --key UW-SLEUTEL --checkpoint UW-CONTROLEPUNTEN\n\n"
    "Wat niet blijkt: dat Sluis alles heeft vastgelegd wat er gebeurde. Dat rust op het programma\n"
    "dat geinstalleerd was; zijn build-id staat in de regels met actie \"start\" en \"reload\".\n\n"
    "Evidence from the access log of Sluis\n"
    "=====================================\n"
    "export.jsonl   the leaves that fit the filter, with the proof that they stand in the log\n"
    "log.key        the key that signs the log now\n"
    "checkpoint     the signed checkpoint of this log\n\n"
    "To check it, on another machine, without access to Sluis: `sluis-verify export.jsonl --key\n"
    "log.key`; better with the key and the checkpoints that you kept yourself, which shows as "
    "well\n"
    "that nothing was changed or removed since. What it does not show is that Sluis recorded all\n"
    "that happened: that rests on the program installed, whose build id stands in the leaves with\n"
    "action \"start\" and \"reload\".\n";

static FILE *create(const char *folder, const char *name)
{
    char path[PATH_ROOM];
    int n = snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *f = n > 0 && (size_t)n < sizeof(path) ? fopen(path, "wxe") : NULL;
    if (!f)
        fprintf(stderr, "sluis audit bundle: %s/%s: %s\n", folder, name,
                strerror(n > 0 && (size_t)n < sizeof(path) ? errno : ENAMETOOLONG));
    return f;
}

static int finish(FILE *f, const char *name)
{
    bool bad = ferror(f) != 0;
    bad = fflush(f) != 0 || fsync(fileno(f)) != 0 || bad;
    bad = fclose(f) != 0 || bad;
    if (bad)
        fprintf(stderr, "sluis audit bundle: %s could not be written whole: %s\n", name,
                strerror(errno));
    return bad ? CLI_FAILED : CLI_DONE;
}

static int put_key(const struct cli_call *call, FILE *out)
{
    struct control_answer a;
    char key[512];
    int r = control_call(call, HTTP_GET, "/sluis/v1/log/key", SPAN_EMPTY, &a);
    if (r != CLI_DONE)
        return r;
    fprintf(out, "%s\n", print_member(&a, 0, "key", key, sizeof(key)));
    control_free(&a);
    return CLI_DONE;
}

/* The one that the export is proven by: a later one would say that the export was cut off. */
static int put_checkpoint(const struct cli_call *call, FILE *out)
{
    char path[PATH_ROOM], *text = NULL;
    size_t room = 0;
    ssize_t n;
    struct export_line line;
    struct buffer note;
    int r = CLI_FAILED;
    snprintf(path, sizeof(path), "%s/export.jsonl", call->words[0]);
    FILE *in = fopen(path, "re");
    buffer_init(&note, NOTE_MAX);
    while (in && r != CLI_DONE && (n = getline(&text, &room, in)) > 0) {
        if (export_line_read(span_of(text, (size_t)n - 1), &line) != 0 ||
            (line.kind != EXPORT_CHECKPOINT && line.kind != EXPORT_KEY_CHANGE))
            break;
        if (line.kind == EXPORT_CHECKPOINT && export_note_read(line.text, &note) == 0 &&
            fwrite(note.p, 1, note.n, out) == note.n)
            r = CLI_DONE;
    }
    if (in)
        fclose(in);
    free(text);
    buffer_free(&note);
    return r;
}

static int put_how(const struct cli_call *call, FILE *out)
{
    (void)call;
    fputs(how, out);
    return CLI_DONE;
}

int cmd_audit_bundle(const struct cli_call *call)
{
    static const struct {
        const char *name;
        int (*write)(const struct cli_call *call, FILE *out);
    } files[] = {{"export.jsonl", audit_export_write},
                 {"log.key", put_key},
                 {"checkpoint", put_checkpoint},
                 {"README.txt", put_how}};
    if (call->word_count != 1)
        return cli_usage(call, "FOLDER is needed, one that does not exist yet");
    const char *folder = call->words[0];
    if (mkdir(folder, 0700) != 0) {
        fprintf(stderr, "sluis audit bundle: %s: %s\n", folder, strerror(errno));
        return CLI_FAILED;
    }
    int r = CLI_DONE;
    for (size_t i = 0; r == CLI_DONE && i < sizeof(files) / sizeof(files[0]); i++) {
        FILE *f = create(folder, files[i].name);
        if (!f)
            return CLI_FAILED;
        r = files[i].write(call, f);
        int end = finish(f, files[i].name);
        r = r ? r : end;
    }
    if (r == CLI_DONE)
        fprintf(stderr, "%s: to check it: sluis-verify %s/export.jsonl --key %s/log.key\n", folder,
                folder, folder);
    else
        fprintf(stderr, "sluis audit bundle: %s is not whole; do not hand it on\n", folder);
    return r;
}

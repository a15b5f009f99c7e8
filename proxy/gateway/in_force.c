/*
 * What is in force, on record at every start and change: the program (its build id), the
 * configuration, and the policy of every channel. The access log's completeness rests on the
 * program that is installed, so an auditor must be able to tell which one wrote it.
 */
#include "internal.h"

#include "sluis/base/clock.h"
#include "sluis/base/encode.h"

#include <elf.h>
#include <link.h>
#include <string.h>

#define BUILD_ID_BYTES 20 /* SHA-1, as the linker makes it (--build-id) */
#define BUILD_ID_HEX (2 * BUILD_ID_BYTES + 1)

struct build {
    uint8_t id[BUILD_ID_BYTES];
    size_t n;
};

static size_t padded(size_t n)
{
    return (n + 3) & ~(size_t)3;
}

/* The first object is the program itself. */
static int find_note(struct dl_phdr_info *info, size_t size, void *ctx)
{
    struct build *build = ctx;
    (void)size;
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        if (segment->p_type != PT_NOTE)
            continue;
        const char *p = (const char *)(info->dlpi_addr + segment->p_vaddr);
        size_t left = segment->p_memsz;
        while (left >= sizeof(ElfW(Nhdr))) {
            ElfW(Nhdr) note;
            memcpy(&note, p, sizeof(note));
            size_t whole = sizeof(note) + padded(note.n_namesz) + padded(note.n_descsz);
            if (whole > left)
                break;
            const char *name = p + sizeof(note), *value = name + padded(note.n_namesz);
            if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 &&
                memcmp(name, "GNU", 4) == 0 && note.n_descsz <= sizeof(build->id)) {
                memcpy(build->id, value, note.n_descsz);
                build->n = note.n_descsz;
                return 1;
            }
            p += whole;
            left -= whole;
        }
    }
    return 1;
}

void build_id(char out[BUILD_ID_HEX])
{
    struct build build = {.n = 0};
    dl_iterate_phdr(find_note, &build);
    hex_encode(build.id, build.n, out);
}

struct in_force {
    struct store_job job;
    const struct config *config;
    enum audit_action action;
    const char *actor, *outcome;
    char build[BUILD_ID_HEX];
    int64_t at_ms;
};

static int put_all(struct store_txn *txn, struct store_job *job)
{
    const struct in_force *f = (struct in_force *)job;
    struct audit_event event = {.at_ms = f->at_ms,
                                .action = f->action,
                                .actor = f->actor,
                                .claimed = "sluis-" SLUIS_VERSION,
                                .build = f->build[0] ? f->build : NULL,
                                .config_hash = f->config->hash,
                                .outcome = f->outcome};
    audit_put(txn, &event);
    for (size_t i = 0; i < f->config->channel_count; i++) {
        const struct config_channel *channel = &f->config->channels[i];
        event.actor = "gateway";
        event.claimed = NULL;
        event.channel = channel->name;
        event.activity = policy_activity(channel->policy);
        event.policy_hash = policy_hash(channel->policy);
        event.outcome = "policy_in_force";
        audit_put(txn, &event);
    }
    return store_txn_error(txn);
}

int record_in_force(struct gateway *gw, const struct config *config, enum audit_action action,
                    const char *actor, const char *outcome)
{
    struct in_force f = {.job = {.priority = STORE_NORMAL, .run = put_all},
                         .config = config,
                         .action = action,
                         .actor = actor,
                         .outcome = outcome,
                         .at_ms = clock_wall_ms()};
    build_id(f.build);
    return store_submit_wait(gw->store, &f.job);
}

/*
 * Versions of policies, and the second officer. Of every channel the store knows the policy in
 * force (its hash and its text, sealed), so that also after a restart a changed file can be
 * compared with it. What is looser waits for `sluis policy approve`; what is stricter, or the same,
 * takes effect at once.
 *
 * Rows of STORE_TABLE_SETTING, sealed: "polf" and 16 bytes of the channel's name's hash: the hash
 * in force; "polv" and the first 16 bytes of a policy's hash: the version; "polt", the same and a
 * number: a piece of its text, which has that hash; "polg" and a hash of channel and policy: a
 * second officer agreed to this policy on this channel (or it was chosen to follow an observing
 * one there). What is in force is kept by the channel's
 * name and by its phone number, so that a channel does not become a new one, without a policy to be
 * compared with, by another name or by being away for one reload.
 *
 * A version's author and approver are persons by name, or who could be told: "operator:UID" (who
 * asked for the reload over the control socket or by a signal), "file:UID" (the owner of the file,
 * where nobody asked: at a start), "installer", "stricter". Names of persons have no colon and are
 * none of these words. What an unnamed one put forward takes two officers: the first puts it
 * forward by name. Else who edits the file and has it reloaded as the operator would be both.
 *
 * version_store.c keeps the rows, versions.c decides, version_approve.c is the second officer.
 *
 * Threads: under version_lock, or before the loops run.
 */
#ifndef SLUIS_GATEWAY_VERSIONS_H
#define SLUIS_GATEWAY_VERSIONS_H

#include "internal.h"

struct policy_version {
    char hash[POLICY_HASH_HEX], name[POLICY_NAME_MAX + 1];
    char author[ACCESS_NAME_SIZE], approver[ACCESS_NAME_SIZE]; /* approver "": it waits */
    int64_t proposed_ms, approved_ms;
    unsigned looser; /* decisions */
};

/* ---- version_store.c: SLUIS_ENOENT when there is none, SLUIS_ECRYPTO when it is not itself ----
 */
int version_get(struct gateway *gw, const char *hex, struct policy_version *out);
int version_put(struct gateway *gw, const struct policy_version *v);
/* Its text, from the file; SLUIS_EAGAIN when that has changed meanwhile. */
int version_text_put(struct gateway *gw, const struct config *config, const struct policy *policy);
/* The policy whose text is stored under this hash; the caller's reference. */
int version_policy(struct gateway *gw, const char *hex, struct policy **out);
/* "file:UID", the owner of the policy's file */
void version_owner(const struct config *config, const struct policy *policy,
                   char out[ACCESS_NAME_SIZE]);
/* The hash in force under a channel's name, or under what stands in its place. */
int version_in_force_get(struct gateway *gw, const char *channel, char hex[POLICY_HASH_HEX]);
int version_in_force_put(struct gateway *gw, const char *channel, const char *hex);
/* Agreed to, by a second officer, on a channel. */
bool version_granted(struct gateway *gw, const char *channel, const char *hex);
int version_grant(struct gateway *gw, const char *channel, const char *hex);
/* What follows an observing policy was chosen with it, as its file was then: it needs no second
 * officer when the last day has ended. What its file was made into since does. */
int version_choose(struct gateway *gw, const struct config_channel *c);
bool version_follows(struct gateway *gw, const char *channel, const struct policy *observing,
                     const char *hex);

/* ---- versions.c ---- */
/* One leaf about a policy, of a channel or (NULL) of none in particular. */
int version_note(struct gateway *gw, const struct config_channel *c, const struct policy *policy,
                 const char *actor, const char *outcome);

#endif

/*
 * Misbehaviour on command: how a server of sluis-sim answers late or wrongly. Set by flags and,
 * while it runs, by POST /sim/graph/faults or /sim/inbox/faults with any of
 *
 *     {"delay_ms": 200, "jitter_ms": 50,        every answer
 *      "kind": "status|reset|close|hang|none",  what goes wrong
 *              "cut|extra|flip|chunks"          or with the body (server.h)
 *      "status": 429, "code": 130429,           for kind status; code: Meta's error shape
 *      "share": 0.3, "count": 10,               which part of the requests; at most so many
 *      "path": "/messages"}                     only targets that contain this
 *
 * {} resets. GET shows what is in force.
 */
#ifndef SIM_FAULTS_H
#define SIM_FAULTS_H

#include <jansson.h>

#include "server.h"

enum fault_kind { FAULT_NONE, FAULT_STATUS, FAULT_RESET, FAULT_CLOSE, FAULT_HANG, FAULT_CUT, FAULT_EXTRA, FAULT_FLIP, FAULT_CHUNKS };
struct faults {
    unsigned delay_ms, jitter_ms;
    enum fault_kind kind;
    int status;
    int code;
    double share;
    long count; /* -1: without end */
    char path[128];
    unsigned long done;
    uint64_t random; /* own generator: the same run gives the same faults */
};

void faults_init(struct faults *faults);
/* 0, or -1 with a word in *why. */
int faults_set(struct faults *faults, json_t *from, const char **why);
json_t *faults_json(const struct faults *faults);

/* Decides about one request. */
enum fault_kind faults_pick(struct faults *faults, struct span target);
unsigned faults_delay(struct faults *faults);

/* True: the answer is to be given as always, and will be another one on its way. */
bool faults_lie(enum fault_kind kind, struct request *request);
/* Answers as the fault says; `kind` is not FAULT_NONE. Returns the status given, 0 for none. */
int faults_answer(struct faults *faults, enum fault_kind kind, struct request *request);

/* Meta's error object: {"error":{"message","type","code","error_data","fbtrace_id"}}. */
json_t *graph_error(int code, const char *message);

#endif

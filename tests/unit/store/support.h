/*
 * Help for the tests of the store: a folder that goes away, a seal that is not one but notices
 * tampering with table or row, and jobs written as functions.
 */
#ifndef SLUIS_TEST_STORE_SUPPORT_H
#define SLUIS_TEST_STORE_SUPPORT_H

#include "sluis/store.h"

#define TEST_MAP_SIZE (256u * 1024 * 1024)

/* A fresh name below the build's temporary folder, in out[256]; nothing is made yet. */
void test_folder(char out[256]);
void test_folder_remove(const char *path);

/* A configuration with the test's seal: tag of table, row and content, content turned over. */
void test_config(struct store_config *config, const char *path);
int test_seal(void *ctx, uint8_t table, uint64_t row, struct span plain, struct buffer *out);
int test_open(void *ctx, uint8_t table, uint64_t row, struct span sealed, struct buffer *out);

/* Opens or fails the test. */
struct store *test_store(const char *path);

/* Runs `run` as one job and waits; its result. */
int test_run(struct store *store, int (*run)(struct store_txn *txn, void *ctx), void *ctx);
int test_run_at(struct store *store, enum store_priority priority,
                int (*run)(struct store_txn *txn, void *ctx), void *ctx);

/* `n` bytes that depend on the seed only. */
void test_bytes(uint64_t seed, void *out, size_t n);

/* A message as intake would write it: records O and M, dedupe, item with one route, leaf. */
struct test_message {
    uint64_t serial, subject, leaf_index;
    bool fresh;
};
#define TEST_CHANNEL 1
#define TEST_ROUTE 1
#define TEST_CLASS_O 1
#define TEST_CLASS_M 2
#define TEST_BUCKET 490000
#define TEST_DAY 20414
#define TEST_O_BYTES 400
#define TEST_M_BYTES 350
#define TEST_LEAF_BYTES 400
void test_message_item(const struct test_message *message, struct store_item *out);
int test_message_put(struct store_txn *txn, struct test_message *message);
/* 0 when every part of the message is there and right, else the line that says what is not. */
int test_message_check(struct store_read *read, const struct test_message *message);

#endif

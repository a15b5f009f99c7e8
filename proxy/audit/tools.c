#include "leaf.h"

#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static int key_error;

static void tools_free(void *p)
{
    struct audit_tools *tools = p;
    EVP_MD_CTX_free(tools->context);
    EVP_MD_free(tools->sha256);
    sodium_memzero(tools, sizeof(*tools));
    free(tools);
}

static void tools_once(void)
{
    key_error = sodium_init() < 0 || pthread_key_create(&key, tools_free) != 0;
}

struct audit_tools *audit_tools(void)
{
    if (pthread_once(&once, tools_once) != 0 || key_error)
        return NULL;
    struct audit_tools *tools = pthread_getspecific(key);
    if (tools)
        return tools;
    tools = calloc(1, sizeof(*tools));
    if (!tools)
        return NULL;
    tools->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    tools->context = EVP_MD_CTX_new();
    if (!tools->sha256 || !tools->context || pthread_setspecific(key, tools) != 0) {
        tools_free(tools);
        return NULL;
    }
    return tools;
}

int audit_hash(struct span leaf, uint8_t hash[32])
{
    struct audit_tools *tools = audit_tools();
    if (!tools || EVP_DigestInit_ex2(tools->context, tools->sha256, NULL) != 1 ||
        EVP_DigestUpdate(tools->context, "", 1) != 1 ||
        EVP_DigestUpdate(tools->context, leaf.p, leaf.n) != 1 ||
        EVP_DigestFinal_ex(tools->context, hash, NULL) != 1)
        return SLUIS_ENOMEM;
    return 0;
}

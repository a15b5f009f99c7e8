/* The queue of reloads and its thread. */
#include "reloads.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Somebody who wants to hear. */
struct asker {
    struct mail mail;
    struct asker *next;
    void (*done)(void *done_ctx, const struct reload_outcome *outcome);
    void *done_ctx;
    struct reload_outcome outcome;
};

/* One reload that waits, for all who asked in this name. */
struct turn {
    struct turn *next;
    bool named;
    char author[ACCESS_NAME_SIZE];
    struct asker *askers;
    unsigned weight; /* of RELOADS_WAITING_MAX */
};

struct reloads {
    struct loop *loop;
    void (*run)(void *ctx, const char *author, struct reload_outcome *out);
    void *ctx;
    pthread_mutex_t lock;
    pthread_cond_t asked;
    struct turn *turns; /* under lock, in the order of asking; not the one that runs */
    unsigned waiting;   /* weights of these */
    bool stopping;
    bool started; /* who starts and stops */
    pthread_t thread;
};

static const char *author_of(const struct turn *turn)
{
    return turn->named ? turn->author : NULL;
}

static bool in_name_of(const struct turn *turn, const char *author)
{
    return turn->named == (author != NULL) && (!author || strcmp(turn->author, author) == 0);
}

static void on_done(struct mail *mail)
{
    struct asker *asker = (struct asker *)mail;
    asker->done(asker->done_ctx, &asker->outcome);
    free(asker);
}

static void answer(struct reloads *reloads, struct turn *turn, const struct reload_outcome *outcome)
{
    while (turn->askers) {
        struct asker *asker = turn->askers;
        turn->askers = asker->next;
        asker->outcome = *outcome;
        loop_post(reloads->loop, &asker->mail, on_done);
    }
    free(turn);
}

/* The next one, NULL: stopped. */
static struct turn *take(struct reloads *reloads)
{
    pthread_mutex_lock(&reloads->lock);
    while (!reloads->turns && !reloads->stopping)
        pthread_cond_wait(&reloads->asked, &reloads->lock);
    struct turn *turn = reloads->turns;
    if (turn) {
        reloads->turns = turn->next;
        reloads->waiting -= turn->weight;
    }
    pthread_mutex_unlock(&reloads->lock);
    return turn;
}

static void *work(void *ctx)
{
    struct reloads *reloads = ctx;
    for (struct turn *turn; (turn = take(reloads)) != NULL;) {
        struct reload_outcome outcome = {.ran = true};
        reloads->run(reloads->ctx, author_of(turn), &outcome);
        answer(reloads, turn, &outcome);
    }
    return NULL;
}

int reloads_new(struct loop *loop,
                void (*run)(void *ctx, const char *author, struct reload_outcome *out), void *ctx,
                struct reloads **out)
{
    *out = calloc(1, sizeof(**out));
    if (!*out)
        return SLUIS_ENOMEM;
    (*out)->loop = loop;
    (*out)->run = run;
    (*out)->ctx = ctx;
    pthread_mutex_init(&(*out)->lock, NULL);
    pthread_cond_init(&(*out)->asked, NULL);
    return 0;
}

int reloads_start(struct reloads *reloads)
{
    if (pthread_create(&reloads->thread, NULL, work, reloads) != 0)
        return SLUIS_ESYS;
    pthread_setname_np(reloads->thread, "sluis-reload");
    reloads->started = true;
    return 0;
}

/* Under lock: the turn that waits in this name, or where a new one goes. */
static struct turn **turn_for(struct reloads *reloads, const char *author)
{
    struct turn **at = &reloads->turns;
    while (*at && !in_name_of(*at, author))
        at = &(*at)->next;
    return at;
}

static struct turn *turn_new(const char *author)
{
    struct turn *turn = calloc(1, sizeof(*turn));
    if (turn && author) {
        turn->named = true;
        snprintf(turn->author, sizeof(turn->author), "%s", author);
    }
    return turn;
}

/* Under lock; takes `asker`, which may be NULL, when it gives 0. */
static int put(struct reloads *reloads, const char *author, struct asker *asker)
{
    struct turn **at = turn_for(reloads, author);
    if (reloads->stopping)
        return SLUIS_ECLOSED;
    if (*at && !asker)
        return 0; /* it will be done, and nobody wants to hear */
    if (reloads->waiting == RELOADS_WAITING_MAX)
        return SLUIS_EAGAIN;
    if (!*at && !(*at = turn_new(author)))
        return SLUIS_ENOMEM;
    if (asker) {
        asker->next = (*at)->askers;
        (*at)->askers = asker;
    }
    (*at)->weight++;
    reloads->waiting++;
    pthread_cond_signal(&reloads->asked);
    return 0;
}

int reloads_ask(struct reloads *reloads, const char *author,
                void (*done)(void *done_ctx, const struct reload_outcome *outcome), void *done_ctx)
{
    struct asker *asker = done ? calloc(1, sizeof(*asker)) : NULL;
    if (done && !asker)
        return SLUIS_ENOMEM;
    if (asker) {
        asker->done = done;
        asker->done_ctx = done_ctx;
    }
    pthread_mutex_lock(&reloads->lock);
    int r = put(reloads, author, asker);
    pthread_mutex_unlock(&reloads->lock);
    if (r != 0)
        free(asker);
    return r;
}

void reloads_stop(struct reloads *reloads)
{
    const struct reload_outcome never = {.error = SLUIS_ECLOSED};
    if (!reloads)
        return;
    pthread_mutex_lock(&reloads->lock);
    reloads->stopping = true;
    struct turn *turns = reloads->turns;
    reloads->turns = NULL;
    reloads->waiting = 0;
    pthread_cond_signal(&reloads->asked);
    pthread_mutex_unlock(&reloads->lock);
    while (turns) {
        struct turn *turn = turns;
        turns = turn->next;
        answer(reloads, turn, &never);
    }
    if (reloads->started)
        pthread_join(reloads->thread, NULL);
    reloads->started = false;
}

void reloads_free(struct reloads *reloads)
{
    if (!reloads)
        return;
    pthread_cond_destroy(&reloads->asked);
    pthread_mutex_destroy(&reloads->lock);
    free(reloads);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * A correct pool, and ways to break it. The option "mutation" of a variant says which: what the verifying
 * mode must catch, and what must cost one cell alone.
 */
#include <allocmark/backend.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EVERY = 500 }; /* one call in so many misbehaves */

struct pool {
    pthread_mutex_t mutex;
    char *memory;
    size_t stride, objects, free_objects;
    void **stack;
    void *held; /* an object that is out */
    unsigned long gets, puts;
};

static char mutation[32] = "none";

static int is(const char *name) {
    return strcmp(mutation, name) == 0;
}

static int init(const allocmark_init *init, allocmark_error *error) {
    for (uint32_t i = 0; i < init->n_options; ++i)
        if (strcmp(init->options[i].key, "mutation") == 0)
            snprintf(mutation, sizeof mutation, "%s", init->options[i].value);
    if (is("init_fails")) {
        snprintf(error->message, sizeof error->message, "the licence of this allocator has run out");
        return -EPERM;
    }
    return 0;
}

static int pool_create(const allocmark_pool_spec *spec, void **out, allocmark_error *error) {
    if (is("no_memory")) return -ENOMEM;
    if (is("create_crash")) raise(SIGSEGV);
    if (spec->alignment > 64) {
        snprintf(error->message, sizeof error->message, "objects lie on 64 bytes, no more");
        return -EINVAL;
    }
    struct pool *pool = calloc(1, sizeof *pool);
    pthread_mutex_init(&pool->mutex, NULL);
    pool->stride = (spec->object_size + 63) / 64 * 64;
    pool->objects = pool->free_objects = spec->objects;
    pool->memory = aligned_alloc(4096, (pool->stride * pool->objects + 4095) / 4096 * 4096);
    memset(pool->memory, 0, pool->stride * pool->objects);
    pool->stack = malloc(pool->objects * sizeof *pool->stack);
    for (size_t i = 0; i < pool->objects; ++i) pool->stack[i] = pool->memory + i * pool->stride;
    *out = pool;
    return 0;
}

static void pool_destroy(void *handle) {
    struct pool *pool = handle;
    free(pool->memory);
    free(pool->stack);
    free(pool);
}

static int thread_enter(void *pool, const allocmark_thread *thread, void **local, allocmark_error *error) {
    (void)thread;
    if (is("enter_fails")) {
        snprintf(error->message, sizeof error->message, "no room for one more thread");
        return -EAGAIN;
    }
    *local = pool;
    return 0;
}

static void thread_leave(void *pool, void *local) {
    (void)pool, (void)local;
}

static void misbehave(struct pool *pool, void **objects) {
    char *first = objects[0];
    if (is("twice") && pool->held) objects[0] = pool->held;
    if (is("overlap")) objects[0] = first - 64 * (first > pool->memory);
    if (is("misaligned")) objects[0] = first + 8;
    if (is("null")) objects[0] = NULL;
    if (is("overrun")) objects[-1] = pool; /* what was handed out before */
    if (is("overwrite") && pool->held) ((char *)pool->held)[17] ^= 1;
    if ((is("fork_crash") || is("fork_hang")) && fork() == 0) {
        fprintf(stderr, "mutants: child %d\n", (int)getpid());
        for (;;) pause();
    }
    if (is("crash") || is("fork_crash")) raise(SIGSEGV);
    if (is("killed")) raise(SIGKILL);
    if (is("abort")) {
        fprintf(stderr, "mutants: heap is corrupt, giving up\n");
        abort();
    }
    if (is("hang") || is("fork_hang"))
        for (;;) pause();
    if (is("exit")) _exit(7);
}

static int get_bulk(void *handle, void *local, void **objects, uint32_t n) {
    (void)local;
    struct pool *pool = handle;
    pthread_mutex_lock(&pool->mutex);
    if (pool->free_objects < n || (is("exhausted") && pool->gets > EVERY)) {
        if (is("partial")) pool->free_objects = 0; /* takes what is left, and says it failed */
        pthread_mutex_unlock(&pool->mutex);
        return -ENOENT;
    }
    pool->free_objects -= n;
    memcpy(objects, pool->stack + pool->free_objects, n * sizeof *objects);
    if (++pool->gets % EVERY == 0) misbehave(pool, objects);
    pool->held = objects[0];
    pthread_mutex_unlock(&pool->mutex);
    return 0;
}

static void put_bulk(void *handle, void *local, void *const *objects, uint32_t n) {
    (void)local;
    struct pool *pool = handle;
    pthread_mutex_lock(&pool->mutex);
    if (is("put_crash") && pool->puts > EVERY) raise(SIGSEGV);
    for (uint32_t i = 0; i < n; ++i)
        if (objects[i] == pool->held) pool->held = NULL;
    if (++pool->puts % EVERY == 0 && is("lose")) --n;
    memcpy(pool->stack + pool->free_objects, objects, n * sizeof *objects);
    pool->free_objects += n;
    pthread_mutex_unlock(&pool->mutex);
}

static uint32_t regions(void *handle, allocmark_region *out, uint32_t capacity) {
    struct pool *pool = handle;
    if (is("many_regions")) {
        for (uint32_t i = 0; i < capacity; ++i) {
            out[i].address = (uint64_t)(uintptr_t)pool->memory + i % pool->objects * pool->stride;
            out[i].length = pool->stride;
        }
        return 1000000;
    }
    if (capacity > 0) {
        out[0].address = (uint64_t)(uintptr_t)pool->memory;
        out[0].length = pool->stride * pool->objects;
        if (is("outside")) out[0].length /= 2;
    }
    return 1;
}

static void facts(void *pool, allocmark_fact_fn emit, void *context) {
    if (is("null_fact")) emit(context, "handler", NULL);
    emit(context, pool ? "cache" : "mutation", pool ? "0" : mutation);
}

static const allocmark_backend good = {
    .abi = ALLOCMARK_ABI_VERSION,
    .size = sizeof(allocmark_backend),
    .init = init,
    .pool_create = pool_create,
    .pool_destroy = pool_destroy,
    .thread_enter = thread_enter,
    .thread_leave = thread_leave,
    .get_bulk = get_bulk,
    .put_bulk = put_bulk,
    .regions = regions,
    .facts = facts,
};

/* A table as an older, a newer or a careless compiler run would leave it. */
static allocmark_backend other_abi, lacking, truncated;

const void *mutant_table(const char *kind) {
    other_abi = lacking = truncated = good;
    other_abi.abi = ALLOCMARK_ABI_VERSION + 1;
    lacking.put_bulk = NULL;
    truncated.size = offsetof(allocmark_backend, get_bulk);
    if (strcmp(kind, "other_abi") == 0) return &other_abi;
    if (strcmp(kind, "lacking") == 0) return &lacking;
    if (strcmp(kind, "truncated") == 0) return &truncated;
    return &good;
}

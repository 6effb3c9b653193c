/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * Free lists of Concurrency Kit as pools: the objects lie side by side, and what is free is on the list. A
 * stack keeps its links in the free objects themselves, a ring has an array of pointers.
 */
#include <allocmark/slab.h>

#include <ck_md.h>
#include <ck_ring.h>
#include <ck_spinlock.h>
#include <ck_stack.h>

#include <stdbool.h>

typedef struct {
    ck_stack_t stack CK_CC_CACHELINE;
    ck_spinlock_t lock CK_CC_CACHELINE;
    uint64_t free; /* objects on the stack, where one thread at a time uses it */
    ck_ring_t ring CK_CC_CACHELINE;
    ck_ring_buffer_t *buffer; /* of the ring; NULL: the stack is used */
    allocmark_slab slab;
} ck_pool;

/* One object at a time, or none. */

static inline void *pop_mpmc(ck_pool *pool) {
    return ck_stack_pop_mpmc(&pool->stack);
}

static inline void push_mpmc(ck_pool *pool, void *object) {
    ck_stack_push_mpmc(&pool->stack, object);
}

static inline void *dequeue_mpmc(ck_pool *pool) {
    void *object;
    return ck_ring_dequeue_mpmc(&pool->ring, pool->buffer, &object) ? object : NULL;
}

static inline void enqueue_mpmc(ck_pool *pool, void *object) {
    /* There is room for all objects; only another thread that has not finished its own put can be in the way.
     */
    while (!ck_ring_enqueue_mpmc(&pool->ring, pool->buffer, object)) ck_pr_stall();
}

#define ONE_BY_ONE(name, take, give)                                                                         \
    static void name##_put_bulk(void *pool, void *local, void *const *objects, uint32_t n) {                 \
        (void)local;                                                                                         \
        for (uint32_t i = 0; i < n; i++) give((ck_pool *)pool, objects[i]);                                  \
    }                                                                                                        \
    static int name##_get_bulk(void *pool, void *local, void **objects, uint32_t n) {                        \
        uint32_t got = 0;                                                                                    \
        while (got < n && (objects[got] = take((ck_pool *)pool)) != NULL) got++;                             \
        if (got == n) return 0;                                                                              \
        name##_put_bulk(pool, local, objects, got); /* all or nothing */                                     \
        return -ENOENT;                                                                                      \
    }

ONE_BY_ONE(stack_mpmc, pop_mpmc, push_mpmc)
ONE_BY_ONE(ring_mpmc, dequeue_mpmc, enqueue_mpmc)

/* The stack without atomics. */

static int stack_alone_get_bulk(void *handle, void *local, void **objects, uint32_t n) {
    ck_pool *pool = handle;
    (void)local;
    if (pool->free < n) return -ENOENT;
    for (uint32_t i = 0; i < n; i++) objects[i] = ck_stack_pop_npsc(&pool->stack);
    pool->free -= n;
    return 0;
}

static void stack_alone_put_bulk(void *handle, void *local, void *const *objects, uint32_t n) {
    ck_pool *pool = handle;
    (void)local;
    for (uint32_t i = 0; i < n; i++) ck_stack_push_spnc(&pool->stack, objects[i]);
    pool->free += n;
}

/* The same behind a spin lock, taken once for a bulk. */

static int stack_spinlock_get_bulk(void *handle, void *local, void **objects, uint32_t n) {
    ck_pool *pool = handle;
    ck_spinlock_lock_eb(&pool->lock);
    const int result = stack_alone_get_bulk(handle, local, objects, n);
    ck_spinlock_unlock(&pool->lock);
    return result;
}

static void stack_spinlock_put_bulk(void *handle, void *local, void *const *objects, uint32_t n) {
    ck_pool *pool = handle;
    ck_spinlock_lock_eb(&pool->lock);
    stack_alone_put_bulk(handle, local, objects, n);
    ck_spinlock_unlock(&pool->lock);
}

/* The rest is the same for all. */

static int init(const allocmark_init *init, allocmark_error *error) {
    (void)init;
    (void)error;
    return 0;
}

static void pool_destroy(void *handle) {
    ck_pool *pool = handle;
    allocmark_slab_free(&pool->slab);
    free(pool->buffer);
    free(pool);
}

static int create(const allocmark_pool_spec *spec, bool ring, void **handle, allocmark_error *error) {
    if (spec->objects >= UINT32_C(1) << 31) {
        allocmark_say(error, "pool '%s': %" PRIu64 " objects; at most 2^31 - 1 are possible", spec->name,
                      spec->objects);
        return -EINVAL;
    }
    ck_pool *pool = allocmark_written_memory(sizeof *pool, CK_MD_CACHELINE);
    if (pool == NULL) {
        allocmark_say(error, "pool '%s': out of memory", spec->name);
        return -ENOMEM;
    }
    const int wrong = allocmark_slab_make(&pool->slab, spec, sizeof(ck_stack_entry_t), error);
    if (wrong) {
        pool_destroy(pool);
        return wrong;
    }
    ck_stack_init(&pool->stack);
    ck_spinlock_init(&pool->lock);
    if (ring) {
        unsigned int size = 4; /* a power of two; the ring has one place less */
        while (size <= spec->objects) size *= 2;
        pool->buffer = allocmark_written_memory(size * sizeof *pool->buffer, 0);
        if (pool->buffer == NULL) {
            allocmark_say(error, "pool '%s': out of memory", spec->name);
            pool_destroy(pool);
            return -ENOMEM;
        }
        ck_ring_init(&pool->ring, size);
    }
    for (uint64_t i = 0; i < spec->objects; i++) {
        if (ring)
            enqueue_mpmc(pool, allocmark_slab_object(&pool->slab, i));
        else
            ck_stack_push_spnc(&pool->stack, allocmark_slab_object(&pool->slab, spec->objects - 1 - i));
    }
    pool->free = spec->objects;
    *handle = pool;
    return 0;
}

static int create_stack(const allocmark_pool_spec *spec, void **pool, allocmark_error *error) {
    return create(spec, false, pool, error);
}

static int create_ring(const allocmark_pool_spec *spec, void **pool, allocmark_error *error) {
    return create(spec, true, pool, error);
}

static int thread_enter(void *pool, const allocmark_thread *thread, void **local, allocmark_error *error) {
    (void)pool;
    (void)thread;
    (void)error;
    *local = NULL; /* the lists keep nothing for a thread */
    return 0;
}

static void thread_leave(void *pool, void *local) {
    (void)pool;
    (void)local;
}

static uint64_t available(void *handle) {
    ck_pool *pool = handle;
    if (pool->buffer != NULL) return ck_ring_size(&pool->ring);
    uint64_t n = 0;
    ck_stack_entry_t *entry;
    CK_STACK_FOREACH(&pool->stack, entry) n++;
    return n;
}

static uint32_t regions(void *handle, allocmark_region *regions, uint32_t capacity) {
    if (capacity > 0) regions[0] = allocmark_slab_region(&((ck_pool *)handle)->slab);
    return 1;
}

#define TABLE(name, create)                                                                                  \
    const void *allocmark_ck_##name##_table(void);                                                           \
    const void *allocmark_ck_##name##_table(void) {                                                          \
        static const allocmark_backend table = {                                                             \
            .abi = ALLOCMARK_ABI_VERSION,                                                                    \
            .size = sizeof(allocmark_backend),                                                               \
            .init = init,                                                                                    \
            .pool_create = create,                                                                           \
            .pool_destroy = pool_destroy,                                                                    \
            .thread_enter = thread_enter,                                                                    \
            .thread_leave = thread_leave,                                                                    \
            .get_bulk = name##_get_bulk,                                                                     \
            .put_bulk = name##_put_bulk,                                                                     \
            .available = available,                                                                          \
            .regions = regions,                                                                              \
        };                                                                                                   \
        return &table;                                                                                       \
    }

TABLE(stack_mpmc, create_stack)
TABLE(stack_spinlock, create_stack)
TABLE(stack_alone, create_stack)
TABLE(ring_mpmc, create_ring)

const char *allocmark_ck_version(void);

const char *allocmark_ck_version(void) {
    return CK_VERSION;
}

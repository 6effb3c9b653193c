/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * The table of a library with the malloc interface: a pool is a size and an alignment. For C and C++.
 *
 * Fill in `allocmark_malloc`, then hand over what `allocmark_malloc_table()` returns, with functions of your
 * own in place where the library has more to tell. The library is called through pointers: so the compiler
 * cannot remove a malloc together with its free, and it is known whose malloc is called.
 */
#ifndef ALLOCMARK_MALLOC_TABLE_H
#define ALLOCMARK_MALLOC_TABLE_H

#include <allocmark/say.h>

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/** A function of the library by its name there; NULL: it has none. */
#define ALLOCMARK_FUNCTION(result, name, ...)                                                                \
    struct {                                                                                                 \
        result (*call)(__VA_ARGS__);                                                                         \
        const char *symbol;                                                                                  \
    } name

/** What is measured. `malloc` and `free` are required. */
static struct {
    ALLOCMARK_FUNCTION(void *, malloc, size_t size);
    ALLOCMARK_FUNCTION(void, free, void *object);
    /* Of these one is enough, for pools that ask for more than malloc's own alignment. */
    ALLOCMARK_FUNCTION(void *, aligned, size_t alignment, size_t size);
    ALLOCMARK_FUNCTION(int, posix_memalign, void **object, size_t alignment, size_t size);
    ALLOCMARK_FUNCTION(size_t, usable_size, void *object);
    /* Without them: malloc and memset; malloc, memcpy and free. */
    ALLOCMARK_FUNCTION(void *, calloc, size_t count, size_t size);
    ALLOCMARK_FUNCTION(void *, realloc, void *object, size_t size);
} allocmark_malloc;

typedef struct {
    size_t size;
    size_t alignment; /* 0: malloc's own is enough */
} allocmark_malloc_pool;

static int allocmark_malloc_init(const allocmark_init *init, allocmark_error *error) {
    (void)init;
    (void)error;
    return 0;
}

static int allocmark_malloc_pool_create(const allocmark_pool_spec *spec, void **pool,
                                        allocmark_error *error) {
    const uint64_t size = spec->object_size;
    const uint64_t alignment = spec->alignment > 2 * sizeof(void *) ? spec->alignment : 0;
    if (size == 0 || size > PTRDIFF_MAX) {
        allocmark_say(error, "pool '%s': object_size is %llu; malloc takes 1 to %td bytes", spec->name,
                      (unsigned long long)size, (ptrdiff_t)PTRDIFF_MAX);
        return -EINVAL;
    }
    if ((spec->alignment & (spec->alignment - 1)) != 0) {
        allocmark_say(error, "pool '%s': alignment is %llu; aligned_alloc takes powers of two", spec->name,
                      (unsigned long long)spec->alignment);
        return -EINVAL;
    }
    if (alignment != 0 && allocmark_malloc.aligned.call == NULL &&
        allocmark_malloc.posix_memalign.call == NULL) {
        allocmark_say(error, "pool '%s': alignment is %llu, and the library has no function that aligns",
                      spec->name, (unsigned long long)alignment);
        return -EINVAL;
    }
    allocmark_malloc_pool *created = (allocmark_malloc_pool *)malloc(sizeof *created);
    if (created == NULL) {
        allocmark_say(error, "pool '%s': out of memory", spec->name);
        return -ENOMEM;
    }
    created->size = size;
    created->alignment = alignment;
    *pool = created;
    return 0;
}

static void allocmark_malloc_pool_destroy(void *pool) {
    free(pool);
}

static int allocmark_malloc_thread_enter(void *pool, const allocmark_thread *thread, void **local,
                                         allocmark_error *error) {
    (void)pool;
    (void)thread;
    (void)error;
    *local = NULL; /* malloc finds the thread's cache by itself */
    return 0;
}

static void allocmark_malloc_thread_leave(void *pool, void *local) {
    (void)pool; /* malloc empties a thread's cache when the thread ends */
    (void)local;
}

static void allocmark_malloc_put_bulk(void *pool, void *local, void *const *objects, uint32_t n) {
    (void)pool;
    (void)local;
    void (*const release)(void *) = allocmark_malloc.free.call;
    for (uint32_t i = 0; i < n; i++) release(objects[i]);
}

/** n objects of `size` bytes, aligned as the pool's. */
static inline int allocmark_malloc_take(void *pool, void *local, void **objects, uint32_t n, size_t size) {
    const allocmark_malloc_pool *p = (const allocmark_malloc_pool *)pool;
    uint32_t i = 0;
    if (p->alignment == 0) {
        void *(*const take)(size_t) = allocmark_malloc.malloc.call;
        while (i < n && (objects[i] = take(size)) != NULL) i++;
    } else if (allocmark_malloc.aligned.call) {
        void *(*const take)(size_t, size_t) = allocmark_malloc.aligned.call;
        while (i < n && (objects[i] = take(p->alignment, size)) != NULL) i++;
    } else {
        int (*const take)(void **, size_t, size_t) = allocmark_malloc.posix_memalign.call;
        while (i < n && take(&objects[i], p->alignment, size) == 0) i++;
    }
    if (i == n) return 0;
    allocmark_malloc_put_bulk(pool, local, objects, i);
    return -ENOMEM;
}

static int allocmark_malloc_get_bulk(void *pool, void *local, void **objects, uint32_t n) {
    return allocmark_malloc_take(pool, local, objects, n, ((const allocmark_malloc_pool *)pool)->size);
}

static int allocmark_malloc_get_sized(void *pool, void *local, void **objects, uint32_t n, uint64_t size,
                                      uint32_t zeroed) {
    void *(*const take)(size_t, size_t) = allocmark_malloc.calloc.call;
    if (zeroed && take && ((const allocmark_malloc_pool *)pool)->alignment == 0) {
        uint32_t i = 0;
        while (i < n && (objects[i] = take(1, size)) != NULL) i++;
        if (i == n) return 0;
        allocmark_malloc_put_bulk(pool, local, objects, i);
        return -ENOMEM;
    }
    const int code = allocmark_malloc_take(pool, local, objects, n, size);
    if (code == 0 && zeroed)
        for (uint32_t i = 0; i < n; i++) memset(objects[i], 0, size);
    return code;
}

static int allocmark_malloc_resize(void *from, void *from_local, void *to, void *to_local, void **object) {
    const allocmark_malloc_pool *old = (const allocmark_malloc_pool *)from;
    const allocmark_malloc_pool *wanted = (const allocmark_malloc_pool *)to;
    void *moved;
    if (wanted->alignment == 0 && allocmark_malloc.realloc.call) {
        moved = allocmark_malloc.realloc.call(*object, wanted->size);
        if (moved == NULL) return -ENOMEM;
    } else {
        if (allocmark_malloc_get_bulk(to, to_local, &moved, 1) != 0) return -ENOMEM;
        memcpy(moved, *object, old->size < wanted->size ? old->size : wanted->size);
        allocmark_malloc_put_bulk(from, from_local, object, 1);
    }
    *object = moved;
    return 0;
}

static uint32_t allocmark_malloc_calls(allocmark_call *calls, uint32_t capacity) {
    const allocmark_call known[] = {
        {allocmark_malloc.malloc.symbol, (const void *)allocmark_malloc.malloc.call},
        {allocmark_malloc.free.symbol, (const void *)allocmark_malloc.free.call},
        {allocmark_malloc.aligned.symbol, (const void *)allocmark_malloc.aligned.call},
        {allocmark_malloc.posix_memalign.symbol, (const void *)allocmark_malloc.posix_memalign.call},
        {allocmark_malloc.calloc.symbol, (const void *)allocmark_malloc.calloc.call},
        {allocmark_malloc.realloc.symbol, (const void *)allocmark_malloc.realloc.call},
    };
    uint32_t n = 0;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (known[i].address == NULL) continue;
        if (n < capacity) calls[n] = known[i];
        n++;
    }
    return n;
}

/** Facts of a pool: the function that is called, and the bytes of an object that may be used. */
static void allocmark_malloc_pool_facts(void *pool, allocmark_fact_fn emit, void *context) {
    const allocmark_malloc_pool *p = (const allocmark_malloc_pool *)pool;
    void *object;
    emit(context, "function",
         p->alignment == 0               ? allocmark_malloc.malloc.symbol
         : allocmark_malloc.aligned.call ? allocmark_malloc.aligned.symbol
                                         : allocmark_malloc.posix_memalign.symbol);
    if (!allocmark_malloc.usable_size.call || allocmark_malloc_get_bulk(pool, NULL, &object, 1) != 0) return;
    allocmark_emit_number(emit, context, "usable_bytes", allocmark_malloc.usable_size.call(object));
    allocmark_malloc_put_bulk(pool, NULL, &object, 1);
}

static void allocmark_malloc_facts(void *pool, allocmark_fact_fn emit, void *context) {
    if (pool != NULL) allocmark_malloc_pool_facts(pool, emit, context);
}

static void *allocmark_malloc_by_posix(size_t alignment, size_t size) {
    void *object = NULL;
    return allocmark_malloc.posix_memalign.call(&object, alignment, size) == 0 ? object : NULL;
}

static const allocmark_any_size *allocmark_malloc_any_size(void) {
    static allocmark_any_size functions;
    functions.malloc = allocmark_malloc.malloc.call;
    functions.free = allocmark_malloc.free.call;
    functions.calloc = allocmark_malloc.calloc.call;
    functions.realloc = allocmark_malloc.realloc.call;
    functions.aligned = allocmark_malloc.aligned.call          ? allocmark_malloc.aligned.call
                        : allocmark_malloc.posix_memalign.call ? allocmark_malloc_by_posix
                                                               : NULL;
    functions.size = sizeof functions;
    return &functions;
}

/**
 * Fills a table that is zero. Member by member: a copy of the whole may be made with instructions that
 * valgrind does not know.
 */
static inline void allocmark_malloc_fill(allocmark_backend *table) {
    table->abi = ALLOCMARK_ABI_VERSION;
    table->size = sizeof *table;
    table->init = allocmark_malloc_init;
    table->pool_create = allocmark_malloc_pool_create;
    table->pool_destroy = allocmark_malloc_pool_destroy;
    table->thread_enter = allocmark_malloc_thread_enter;
    table->thread_leave = allocmark_malloc_thread_leave;
    table->get_bulk = allocmark_malloc_get_bulk;
    table->put_bulk = allocmark_malloc_put_bulk;
    table->facts = allocmark_malloc_facts;
    table->calls = allocmark_malloc_calls;
    table->get_sized = allocmark_malloc_get_sized;
    table->resize = allocmark_malloc_resize;
    table->any_size = allocmark_malloc_any_size;
}

static inline allocmark_backend allocmark_malloc_table(void) {
#ifdef __cplusplus
    allocmark_backend table = {};
#else
    allocmark_backend table = {0};
#endif
    allocmark_malloc_fill(&table);
    return table;
}

#endif

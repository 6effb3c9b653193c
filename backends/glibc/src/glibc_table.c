/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * malloc and free of the GNU C library behind the allocmark backend table.
 *
 * The functions are looked up in the C library itself and called through pointers. So the compiler cannot
 * fold a malloc with its free, and a malloc preloaded over the C library's is not measured under its name.
 */
#define _GNU_SOURCE
#include <allocmark/say.h>

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef __GLIBC__
#if __GLIBC_PREREQ(2, 33)
#define HAVE_MALLINFO2 1
#endif
#endif

static struct {
    void *(*malloc)(size_t);
    void *(*aligned_alloc)(size_t, size_t);
    void (*free)(void *);
    size_t (*malloc_usable_size)(void *);
    int (*malloc_info)(int, FILE *);
#ifdef HAVE_MALLINFO2
    struct mallinfo2 (*mallinfo2)(void); /* NULL: built against a newer glibc than the one that runs */
#endif
    const char *(*version)(void);
} libc;

typedef struct {
    size_t size;
    size_t alignment; /* 0: malloc's own is enough */
} glibc_pool;

static bool resolve(void) {
    void *handle = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
    if (handle == NULL) return false;
    /* POSIX has dlsym return functions as void *; writing through a void ** is its documented idiom. */
    *(void **)&libc.malloc = dlsym(handle, "malloc");
    *(void **)&libc.aligned_alloc = dlsym(handle, "aligned_alloc");
    *(void **)&libc.free = dlsym(handle, "free");
    *(void **)&libc.malloc_usable_size = dlsym(handle, "malloc_usable_size");
    *(void **)&libc.malloc_info = dlsym(handle, "malloc_info");
#ifdef HAVE_MALLINFO2
    *(void **)&libc.mallinfo2 = dlsym(handle, "mallinfo2");
#endif
    *(void **)&libc.version = dlsym(handle, "gnu_get_libc_version");
    return libc.malloc && libc.aligned_alloc && libc.free && libc.malloc_usable_size && libc.malloc_info &&
           libc.version;
}

static int glibc_init(const allocmark_init *init, allocmark_error *error) {
    (void)error;
    (void)init;
    return 0;
}

static int glibc_pool_create(const allocmark_pool_spec *spec, void **pool, allocmark_error *error) {
    const uint64_t size = spec->object_size, alignment = spec->alignment;
    if (size == 0 || size > PTRDIFF_MAX) {
        allocmark_say(error, "pool '%s': object_size is %llu; malloc takes 1 to %td bytes", spec->name,
                      (unsigned long long)size, (ptrdiff_t)PTRDIFF_MAX);
        return -EINVAL;
    }
    if ((alignment & (alignment - 1)) != 0) {
        allocmark_say(error, "pool '%s': alignment is %llu; aligned_alloc takes powers of two", spec->name,
                      (unsigned long long)alignment);
        return -EINVAL;
    }
    glibc_pool *created = libc.malloc(sizeof *created);
    if (created == NULL) {
        allocmark_say(error, "pool '%s': out of memory", spec->name);
        return -ENOMEM;
    }
    created->size = size;
    created->alignment = alignment > _Alignof(max_align_t) ? alignment : 0;
    *pool = created;
    return 0;
}

static void glibc_pool_destroy(void *pool) {
    libc.free(pool);
}

static int glibc_thread_enter(void *pool, const allocmark_thread *thread, void **local,
                              allocmark_error *error) {
    (void)pool;
    (void)thread;
    (void)error;
    *local = NULL; /* malloc finds the thread's cache and arena by itself */
    return 0;
}

static void glibc_thread_leave(void *pool, void *local) {
    (void)pool; /* glibc empties a thread's cache when the thread ends, and offers no way to do so before */
    (void)local;
}

static void glibc_put_bulk(void *pool, void *local, void *const *objects, uint32_t n) {
    (void)pool;
    (void)local;
    void (*const release)(void *) = libc.free;
    for (uint32_t i = 0; i < n; i++) release(objects[i]);
}

static int glibc_get_bulk(void *pool, void *local, void **objects, uint32_t n) {
    const glibc_pool *p = pool;
    uint32_t i = 0;
    if (p->alignment == 0) {
        void *(*const take)(size_t) = libc.malloc;
        while (i < n && (objects[i] = take(p->size)) != NULL) i++;
    } else {
        void *(*const take)(size_t, size_t) = libc.aligned_alloc;
        while (i < n && (objects[i] = take(p->alignment, p->size)) != NULL) i++;
    }
    if (i == n) return 0;
    glibc_put_bulk(pool, local, objects, i);
    return -ENOMEM;
}

static void emit_environment(allocmark_fact_fn emit, void *context) {
    const char *tunables = getenv("GLIBC_TUNABLES");
    emit(context, "tunables", tunables ? tunables : "");
    for (char **entry = environ; *entry; entry++) { /* the older way to tune malloc, still obeyed */
        const char *equals = strchr(*entry, '=');
        char key[64];
        if (strncmp(*entry, "MALLOC_", 7) != 0 || equals == NULL) continue;
        snprintf(key, sizeof key, "%.*s", (int)(equals - *entry), *entry);
        emit(context, key, equals + 1);
    }
}

/** Arenas are counted in malloc's own XML report: one element "heap" each. */
static void emit_arenas(allocmark_fact_fn emit, void *context) {
    char *report = NULL;
    size_t length, arenas = 0;
    FILE *stream = open_memstream(&report, &length);
    if (stream == NULL) return;
    const int failed = libc.malloc_info(0, stream);
    if (fclose(stream) == 0 && !failed) {
        for (const char *at = report; (at = strstr(at, "<heap nr=")) != NULL; at++) arenas++;
        allocmark_emit_number(emit, context, "arenas", arenas);
    }
    free(report);
}

#ifdef HAVE_MALLINFO2
/**
 * Whether freed objects stay with the thread, seen from outside: malloc counts an object in a thread's cache
 * as in use. The size is one that the cache takes by default and the fast bins do not.
 */
static bool thread_cache_is_on(void) {
    enum { OBJECTS = 64, SIZE = 1000 };
    void *objects[OBJECTS];
    size_t taken = 0;
    uint32_t n = 0;
    while (n < OBJECTS && (objects[n] = libc.malloc(SIZE)) != NULL) {
        taken += libc.malloc_usable_size(objects[n]) + sizeof(size_t);
        n++;
    }
    const size_t before = libc.mallinfo2().uordblks;
    glibc_put_bulk(NULL, NULL, objects, n);
    return before - libc.mallinfo2().uordblks < taken;
}

static void emit_memory(allocmark_fact_fn emit, void *context) {
    if (libc.mallinfo2 == NULL) return;
    const struct mallinfo2 memory = libc.mallinfo2();
    allocmark_emit_number(emit, context, "arena_bytes", memory.arena);
    allocmark_emit_number(emit, context, "mapped_bytes", memory.hblkhd);
    allocmark_emit_number(emit, context, "in_use_bytes", memory.uordblks + memory.hblkhd);
    emit(context, "thread_cache", thread_cache_is_on() ? "on" : "off");
}
#endif

static void emit_pool(void *pool, allocmark_fact_fn emit, void *context) {
    const glibc_pool *p = pool;
    void *object;
    emit(context, "function", p->alignment ? "aligned_alloc" : "malloc");
    if (glibc_get_bulk(pool, NULL, &object, 1) != 0) return;
    allocmark_emit_number(emit, context, "usable_bytes", libc.malloc_usable_size(object));
    glibc_put_bulk(pool, NULL, &object, 1);
}

static void glibc_facts(void *pool, allocmark_fact_fn emit, void *context) {
    if (pool != NULL) {
        emit_pool(pool, emit, context);
        return;
    }
    emit(context, "version", libc.version());
    emit_environment(emit, context);
    emit_arenas(emit, context);
#ifdef HAVE_MALLINFO2
    emit_memory(emit, context);
#endif
}

static const allocmark_backend table = {
    .abi = ALLOCMARK_ABI_VERSION,
    .size = sizeof(allocmark_backend),
    .init = glibc_init,
    .pool_create = glibc_pool_create,
    .pool_destroy = glibc_pool_destroy,
    .thread_enter = glibc_thread_enter,
    .thread_leave = glibc_thread_leave,
    .get_bulk = glibc_get_bulk,
    .put_bulk = glibc_put_bulk,
    .facts = glibc_facts,
};

/** The table, or NULL where the C library is not glibc. */
const void *allocmark_glibc_table(void) {
    return resolve() ? &table : NULL;
}

/** The version of the running glibc, or "" where the C library is another. */
const char *allocmark_glibc_version(void) {
    return resolve() ? libc.version() : "";
}

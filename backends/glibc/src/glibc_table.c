/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * malloc and free of the GNU C library behind the allocmark backend table.
 *
 * The functions are looked up in the C library itself: a malloc that is preloaded over the C library's is not
 * measured under its name.
 */
#define _GNU_SOURCE
#include <allocmark/malloc_table.h>

#include <dlfcn.h>
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
    int (*malloc_info)(int, FILE *);
#ifdef HAVE_MALLINFO2
    struct mallinfo2 (*mallinfo2)(void); /* NULL: built against a newer glibc than the one that runs */
#endif
    const char *(*version)(void);
} libc;

static bool resolve(void) {
    void *handle = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
    if (handle == NULL) return false;
    /* POSIX has dlsym return functions as void *; writing through a void ** is its documented idiom. */
#define TAKE(function, name)                                                                                 \
    (*(void **)&allocmark_malloc.function.call = dlsym(handle, allocmark_malloc.function.symbol = name))
    const bool complete = TAKE(malloc, "malloc") && TAKE(free, "free") && TAKE(aligned, "aligned_alloc") &&
                          TAKE(usable_size, "malloc_usable_size") && TAKE(calloc, "calloc") &&
                          TAKE(realloc, "realloc");
#undef TAKE
    *(void **)&libc.malloc_info = dlsym(handle, "malloc_info");
#ifdef HAVE_MALLINFO2
    *(void **)&libc.mallinfo2 = dlsym(handle, "mallinfo2");
#endif
    *(void **)&libc.version = dlsym(handle, "gnu_get_libc_version");
    return complete && libc.malloc_info && libc.version;
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
    while (n < OBJECTS && (objects[n] = allocmark_malloc.malloc.call(SIZE)) != NULL) {
        taken += allocmark_malloc.usable_size.call(objects[n]) + sizeof(size_t);
        n++;
    }
    const size_t before = libc.mallinfo2().uordblks;
    allocmark_malloc_put_bulk(NULL, NULL, objects, n);
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

/** Under a name of its own, by which profiles and debuggers tell it from those of other libraries. */
static int glibc_get_bulk(void *pool, void *local, void **objects, uint32_t n) {
    return allocmark_malloc_get_bulk(pool, local, objects, n);
}

static void glibc_facts(void *pool, allocmark_fact_fn emit, void *context) {
    if (pool != NULL) {
        allocmark_malloc_pool_facts(pool, emit, context);
        return;
    }
    emit(context, "version", libc.version());
    emit_environment(emit, context);
    emit_arenas(emit, context);
#ifdef HAVE_MALLINFO2
    emit_memory(emit, context);
#endif
}

/** The table, or NULL where the C library is not glibc. */
const void *allocmark_glibc_table(void) {
    static allocmark_backend table;
    if (!resolve()) return NULL;
    allocmark_malloc_fill(&table);
    table.get_bulk = glibc_get_bulk;
    table.facts = glibc_facts;
    return &table;
}

/** The version of the running glibc, or "" where the C library is another. */
const char *allocmark_glibc_version(void) {
    return resolve() ? libc.version() : "";
}

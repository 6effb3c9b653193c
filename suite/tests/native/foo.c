/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * A library with the malloc interface, which counts nothing and hands out the C library's objects. NAME(x) is
 * what its functions are called: x itself, to replace the malloc of a process, or with a prefix. Who asks for
 * the usable size knows that it was this library that was called.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>

#ifdef PREFIX
#define GLUE(prefix, name) prefix##name
#define EXPAND(prefix, name) GLUE(prefix, name)
#define NAME(x) EXPAND(PREFIX, x)
#else
#define NAME(x) x
#endif

static void *next(const char *name) {
    return dlsym(RTLD_NEXT, name);
}

void *NAME(malloc)(size_t size) {
    static void *(*real)(size_t);
    if (!real) *(void **)&real = next("malloc");
    return real(size);
}

#ifndef WITHOUT_FREE
void NAME(free)(void *object) {
    static void (*real)(void *);
    if (!real) *(void **)&real = next("free");
    real(object);
}
#endif

size_t NAME(malloc_usable_size)(void *object) {
    return object ? 4711 : 0;
}

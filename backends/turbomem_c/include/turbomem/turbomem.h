/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * TurboMem in C: pools of fixed-size objects with lock-free sharing between threads.
 *
 * Functions that can fail return 0 or a negative errno value. Those that take a `turbomem_error` put one line
 * for a person into it (it may be NULL). Nothing here prints, aborts, locks or waits for another thread.
 */
#ifndef TURBOMEM_H
#define TURBOMEM_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TURBOMEM_VERSION "0.1.0"

typedef struct turbomem_pool turbomem_pool;
/** A thread's cache of objects of one pool. */
typedef struct turbomem_cache turbomem_cache;

typedef struct turbomem_error {
    char message[256];
} turbomem_error;

enum turbomem_pages {
    TURBOMEM_PAGES_BASE = 0, /* pages of the base size */
    TURBOMEM_PAGES_THP = 1,  /* transparent huge pages of 2 MB */
};

typedef struct turbomem_options {
    uint64_t object_size; /* bytes, at least 1 */
    uint64_t objects;     /* at least 1 */
    uint64_t alignment;   /* power of two up to 2 MB; 0: 64 */
    uint32_t magazine;    /* objects in a magazine, at least 1; 256 is good. A thread caches up to two */
    uint32_t uncached;    /* not 0: nothing stays with a thread between its calls */
    uint32_t max_threads; /* slots: threads that may be entered at once, 1 to 65536 */
    uint32_t pages;       /* enum turbomem_pages */
} turbomem_options;

typedef struct turbomem_stats {
    uint64_t available;       /* objects in the pool, those in caches included */
    uint64_t object_stride;   /* bytes from one object to the next */
    uint64_t region_bytes;    /* memory the objects lie in, whole pages */
    uint64_t magazine;        /* objects in a magazine */
    uint64_t magazines;       /* of the pool */
    uint64_t cache;           /* most objects one thread keeps from the others between its calls */
    uint64_t depot_exchanges; /* magazines that threads took from the depot so far */
    uint64_t depot_steals;    /* of these, from the shard of another slot */
} turbomem_stats;

/** The version of the library, as TURBOMEM_VERSION was when it was built. */
const char *turbomem_version(void);

/**
 * Create a pool with its memory populated. -EINVAL: an option out of range; -ENOMEM: not enough memory; or
 * the kernel's errno. On failure nothing is left behind and *pool is untouched.
 */
int turbomem_create(const turbomem_options *options, turbomem_pool **pool, turbomem_error *error);

/** Every object is back and every thread has left. NULL is allowed. */
void turbomem_destroy(turbomem_pool *pool);

/** Take a slot. -EINVAL: no such slot; -EBUSY: a thread is in it. Lock-free. */
int turbomem_enter(turbomem_pool *pool, uint32_t slot, turbomem_cache **cache, turbomem_error *error);

/** Give the slot up; what was cached goes where other threads get it. By the thread that entered. Lock-free.
 */
void turbomem_leave(turbomem_cache *cache);

/**
 * Take n objects, all or none. 0, or -ENOENT when there are not enough beyond what other threads cache or
 * have in hand, at most two magazines each: then nothing changed and `objects` is undefined. Wait-free within
 * a magazine, else lock-free.
 */
int turbomem_get_bulk(turbomem_cache *cache, void **objects, uint32_t n);

/** Give n objects of this pool back; any thread may have got them. Wait-free within a magazine, else
 * lock-free. */
void turbomem_put_bulk(turbomem_cache *cache, void *const *objects, uint32_t n);

/** Exact while no thread is in a call. */
void turbomem_get_stats(const turbomem_pool *pool, turbomem_stats *stats);

/** Start and length (bytes) of the memory that every object lies in. */
void *turbomem_region(const turbomem_pool *pool, uint64_t *length);

/**
 * Bytes of that memory that lie on huge pages now, read from the kernel. -EIO: it cannot be read. Safe at any
 * time; takes as long as the kernel needs to list the process's memory.
 */
int turbomem_huge_bytes(const turbomem_pool *pool, uint64_t *bytes);

#ifdef __cplusplus
}
#endif

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * TurboMem in C: pools of fixed-size objects with lock-free sharing between threads.
 *
 * Functions that can fail return 0 or a negative errno value. Those that take a `turbomem_error` put one line
 * for a person into it (it may be NULL). Nothing here prints or aborts, but for hardened pools that
 * nobody is told of, or, once a pool stands, locks or waits for another thread; turbomem_create and
 * turbomem_destroy take a lock. These two and turbomem_get_regions are no cancellation points.
 *
 * A pool is shared by threads. A cache is one thread's, from turbomem_enter to turbomem_leave. Handles of
 * pools that were destroyed lately, and their caches, are known as such: calls return -ESTALE. Not found, and
 * undefined: a handle that was never given out; a call that runs while its pool is destroyed; and, on pools
 * without checks, an object put twice, into the wrong pool, or never got from one.
 *
 * A child of fork has a copy of each pool. The slots of threads that are not there stay in use, what they
 * cached is found.
 *
 * Structures begin with their size, for the caller's version of this header: set it, zero the rest, and every
 * member means its default. Functions never write beyond it, and refuse options of a newer header that they
 * do not know.
 */
#ifndef TURBOMEM_H
#define TURBOMEM_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TURBOMEM_VERSION "0.1.0"

#ifndef TURBOMEM_API
#define TURBOMEM_API __attribute__((visibility("default")))
#endif

typedef struct turbomem_pool turbomem_pool;
/** A thread's cache of objects of one pool. */
typedef struct turbomem_cache turbomem_cache;

typedef struct turbomem_error {
    char message[256];
} turbomem_error;

enum turbomem_pages {
    TURBOMEM_PAGES_THP = 0,        /* transparent huge pages of 2 MB as far as they are to be had; base pages
                                      for less than 1 MB, unless `require` */
    TURBOMEM_PAGES_BASE = 1,       /* pages of the base size */
    TURBOMEM_PAGES_HUGETLB_2M = 2, /* reserved huge pages; the next best where too few are free */
    TURBOMEM_PAGES_HUGETLB_1G = 3,
};

enum turbomem_numa {
    TURBOMEM_NUMA_ANY = 0,       /* one pool, wherever the kernel puts it */
    TURBOMEM_NUMA_PREFERRED = 1, /* a share per node; a get falls back to other nodes, and that is counted */
    TURBOMEM_NUMA_STRICT = 2,    /* a share per node; creation and gets fail rather than cross nodes */
};

enum turbomem_checks {
    TURBOMEM_CHECKS_NONE = 0,
    TURBOMEM_CHECKS_ALL = 1, /* find misuse, see turbomem_misuse_fn. Slower, for tests */
    TURBOMEM_CHECKS_HARDENED =
        2, /* a put of what is no object of the pool is found, and left out: -EFAULT. Cheap.
              Without on_misuse it is reported on stderr, and the process aborts */
};

/**
 * What a pool with checks found: the code that the call returns (-EFAULT no object of this pool, -EXDEV one
 * of another checked pool, -EALREADY put twice, -EOVERFLOW written past an end, -EUCLEAN written while in the
 * pool, -EBUSY still out), the pointer concerned or NULL, and one line. On the thread that met it.
 */
typedef void (*turbomem_misuse_fn)(void *context, int code, const void *object, const char *message);

typedef struct turbomem_options {
    uint32_t size;        /* sizeof(turbomem_options) */
    uint32_t max_threads; /* slots: threads that may be entered at once, up to 65536; 0: one per CPU */
    uint64_t object_size; /* bytes, at least 1 */
    uint64_t objects;     /* at least 1 */
    uint64_t alignment;   /* power of two up to 2 MB; 0: 64 */
    uint32_t magazine; /* objects in a magazine; a thread caches up to two. 0: 256, fewer in a small pool */
    uint32_t uncached; /* not 0: nothing stays with a thread between its calls */
    uint32_t pages;    /* enum turbomem_pages */
    uint32_t require;  /* not 0: -E... rather than any other pages */
    uint32_t numa;     /* enum turbomem_numa */
    uint32_t one_node; /* not 0: all of it on `node`; as far as it has room for TURBOMEM_NUMA_ANY */
    int32_t node;      /* the kernel's number of a NUMA node, see one_node */
    uint32_t checks;   /* enum turbomem_checks */
    turbomem_misuse_fn on_misuse; /* told what is found, beside the code that is returned; or NULL */
    void *context;                /* handed to on_misuse */
    const char *name; /* for errors, reports, statistics and /proc/PID/maps: at most 63 printable characters
                         of ASCII without []\`$; or NULL */
    uint32_t count_calls; /* not 0: statistics have gets and puts. Slower */
} turbomem_options;

typedef struct turbomem_stats {
    uint32_t size;            /* sizeof(turbomem_stats) */
    uint32_t nodes;           /* sub-pools, one per NUMA node */
    uint64_t objects;         /* that the pool has */
    uint64_t available;       /* of these, in the pool, those in caches included */
    uint64_t cached;          /* of these, in caches */
    uint64_t object_stride;   /* bytes from one object to the next */
    uint64_t region_bytes;    /* memory the objects lie in, whole pages */
    uint64_t magazine;        /* objects in a magazine */
    uint64_t magazines;       /* of the pool */
    uint64_t cache_limit;     /* most objects one thread keeps from the others between its calls */
    uint64_t depot_exchanges; /* magazines that threads took from a depot so far */
    uint64_t depot_steals;    /* of these, from the shard of another slot */
    uint64_t reclaims;        /* caches that a get emptied because the depot had too few */
    uint64_t fallback_gets;   /* objects got from another node than the thread's */
    uint64_t foreign_puts;    /* objects sent home to another node than the thread's */
    uint64_t in_use;          /* objects that are not in the pool */
    uint64_t least_available; /* the fewest seen available: about once in a tick of the kernel's clock */
    uint64_t get_misses;      /* gets for which the cache had too few: the depot served them */
    uint64_t put_misses;      /* puts for which the cache had no room: a magazine went to the depot */
    uint64_t failed_gets;     /* bulks that found too few objects anywhere */
    uint64_t guest_calls;     /* calls without a slot: more of max_threads would make them faster */
    uint64_t gets; /* with count_calls: gets that took something; less get_misses, the cache's hits */
    uint64_t got;  /* objects in these */
    uint64_t puts; /* with count_calls */
    uint64_t put;
    char name[64]; /* as the options had it */
} turbomem_stats;

/** Memory that objects lie in, and what the kernel says it lies on. In bytes. */
typedef struct turbomem_region {
    uint32_t size; /* sizeof(turbomem_region) */
    int32_t node;  /* the one NUMA node it lies on; -1: several, or not known */
    void *start;
    uint64_t length;
    uint64_t base; /* on pages of the base size; the kinds need not add up to length: the rest is not there */
    uint64_t thp;
    uint64_t hugetlb_2m;
    uint64_t hugetlb_1g;
} turbomem_region;

/** The version of the library, as TURBOMEM_VERSION was when it was built. */
TURBOMEM_API const char *turbomem_version(void);

/**
 * Create a pool with its memory populated. -EINVAL: an option out of range; -ENOMEM: not enough memory;
 * -ENODEV: no such node; or the kernel's errno. On failure nothing is left behind and *pool is untouched.
 */
TURBOMEM_API int turbomem_create(const turbomem_options *options, turbomem_pool **pool,
                                 turbomem_error *error);

/**
 * Every object is back, every thread has left, and no other call runs. NULL is allowed. -ESTALE: it is
 * destroyed already. With checks: -EBUSY, the pool stands, while objects are out.
 */
TURBOMEM_API int turbomem_destroy(turbomem_pool *pool);

#define TURBOMEM_ANY_SLOT UINT32_MAX

/**
 * Take a slot, 0 to max_threads - 1 or any. -EINVAL: no such slot; -EBUSY: it is in use; -ESTALE. With
 * TURBOMEM_ANY_SLOT, when all are in use, the cache takes none and keeps nothing between two calls: slower,
 * and never refused but for memory (-ENOMEM). Lock-free but for memory.
 */
TURBOMEM_API int turbomem_enter(turbomem_pool *pool, uint32_t slot, turbomem_cache **cache,
                                turbomem_error *error);

/**
 * Give the slot up; what was cached goes where other threads get it. By the thread that entered. -ESTALE:
 * left already, or the pool is gone. Lock-free.
 */
TURBOMEM_API int turbomem_leave(turbomem_cache *cache);

/**
 * Take n objects, all or none. 0; or, with nothing changed and `objects` undefined: -ENOENT, there are not as
 * many; -ESTALE. With checks, -EOVERFLOW or -EUCLEAN: some were damaged; all are back, the damage is
 * mended, and the next call finds them good. Wait-free within a magazine, else lock-free.
 */
TURBOMEM_API int turbomem_get_bulk(turbomem_cache *cache, void **objects, uint32_t n);

/** Take up to n objects: how many, or a negative errno value as above. Lock-free. */
TURBOMEM_API int64_t turbomem_get_up_to(turbomem_cache *cache, void **objects, uint32_t n);

/**
 * Give n objects of this pool back; any thread may have got them. 0 or -ESTALE. With checks, the first of the
 * codes of turbomem_misuse_fn that was met: objects that are wrong are left out and all others put.
 * Wait-free within a magazine, else lock-free.
 */
TURBOMEM_API int turbomem_put_bulk(turbomem_cache *cache, void *const *objects, uint32_t n);

/** The same for a thread that has not entered. Lock-free, and slower. */
TURBOMEM_API int turbomem_pool_get_bulk(turbomem_pool *pool, void **objects, uint32_t n);
TURBOMEM_API int turbomem_pool_put_bulk(turbomem_pool *pool, void *const *objects, uint32_t n);

/** At any time: exact while no thread is in a call, else an estimate. -EINVAL: `size` is not set; -ESTALE. */
TURBOMEM_API int turbomem_get_stats(const turbomem_pool *pool, turbomem_stats *stats);

/** Whether the address lies in the memory of the pool's objects: 1 or 0, or -ESTALE. Wait-free. */
TURBOMEM_API int turbomem_owns(const turbomem_pool *pool, const void *address);

/**
 * The pool's regions: fills up to `capacity` and returns how many there are. Each that is passed has its size
 * set. -EINVAL: one has not; -EIO: the kernel does not tell; -ESTALE. Takes as long as the kernel needs to
 * list the process's memory.
 */
TURBOMEM_API int turbomem_get_regions(const turbomem_pool *pool, turbomem_region *regions, uint32_t capacity,
                                      turbomem_error *error);

/**
 * Put what was split since back on transparent huge pages: *before and *after in bytes (each may be NULL).
 * -EIO: cannot be read; -ENOMEM, -EAGAIN: not all could be merged; -ESTALE. Objects may be in use.
 */
TURBOMEM_API int turbomem_remerge(turbomem_pool *pool, uint64_t *before, uint64_t *after);

/** With checks: look at every object's surroundings. How many are damaged, which are mended and reported;
 * -ENOTSUP: no checks; -ESTALE. While no other thread uses the pool. */
TURBOMEM_API int64_t turbomem_audit(turbomem_pool *pool);

/** Keep the calling thread on one CPU. -EINVAL: there is none of that number, or it may not be used. */
TURBOMEM_API int turbomem_pin(uint32_t cpu, turbomem_error *error);

#ifdef __cplusplus
}
#endif

#endif

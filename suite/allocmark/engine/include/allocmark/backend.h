/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * The allocmark backend ABI: one table of C functions through which the engine drives an allocator.
 *
 * Versions. `allocmark_backend.abi` is the version the backend was compiled against and `size` is
 * `sizeof(allocmark_backend)` at that time. Version 1 only ever grows at the end: a later engine reads
 * members beyond `size` as NULL, so a backend built today keeps running. Every structure that the engine
 * hands over carries its own `size` for the same reason: read no member that lies beyond it.
 *
 * Beside this header lie backend.hpp, which makes the table of a C++ class, malloc_table.h, which has that of
 * a library with the malloc interface, say.h, for error messages and facts, and huge_pages.h, which borrows
 * huge pages.
 *
 * Ownership. The engine owns every structure it passes and keeps it alive only for the call; copy what you
 * keep. The backend owns pools, thread handles and objects. The table itself lives as long as the process.
 *
 * Threads. `init`, `fini`, `pool_create` and `pool_destroy` are called by one thread at a time, while no
 * other function runs. `thread_enter`, `thread_leave`, `get_bulk` and `put_bulk` are called by the thread
 * they concern, as are `get_sized` and `resize`, concurrently with those of other threads; `put_all` by
 * the only thread that has entered the pool. `available`, `regions`, `facts`, `trips` and `cached` are called
 * while no thread is inside `get_bulk` or `put_bulk`.
 *
 * Errors. Functions that can fail return 0 or a negative errno value, and put one line for a person into
 * `allocmark_error.message`: what was found, and what to do. A backend never prints, aborts or exits.
 */
#ifndef ALLOCMARK_BACKEND_H
#define ALLOCMARK_BACKEND_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ALLOCMARK_ABI_VERSION 1u

/** Behind a member that an initializer may leave out: C++ compilers would warn of it. */
#if defined(__cplusplus) && __cplusplus >= 201402L
#define ALLOCMARK_OPTIONAL = nullptr
#else
#define ALLOCMARK_OPTIONAL
#endif

/** Room for one line that a person reads; always NUL-terminated. */
typedef struct allocmark_error {
    char message[512];
} allocmark_error;

/** One option of a variant, as declared by the plugin ("handler" = "stack"). */
typedef struct allocmark_option {
    const char *key;
    const char *value;
} allocmark_option;

/** Given once per process, before the first pool. */
typedef struct allocmark_init {
    uint32_t size;                   /* sizeof(allocmark_init) of the engine */
    uint32_t n_options;              /* entries in `options` */
    const allocmark_option *options; /* the variant's options */
    uint32_t max_threads;            /* threads that will ever be entered at once */
    uint32_t n_cpus;                 /* entries in `cpus` */
    const uint32_t *cpus;            /* CPUs the actors will be pinned to; empty when left free */
    uint64_t pool_bytes;             /* object bytes of all pools of this process: what to reserve for */
} allocmark_init;

/** What a pool must be able to do. */
typedef struct allocmark_pool_spec {
    uint32_t size;        /* sizeof(allocmark_pool_spec) of the engine */
    uint32_t cache;       /* objects a thread may cache, as asked for; 0: no per-thread cache */
    const char *name;     /* the workload's name for it; unique in the process */
    uint64_t object_size; /* bytes a user may write in each object, at least 1 */
    uint64_t objects;     /* objects the pool holds; an allocator of any size may ignore it */
    uint64_t alignment;   /* power of two, or 0: whatever the allocator gives by itself */
    uint64_t working_set; /* most objects the workload has out of the pool at once */
    int32_t node;         /* NUMA node for the memory, or -1: any */
    uint32_t max_threads; /* threads that will ever be entered at once */
} allocmark_pool_spec;

/** Who enters. */
typedef struct allocmark_thread {
    uint32_t size; /* sizeof(allocmark_thread) of the engine */
    uint32_t slot; /* 0 .. max_threads-1, unique among the entered threads */
    int32_t cpu;   /* the CPU it is pinned to, or -1: free */
    int32_t node;  /* that CPU's NUMA node, or -1: not known */
} allocmark_thread;

/** A range of memory that holds a pool's objects. */
typedef struct allocmark_region {
    uint64_t address; /* first byte */
    uint64_t length;  /* bytes */
} allocmark_region;

/** Receives one fact; both strings are copied. Numbers are written in decimal. */
typedef void (*allocmark_fact_fn)(void *context, const char *key, const char *value);

/** A function of a library, by its name there, and where it lies in this process. */
typedef struct allocmark_call {
    const char *name;
    const void *address;
} allocmark_call;

/** The malloc interface of an allocator that serves any size. `malloc` and `free` are required. */
typedef struct allocmark_any_size {
    uint32_t size; /* sizeof(allocmark_any_size) of the backend */
    void *(*malloc)(size_t size);
    void (*free)(void *object);
    void *(*calloc)(size_t n, size_t size)ALLOCMARK_OPTIONAL;
    void *(*realloc)(void *object, size_t size)ALLOCMARK_OPTIONAL;
    void *(*aligned)(size_t alignment, size_t size)ALLOCMARK_OPTIONAL;
} allocmark_any_size;

/** The table. Members up to and including `put_bulk` are required; those after it may be NULL. */
typedef struct allocmark_backend {
    uint32_t abi;  /* ALLOCMARK_ABI_VERSION */
    uint32_t size; /* sizeof(allocmark_backend) */

    /** Prepare the process. Called once, before anything else. */
    int (*init)(const allocmark_init *init, allocmark_error *error);

    /**
     * Create a pool with its memory populated (where the allocator has such a thing), ready to be measured.
     * -ENOMEM: not enough memory; -EINVAL: a specification this backend cannot serve.
     */
    int (*pool_create)(const allocmark_pool_spec *spec, void **pool, allocmark_error *error);

    /** Every object is back and every thread has left. */
    void (*pool_destroy)(void *pool);

    /** The calling thread starts to use the pool; `*local` is handed back in its later calls. */
    int (*thread_enter)(void *pool, const allocmark_thread *thread, void **local, allocmark_error *error);

    /** The calling thread stops using the pool; objects it cached go back to where others can get them. */
    void (*thread_leave)(void *pool, void *local);

    /**
     * Take n objects (1 <= n): all or nothing. Returns 0 and fills objects[0..n), or a negative errno value
     * (-ENOENT when the pool has not enough) and leaves `objects` undefined. On the measured path.
     */
    int (*get_bulk)(void *pool, void *local, void **objects, uint32_t n);

    /** Give n objects back. They may have been taken by another thread. Cannot fail. On the measured path. */
    void (*put_bulk)(void *pool, void *local, void *const *objects, uint32_t n);

    /* Optional. */

    /** Undo `init`: give back what the process reserved. */
    void (*fini)(void) ALLOCMARK_OPTIONAL;

    /** Objects in the pool, those in per-thread caches included. NULL: the allocator does not count. */
    uint64_t (*available)(void *pool) ALLOCMARK_OPTIONAL;

    /**
     * The pool's object memory: writes up to `capacity` regions and returns how many there are. Every object
     * lies inside one of them. NULL: not known.
     */
    uint32_t (*regions)(void *pool, allocmark_region *regions, uint32_t capacity) ALLOCMARK_OPTIONAL;

    /**
     * What is really on, read back and not repeated from the options: handler, effective cache size, and the
     * pool's own counters. `pool` is NULL for facts of the process (library version, what was reserved).
     * The key "cache" of a pool is the most objects that a thread may keep for itself; reports compare it
     * with what was asked for.
     */
    void (*facts)(void *pool, allocmark_fact_fn emit, void *context) ALLOCMARK_OPTIONAL;

    /**
     * Trips so far: how often a thread went to what all threads share, to get objects or to put them, because
     * its cache could not serve the call. The first call for a pool says that trips are counted from now on:
     * until then, and so in whatever is timed, counting must cost nothing. UINT64_MAX, and NULL: not known.
     */
    uint64_t (*trips)(void *pool) ALLOCMARK_OPTIONAL;

    /** Objects in the cache of the thread with this handle. NULL: not known. */
    uint64_t (*cached)(void *pool, void *local) ALLOCMARK_OPTIONAL;

    /**
     * The functions of a library that `get_bulk` and `put_bulk` call through pointers, as from dlsym: writes
     * up to `capacity` and returns how many there are. Which file they lie in is compared with the library
     * that the plugin declares. Functions that the backend is linked with are found without this.
     */
    uint32_t (*calls)(allocmark_call *calls, uint32_t capacity) ALLOCMARK_OPTIONAL;

    /**
     * As `get_bulk`, but each object is asked for with `size` bytes, 1 to the pool's object_size, and is all
     * zeros if `zeroed` is not 0: what malloc and calloc can do. NULL: whole objects are used, and the engine
     * writes the zeros. On the measured path.
     */
    int (*get_sized)(void *pool, void *local, void **objects, uint32_t n, uint64_t size,
                     uint32_t zeroed) ALLOCMARK_OPTIONAL;

    /**
     * `*object`, of the pool `from`, becomes an object of the pool `to` and keeps its first bytes, as many as
     * both sizes have; it may be the same address. 0, or a negative errno value and nothing has changed.
     * NULL: the engine gets an object of `to`, copies, and puts the old one. On the measured path.
     */
    int (*resize)(void *from, void *from_local, void *to, void *to_local, void **object) ALLOCMARK_OPTIONAL;

    /**
     * The malloc functions themselves, which need no pool: recorded programs are replayed on them. They are
     * called after `init`, by any thread, and stay as long as the process. NULL: it serves pools.
     */
    const allocmark_any_size *(*any_size)(void)ALLOCMARK_OPTIONAL;

    /**
     * Every object of the pool that is out comes back at once, whichever thread got it, as when an arena or
     * region is dropped. NULL: the engine puts what the actor holds as one bulk. On the measured path.
     */
    void (*put_all)(void *pool, void *local) ALLOCMARK_OPTIONAL;
} allocmark_backend;

#ifdef __cplusplus
}
#endif

#endif

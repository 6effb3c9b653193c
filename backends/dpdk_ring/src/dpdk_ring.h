/* SPDX-License-Identifier: BSD-3-Clause */
/** What the files of this backend share. Functions that can fail return 0 or a negative errno value. */
#ifndef ALLOCMARK_DPDK_RING_H
#define ALLOCMARK_DPDK_RING_H

#include <allocmark/say.h>

#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_version.h>

#include <stdatomic.h>
#include <stdbool.h>

/** What `init` decided for the whole process, written once by eal_start(), and what was borrowed since. */
struct dpdk_process {
    bool started;
    bool hugetlb;
    bool mbufs;                                /* objects are the data of packet buffers */
    bool heap;                                 /* objects are those of rte_malloc */
    int (*populate_thp)(struct rte_mempool *); /* fills pools with transparent huge pages; NULL: not wanted */
    char handler[32];                          /* name of the mempool operations every pool gets */
    uint32_t main_lcore;                       /* the lcore that DPDK gave to the thread that called init */
    atomic_uint_fast64_t surplus_pages;        /* huge pages that the kernel made for this process */
};

extern struct dpdk_process dpdk;

/** Whether the handler is "bucket", the only one that limits object sizes and whose threads must stay lcores.
 */
bool handler_is_bucket(void);

int eal_start(const allocmark_init *init, allocmark_error *error);
void eal_stop(void);

int pool_create(const allocmark_pool_spec *spec, void **pool, allocmark_error *error);
void pool_destroy(void *pool);
uint64_t pool_available(void *pool);
uint32_t pool_regions(void *pool, allocmark_region *regions, uint32_t capacity);

/** The calling thread becomes an lcore, unless it is one; it stays one until it has left as often. */
int lcore_enter(allocmark_error *error);
void lcore_leave(void);

int thread_enter(void *pool, const allocmark_thread *thread, void **local, allocmark_error *error);
void thread_leave(void *pool, void *local);

uint64_t pool_trips(void *pool);
uint64_t thread_cached(void *pool, void *local);

/** What lies behind the rte_mempool and its caches; DPDK wants its own part first. */
struct pool_private {
    struct rte_pktmbuf_pool_private mbufs;
    atomic_uint_fast64_t trips;
};

void facts(void *pool, allocmark_fact_fn emit, void *context);
void process_facts(allocmark_fact_fn emit, void *context);

/* rte_malloc. */

const allocmark_backend *heap_table(void);

/** Bytes of huge pages that its heap needs for objects of `pool_bytes`; 0: not known. */
uint64_t heap_bytes(uint64_t pool_bytes);

/** Maps them. */
int heap_reserve(uint64_t bytes, allocmark_error *error);

/* The per-lcore cache: how much it holds before some of it goes back to the pool. */

/* DPDK 26.07 rewrote the cache: `size` is the limit, and flushthresh is kept for its place only. */
#define CACHE_ENDS_AT_SIZE (RTE_VERSION >= RTE_VERSION_NUM(26, 7, 0, 0))

static inline uint32_t cache_limit(const struct rte_mempool_cache *cache) {
    return CACHE_ENDS_AT_SIZE ? cache->size : cache->flushthresh;
}

/** The same for a cache that is yet to be made. */
static inline uint64_t cache_limit_of_size(uint64_t size) {
    return CACHE_ENDS_AT_SIZE ? size : size + size / 2;
}

/* DPDK's log is kept in memory: a backend never prints. Error messages quote its first line, which names the
 * cause of the lines that follow. */

/** Take DPDK's log from here on. Returns 0 or a negative errno value. */
int log_open(void);

/** Forget what was logged so far. */
void log_clear(void);

/** The first line since log_clear(); "" when there is none. Valid until the next call of a function here. */
const char *log_first_line(void);

/** Give the log back to DPDK. */
void log_close(void);

/* The shared objects with the mempool handlers. */

/**
 * Write to `path` the file that DPDK must be given with -d so that `handler` is loaded. "" when DPDK finds
 * its drivers by itself, as it does where it was not moved since it was installed.
 */
void drivers_find(const char *handler, char *path, size_t size);

/**
 * Load a driver that is not DPDK's own, which registers its handlers. Not with -d, since DPDK refuses files
 * in folders that everyone may write to, such as temporary ones. False: `error` says why.
 */
bool drivers_load(const char *path, allocmark_error *error);

/**
 * TurboMem's function that puts a mempool on transparent huge pages, from the driver at `path`. NULL when
 * drivers_load has not loaded it, or it is another driver.
 */
int (*drivers_populate_thp(const char *path))(struct rte_mempool *);

/** Whether DPDK knows the handler; true only once its driver is loaded. */
bool drivers_have(const char *handler);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * The allocmark backend table, and what is on the measured path.
 *
 * A pool is the rte_mempool itself. A thread's handle is its per-lcore cache, looked up once (NULL: the pool
 * has none). So a call costs what it costs a DPDK application: the inline functions of rte_mempool.h. Looking
 * up the lcore in every call would cost more in a shared library than it does in a program.
 *
 * Calls that the cache can serve have a path of their own, without the rest of those functions. The compiler
 * then saves no registers there; an application, which has the functions inlined, saves none either.
 */
#define _GNU_SOURCE
#include "dpdk_ring.h"

#include <rte_eal.h>

#include <dlfcn.h>

#define EXPORTED __attribute__((visibility("default")))

static __rte_noinline int get_from_pool(void *pool, void *local, void **objects, uint32_t n) {
    return rte_mempool_generic_get(pool, objects, n, local);
}

static __rte_noinline void put_to_pool(void *pool, void *local, void *const *objects, uint32_t n) {
    rte_mempool_generic_put(pool, objects, n, local);
}

static int get_bulk(void *pool, void *local, void **objects, uint32_t n) {
    const struct rte_mempool_cache *cache = local;
    if (cache == NULL || n > cache->len) return get_from_pool(pool, local, objects, n);
    return rte_mempool_generic_get(pool, objects, n, local);
}

static void put_bulk(void *pool, void *local, void *const *objects, uint32_t n) {
    const struct rte_mempool_cache *cache = local;
    if (cache == NULL || n > cache_limit(cache) || cache->len + n > cache_limit(cache))
        put_to_pool(pool, local, objects, n);
    else
        rte_mempool_generic_put(pool, objects, n, local);
}

/**
 * Packet buffers: what an application that sends and receives pays. Its objects are the data, which lies
 * behind the rte_mbuf; with the addresses, DPDK's functions get and return those of the rte_mbuf.
 */
static int get_mbufs(void *pool, void *local, void **objects, uint32_t n) {
    (void)local; /* DPDK looks up the lcore's cache by itself */
    const int result = rte_pktmbuf_alloc_bulk(pool, (struct rte_mbuf **)objects, n);
    if (result != 0) return result;
    for (uint32_t i = 0; i < n; i++) objects[i] = (struct rte_mbuf *)objects[i] + 1;
    return 0;
}

static void put_mbufs(void *pool, void *local, void *const *objects, uint32_t n) {
    (void)pool;
    (void)local;
    struct rte_mbuf *mbufs[64]; /* as many as DPDK puts at once */
    while (n > 0) {
        const uint32_t some = RTE_MIN(n, RTE_DIM(mbufs));
        for (uint32_t i = 0; i < some; i++) mbufs[i] = (struct rte_mbuf *)objects[i] - 1;
        rte_pktmbuf_free_bulk(mbufs, some);
        objects += some;
        n -= some;
    }
}

#define REST                                                                                                 \
    .abi = ALLOCMARK_ABI_VERSION, .size = sizeof(allocmark_backend), .init = eal_start,                      \
    .pool_create = pool_create, .pool_destroy = pool_destroy, .thread_enter = thread_enter,                  \
    .thread_leave = thread_leave, .fini = eal_stop, .available = pool_available, .regions = pool_regions,    \
    .facts = facts, .trips = pool_trips, .cached = thread_cached

static const allocmark_backend mbuf_table = {REST, .get_bulk = get_mbufs, .put_bulk = put_mbufs};
static const allocmark_backend table = {REST, .get_bulk = get_bulk, .put_bulk = put_bulk};

/* What Python calls. None of it needs the EAL. */

EXPORTED const void *allocmark_dpdk_mempool_table(void);
EXPORTED const void *allocmark_dpdk_mbuf_table(void);
EXPORTED const void *allocmark_dpdk_heap_table(void);
EXPORTED const char *allocmark_dpdk_version(void);
EXPORTED const char *allocmark_dpdk_mempool_file(void);
EXPORTED const char *allocmark_dpdk_eal_file(void);

const void *allocmark_dpdk_mempool_table(void) {
    return &table;
}

const void *allocmark_dpdk_mbuf_table(void) {
    return &mbuf_table;
}

const void *allocmark_dpdk_heap_table(void) {
    return heap_table();
}

/** The version of the library that was loaded, not of the headers. */
const char *allocmark_dpdk_version(void) {
    return rte_version();
}

static const char *file_of(const void *function) {
    Dl_info found;
    return dladdr(function, &found) ? found.dli_fname : "";
}

const char *allocmark_dpdk_mempool_file(void) {
    return file_of((const void *)(uintptr_t)rte_mempool_create_empty);
}

const char *allocmark_dpdk_eal_file(void) {
    return file_of((const void *)(uintptr_t)rte_eal_init);
}

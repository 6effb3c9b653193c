/* SPDX-License-Identifier: BSD-3-Clause */
/** How much a per-lcore cache holds before some of it goes back to the pool. */
#ifndef ALLOCMARK_DPDK_CACHE_H
#define ALLOCMARK_DPDK_CACHE_H

#include <rte_mempool.h>
#include <rte_version.h>

/* DPDK 26.07 rewrote the cache: `size` is the limit, and flushthresh is kept for its place only. */
#define CACHE_ENDS_AT_SIZE (RTE_VERSION >= RTE_VERSION_NUM(26, 7, 0, 0))

static inline uint32_t cache_limit(const struct rte_mempool_cache *cache) {
    return CACHE_ENDS_AT_SIZE ? cache->size : cache->flushthresh;
}

/** The same for a cache that is yet to be made. */
static inline uint64_t cache_limit_of_size(uint64_t size) {
    return CACHE_ENDS_AT_SIZE ? size : size + size / 2;
}

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef ALLOCMARK_DPDK_CACHE_H
#define ALLOCMARK_DPDK_CACHE_H

#include <rte_mempool.h>
#include <rte_version.h>

/** Most objects a per-lcore cache holds before some go back to the pool. */
static inline uint32_t cache_limit(const struct rte_mempool_cache *cache) {
#if RTE_VERSION >= RTE_VERSION_NUM(26, 7, 0, 0)
    return cache->size; /* the cache was rewritten; flushthresh is kept for its place only */
#else
    return cache->flushthresh;
#endif
}

#endif

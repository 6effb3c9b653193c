/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * Trips are calls to the handler: DPDK makes one where the cache does not do. A pool whose trips were asked
 * for has a copy of the handler's operations, of which two count. Every other pool, and so whatever is timed,
 * has the handler itself.
 */
#include "dpdk_ring.h"

static struct rte_mempool_ops handler; /* that of all pools of this process */
static int counting = -1;              /* the copy's place in DPDK's table */

static atomic_uint_fast64_t *count_of(struct rte_mempool *pool) {
    return &((struct pool_private *)rte_mempool_get_priv(pool))->trips;
}

static int counted_enqueue(struct rte_mempool *pool, void *const *objects, unsigned n) {
    atomic_fetch_add_explicit(count_of(pool), 1, memory_order_relaxed);
    return handler.enqueue(pool, objects, n);
}

static int counted_dequeue(struct rte_mempool *pool, void **objects, unsigned n) {
    atomic_fetch_add_explicit(count_of(pool), 1, memory_order_relaxed);
    return handler.dequeue(pool, objects, n);
}

static bool make_copy(const struct rte_mempool *pool) {
    if (counting >= 0) return true;
    handler = *rte_mempool_get_ops(pool->ops_index);
    struct rte_mempool_ops copy = handler;
    copy.enqueue = counted_enqueue;
    copy.dequeue = counted_dequeue;
    counting = rte_mempool_register_ops(&copy);
    return counting >= 0;
}

uint64_t pool_trips(void *handle) {
    struct rte_mempool *pool = handle;
    if (pool->ops_index != counting) {
        if (!make_copy(pool)) return UINT64_MAX; /* DPDK's table is full */
        atomic_init(count_of(pool), 0);
        pool->ops_index = counting;
    }
    return atomic_load_explicit(count_of(pool), memory_order_relaxed);
}

uint64_t thread_cached(void *pool, void *local) {
    (void)pool;
    const struct rte_mempool_cache *cache = local;
    return cache != NULL ? cache->len : 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * A thread that enters becomes an lcore: without an lcore number it would have no cache. When it has left its
 * last pool it is an ordinary thread again, except with the handler "bucket": DPDK frees what that keeps for
 * an lcore together with the objects in it, so there a thread stays an lcore.
 */
#include "dpdk_ring.h"

#include <allocmark/huge_pages.h>

#include <rte_errno.h>
#include <rte_lcore.h>

#include <errno.h>
#include <string.h>

static _Thread_local unsigned pools_entered;
static _Thread_local bool registered_here; /* the thread that called init was an lcore before */

static int register_lcore(allocmark_error *error) {
    log_clear();
    if (rte_thread_register() == 0) {
        registered_here = true;
        return 0;
    }
    const int reason = rte_errno;
    allocmark_say(error, "DPDK took no further thread as an lcore (%s), of the %d it can have: %s",
                  rte_strerror(reason), RTE_MAX_LCORE, log_first_line());
    return reason > 0 ? -reason : -ENOMEM;
}

/** The handler "bucket" maps memory of each pool for each new lcore. */
static int register_bucket_lcore(const struct rte_mempool *pool, allocmark_error *error) {
    allocmark_huge_window window;
    int result = allocmark_huge_window_open(&window, 4 * sizeof(void *) * (uint64_t)pool->size, error);
    if (result != 0) return result;
    result = register_lcore(error);
    dpdk.surplus_pages += allocmark_huge_window_close(&window);
    return result;
}

int lcore_enter(allocmark_error *error) {
    const int result = rte_lcore_id() == LCORE_ID_ANY ? register_lcore(error) : 0;
    if (result == 0) pools_entered++;
    return result;
}

void lcore_leave(void) {
    if (--pools_entered > 0 || !registered_here || handler_is_bucket()) return;
    rte_thread_unregister();
    registered_here = false;
}

int thread_enter(void *pool, const allocmark_thread *thread, void **local, allocmark_error *error) {
    (void)thread;
    int result = 0;
    if (rte_lcore_id() == LCORE_ID_ANY && dpdk.hugetlb && handler_is_bucket())
        result = register_bucket_lcore(pool, error);
    if (result == 0) result = lcore_enter(error);
    if (result != 0) return result;
    *local = rte_mempool_default_cache(pool, rte_lcore_id()); /* NULL: the pool has no caches */
    return 0;
}

void thread_leave(void *pool, void *local) {
    if (local != NULL) rte_mempool_cache_flush(local, pool);
    lcore_leave();
}

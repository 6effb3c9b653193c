/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * DPDK mempools on transparent huge pages: no hugetlb page is reserved, no mount, no privilege.
 *
 * For applications that link with librte_mempool_turbomem.so. To use the mempool handler of that library
 * nothing of this is needed: load it with -d, choose it with --mbuf-pool-ops-name=turbomem.
 *
 * Works with and without --no-huge, with any handler, in a primary process, while IO addresses are virtual
 * ones (--iova-mode=va; the kernel may move a transparent huge page, so that a physical address means
 * nothing). A device that reaches memory through an IOMMU must be told of it: rte_dev_dma_map() for each
 * chunk that rte_mempool_mem_iter() shows. fork: a child does not inherit the memory.
 */
#ifndef TURBOMEM_DPDK_H
#define TURBOMEM_DPDK_H

#include <rte_mempool.h>

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Fill an empty mempool (rte_mempool_create_empty, and rte_mempool_set_ops_byname if wanted) with private
 * memory that is populated and on transparent huge pages as far as the kernel gives them; how far is logged
 * (pmd.mempool.turbomem) and told by turbomem_dpdk_huge_bytes(). On the node of the mempool, if it names one
 * that has room. The memory goes when the mempool is freed. To be called by one thread at a time.
 *
 * The number of objects, or a negative errno value, logged with its reason; then free the mempool:
 * -EINVAL (no mempool, or one that has memory), -ENOTSUP (physical IO addresses; a secondary process),
 * -ENOMEM, -ENOSPC (DPDK has no room to register more memory: RTE_MAX_MEMSEG_LISTS), or what the mempool's
 * handler answers.
 */
int turbomem_dpdk_populate_thp(struct rte_mempool *mp);

/**
 * As rte_pktmbuf_pool_create() and with its arguments, on transparent huge pages. With the handler that
 * rte_mbuf_best_mempool_ops() names: --mbuf-pool-ops-name if that was given.
 *
 * NULL: rte_errno says why: that of rte_mempool_create_empty(), -EINVAL for a private area that is not a
 * multiple of RTE_MBUF_PRIV_ALIGN, or what turbomem_dpdk_populate_thp() refuses (positive here).
 */
struct rte_mempool *turbomem_dpdk_pktmbuf_pool_create(const char *name, unsigned int n,
                                                      unsigned int cache_size, uint16_t priv_size,
                                                      uint16_t data_room_size, int socket_id);

/**
 * Bytes of a mempool's memory that are on huge pages now, as the kernel accounts them (/proc/self/smaps):
 * slow. Or a negative errno value: -EINVAL (no mempool), -EIO (not filled by turbomem_dpdk_populate_thp(), or
 * the kernel does not tell).
 */
int64_t turbomem_dpdk_huge_bytes(const struct rte_mempool *mp);

#ifdef __cplusplus
}
#endif

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * A packet buffer pool on transparent huge pages, in a DPDK that has no hugetlb page:
 *
 *     cc thp_pool.c $(pkg-config --cflags --libs libdpdk) -lrte_mempool_turbomem -o thp_pool
 *     ./thp_pool --no-huge --iova-mode=va --mbuf-pool-ops-name=turbomem
 *
 * The one difference to a program with rte_pktmbuf_pool_create() is the name of that function.
 */
#include <turbomem_dpdk.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_mbuf.h>

#include <inttypes.h>
#include <stdio.h>

int main(int argc, char **argv) {
    if (rte_eal_init(argc, argv) < 0) return 1;

    struct rte_mempool *packets =
        turbomem_dpdk_pktmbuf_pool_create("packets", /* buffers */ 65535, /* per-lcore cache */ 256,
                                          /* private area */ 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
    if (packets == NULL) {
        fprintf(stderr, "no pool: %s\n", rte_strerror(rte_errno));
        return 1;
    }

    struct rte_mbuf *burst[32];
    if (rte_pktmbuf_alloc_bulk(packets, burst, RTE_DIM(burst)) == 0)
        rte_pktmbuf_free_bulk(burst, RTE_DIM(burst));

    printf("%u buffers by the handler %s, %" PRId64 " MB on huge pages\n", rte_mempool_avail_count(packets),
           rte_mempool_get_ops(packets->ops_index)->name, turbomem_dpdk_huge_bytes(packets) >> 20);
    rte_mempool_free(packets);
    return rte_eal_cleanup();
}

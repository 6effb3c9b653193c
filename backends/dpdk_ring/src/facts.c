/* SPDX-License-Identifier: BSD-3-Clause */
/** What is really on, read back from DPDK. */
#include "dpdk_ring.h"

#include <allocmark/huge_pages.h>

#include <rte_eal.h>
#include <rte_lcore.h>

#include <inttypes.h>
#include <stdio.h>

struct lcore_list {
    char text[512];
    size_t length;
};

static int add_lcore(unsigned lcore, void *context) {
    struct lcore_list *list = context;
    const int room = (int)(sizeof list->text - list->length);
    const int n = snprintf(list->text + list->length, room, "%s%u", list->length ? "," : "", lcore);
    if (n < room) list->length += n;
    return 0;
}

void process_facts(allocmark_fact_fn emit, void *context) {
    struct lcore_list lcores = {.length = 0};
    emit(context, "version", rte_version());
    emit(context, "iova_mode", rte_eal_iova_mode() == RTE_IOVA_VA ? "va" : "pa");
    allocmark_emit_number(emit, context, "main_lcore", dpdk.main_lcore);
    rte_lcore_iterate(add_lcore, &lcores);
    lcores.text[lcores.length] = '\0';
    emit(context, "lcores", lcores.text);
    if (!dpdk.hugetlb) return;
    const uint64_t reserved = dpdk.surplus_pages * ALLOCMARK_HUGE_PAGE_MB;
    allocmark_emit_number(emit, context, "hugepages_reserved_mb", reserved);
    emit(context, "hugepages_source",
         reserved > 0 ? "surplus pages, nr_overcommit_hugepages raised while mapping"
                      : "pages that were free");
}

static void pool_facts(struct rte_mempool *pool, allocmark_fact_fn emit, void *context) {
    const struct rte_mempool_memhdr *chunk = STAILQ_FIRST(&pool->mem_list);
    const struct rte_memseg_list *memory = rte_mem_virt2memseg_list(chunk->addr);
    emit(context, "handler", rte_mempool_get_ops(pool->ops_index)->name);
    allocmark_emit_number(emit, context, "objects", pool->populated_size);
    allocmark_emit_number(emit, context, "element_bytes",
                          pool->header_size + pool->elt_size + pool->trailer_size);
    allocmark_emit_number(emit, context, "cache_size", pool->cache_size);
    allocmark_emit_number(emit, context, "cache", pool->cache_size > 0 ? cache_limit(pool->local_cache) : 0);
    allocmark_emit_number(emit, context, "memory_chunks", pool->nb_mem_chunks);
    allocmark_emit_number(emit, context, "available", rte_mempool_avail_count(pool));
    if (memory == NULL) return;
    allocmark_emit_number(emit, context, "page_kb", memory->page_sz >> 10);
    /* With --no-huge, DPDK leaves the node of a page to the kernel and calls all of them 0. */
    if (dpdk.hugetlb) allocmark_emit_number(emit, context, "socket", (uint64_t)memory->socket_id);
}

void facts(void *pool, allocmark_fact_fn emit, void *context) {
    if (pool != NULL)
        pool_facts(pool, emit, context);
    else
        process_facts(emit, context);
}

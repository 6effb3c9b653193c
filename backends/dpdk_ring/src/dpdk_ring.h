/* SPDX-License-Identifier: BSD-3-Clause */
/** What the files of this backend share. Functions that can fail return 0 or a negative errno value. */
#ifndef ALLOCMARK_DPDK_RING_H
#define ALLOCMARK_DPDK_RING_H

#include <allocmark/say.h>

#include <stdatomic.h>
#include <stdbool.h>

struct rte_mempool;

/** What `init` decided for the whole process, written once by eal_start(), and what was borrowed since. */
struct dpdk_process {
    bool started;
    bool hugetlb;
    int (*populate_thp)(struct rte_mempool *); /* fills pools with transparent huge pages; NULL: not wanted */
    char handler[32];                          /* name of the mempool operations every pool gets */
    uint32_t main_lcore;                       /* the lcore that DPDK gave to the thread that called init */
    atomic_uint_fast64_t surplus_pages;        /* huge pages that the kernel made for this process */
};

extern struct dpdk_process dpdk;

/** Whether the handler is "bucket", the only one that limits object sizes and whose threads must stay lcores. */
bool handler_is_bucket(void);

int eal_start(const allocmark_init *init, allocmark_error *error);
void eal_stop(void);

int pool_create(const allocmark_pool_spec *spec, void **pool, allocmark_error *error);
void pool_destroy(void *pool);
uint64_t pool_available(void *pool);
uint32_t pool_regions(void *pool, allocmark_region *regions, uint32_t capacity);

int thread_enter(void *pool, const allocmark_thread *thread, void **local, allocmark_error *error);
void thread_leave(void *pool, void *local);

void facts(void *pool, allocmark_fact_fn emit, void *context);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * The mempool handler `timed`: another one (TESTPMD_HANDLER names it), with a clock around its enqueue and
 * dequeue. What it read lies in a file (TESTPMD_CLOCK names it), shared with whoever maps it: the cycles of
 * each lcore, a cache line each. A call moves hundreds of objects, so that the clock is not felt.
 */
#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_mempool.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct lcore_clock {
    uint64_t cycles, hz;
} __rte_cache_aligned;

static struct lcore_clock *clocks; /* RTE_MAX_LCORE and one for threads that are no lcore */
static const struct rte_mempool_ops *handler;

static void count(uint64_t since) {
    clocks[RTE_MIN(rte_lcore_id(), (unsigned)RTE_MAX_LCORE)].cycles += rte_rdtsc() - since;
}

static int enqueue(struct rte_mempool *pool, void *const *objects, unsigned n) {
    const uint64_t since = rte_rdtsc();
    const int result = handler->enqueue(pool, objects, n);
    count(since);
    return result;
}

static int dequeue(struct rte_mempool *pool, void **objects, unsigned n) {
    const uint64_t since = rte_rdtsc();
    const int result = handler->dequeue(pool, objects, n);
    count(since);
    return result;
}

static int refuse(int code, const char *what, const char *name) {
    RTE_LOG(ERR, MEMPOOL, "timed: %s '%s'\n", what, name != NULL ? name : "");
    rte_errno = code;
    return -code;
}

static int alloc(struct rte_mempool *pool) {
    const char *name = getenv("TESTPMD_HANDLER"), *file = getenv("TESTPMD_CLOCK");
    for (unsigned i = 0; name != NULL && i < rte_mempool_ops_table.num_ops; i++)
        if (strcmp(rte_mempool_ops_table.ops[i].name, name) == 0) handler = &rte_mempool_ops_table.ops[i];
    if (handler == NULL) return refuse(EINVAL, "TESTPMD_HANDLER names no handler:", name);
    const size_t bytes = (RTE_MAX_LCORE + 1) * sizeof *clocks;
    const int descriptor = file != NULL ? open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (descriptor < 0 || ftruncate(descriptor, (off_t)bytes) != 0)
        return refuse(EINVAL, "TESTPMD_CLOCK cannot be opened:", file);
    clocks = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    close(descriptor);
    if (clocks == MAP_FAILED) return refuse(ENOMEM, "TESTPMD_CLOCK cannot be mapped:", file);
    clocks[0].hz = rte_get_tsc_hz();
    return handler->alloc(pool);
}

static void release(struct rte_mempool *pool) {
    handler->free(pool);
}

static unsigned get_count(const struct rte_mempool *pool) {
    return handler->get_count(pool);
}

static const struct rte_mempool_ops timed = {
    .name = "timed",
    .alloc = alloc,
    .free = release,
    .enqueue = enqueue,
    .dequeue = dequeue,
    .get_count = get_count,
};
RTE_MEMPOOL_REGISTER_OPS(timed)

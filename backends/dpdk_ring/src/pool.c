/* SPDX-License-Identifier: BSD-3-Clause */
/** A pool is an rte_mempool; its handle is the rte_mempool itself. */
#include "dpdk_ring.h"

#include <allocmark/huge_pages.h>

#include <rte_errno.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/** Most objects: the rings of the handlers hold a power of two, less one. */
static const uint64_t MOST_OBJECTS = RTE_RING_SZ_MASK;

/** Bytes of one object for the mempool: a packet buffer begins with its rte_mbuf. */
static uint32_t object_bytes(uint64_t object_size) {
    return (uint32_t)(object_size + (dpdk.mbufs ? sizeof(struct rte_mbuf) : 0));
}

/** The same with the mempool's header, trailer and padding. */
static uint64_t element_bytes(uint64_t object_size) {
    struct rte_mempool_objsz size;
    return rte_mempool_calc_obj_size(object_bytes(object_size), 0, &size);
}

/** The handler "bucket" keeps objects in blocks, which lie within one page. */
static uint64_t bucket_bytes(void) {
#ifdef RTE_DRIVER_MEMPOOL_BUCKET_SIZE_KB
    const uint64_t block = RTE_DRIVER_MEMPOOL_BUCKET_SIZE_KB << 10;
#else
    const uint64_t block = 64 << 10;
#endif
    const uint64_t page = dpdk.hugetlb ? RTE_PGSIZE_2M : (uint64_t)sysconf(_SC_PAGESIZE);
    return (page < block ? page : block) - RTE_CACHE_LINE_SIZE; /* less the block's header */
}

/** Outside of these limits DPDK would divide by zero, or lose objects, since it counts those of a block in
 * one byte. */
static int check_bucket(const allocmark_pool_spec *spec, allocmark_error *error) {
    const uint64_t room = bucket_bytes(), bytes = element_bytes(spec->object_size), most = UINT8_MAX + 1;
    if (bytes <= room && room / bytes <= most) return 0;
    allocmark_say(error,
                  "pool '%s': an object of %" PRIu64 " bytes takes %" PRIu64
                  "; the handler bucket takes %" PRIu64 " to %" PRIu64 " on these pages: use another handler",
                  spec->name, spec->object_size, bytes, room / (most + 1) + 1, room);
    return -EINVAL;
}

/**
 * Objects to ask DPDK for. The handler "bucket" hands out full blocks only, so the objects of a last block
 * that is not full would be lost. And if the blocks are a power of two, its ring has room for one too few.
 */
static uint64_t objects_to_make(const allocmark_pool_spec *spec) {
    if (!handler_is_bucket()) return spec->objects;
    const uint64_t a_block = bucket_bytes() / element_bytes(spec->object_size);
    uint64_t blocks = (spec->objects + a_block - 1) / a_block;
    while ((blocks & (blocks - 1)) == 0) blocks++;
    return blocks * a_block;
}

static int check(const allocmark_pool_spec *spec, allocmark_error *error) {
    if (spec->alignment > RTE_MEMPOOL_ALIGN || (spec->alignment & (spec->alignment - 1)) != 0) {
        allocmark_say(error,
                      "pool '%s': alignment is %" PRIu64
                      "; a mempool aligns to cache lines of %d bytes, no more",
                      spec->name, spec->alignment, RTE_MEMPOOL_ALIGN);
    } else if (spec->objects == 0 || spec->objects > MOST_OBJECTS) {
        allocmark_say(error, "pool '%s': %" PRIu64 " objects; a mempool holds 1 to %" PRIu64, spec->name,
                      spec->objects, MOST_OBJECTS);
    } else if (spec->object_size == 0 || spec->object_size > INT32_MAX) {
        allocmark_say(error, "pool '%s': object_size is %" PRIu64 "; a mempool takes 1 to %d bytes",
                      spec->name, spec->object_size, INT32_MAX);
    } else if (dpdk.mbufs && spec->object_size > UINT16_MAX) {
        allocmark_say(error, "pool '%s': object_size is %" PRIu64 "; a packet buffer has at most %d bytes",
                      spec->name, spec->object_size, UINT16_MAX);
    } else if (spec->cache > RTE_MEMPOOL_CACHE_MAX_SIZE) {
        allocmark_say(error,
                      "pool '%s': cache is %" PRIu32 "; DPDK here allows %d (RTE_MEMPOOL_CACHE_MAX_SIZE)",
                      spec->name, spec->cache, RTE_MEMPOOL_CACHE_MAX_SIZE);
    } else if (cache_limit_of_size(spec->cache) > spec->objects) {
        allocmark_say(error,
                      "pool '%s': a cache of %" PRIu32 " grows to %" PRIu64
                      " objects, and the pool has %" PRIu64 ": ask for a smaller cache or more objects",
                      spec->name, spec->cache, cache_limit_of_size(spec->cache), spec->objects);
    } else if (spec->node >= RTE_MAX_NUMA_NODES) {
        allocmark_say(error, "pool '%s': node is %" PRId32 "; DPDK here knows nodes below %d", spec->name,
                      spec->node, RTE_MAX_NUMA_NODES);
    } else {
        return handler_is_bucket() ? check_bucket(spec, error) : 0;
    }
    return -EINVAL;
}

/** Touch every page: DPDK maps huge pages populated, and base pages not. */
static void touch(struct rte_mempool *pool, void *page_size, struct rte_mempool_memhdr *chunk,
                  unsigned index) {
    (void)pool;
    (void)index;
    for (size_t offset = 0; offset < chunk->len; offset += *(const size_t *)page_size) {
        volatile char *byte = (volatile char *)chunk->addr + offset;
        *byte = *byte;
    }
}

static uint64_t page_bytes(const struct rte_mempool *pool) {
    const struct rte_mempool_memhdr *chunk = STAILQ_FIRST(&pool->mem_list);
    const struct rte_memseg_list *list = rte_mem_virt2memseg_list(chunk->addr);
    return list != NULL ? list->page_sz : 0;
}

static int populate(struct rte_mempool *pool, const allocmark_pool_spec *spec, allocmark_error *error) {
    struct rte_pktmbuf_pool_private mbufs = {.mbuf_data_room_size = (uint16_t)spec->object_size};
    int result = rte_mempool_set_ops_byname(pool, dpdk.handler, NULL);
    if (dpdk.mbufs) rte_pktmbuf_pool_init(pool, &mbufs);
    if (result == 0)
        result = dpdk.populate_thp != NULL ? dpdk.populate_thp(pool) : rte_mempool_populate_default(pool);
    if (result < 0) {
        allocmark_say(error,
                      "pool '%s': DPDK could not fill a '%s' mempool of %" PRIu64 " objects of %" PRIu64
                      " bytes (%s) %s",
                      spec->name, dpdk.handler, spec->objects, spec->object_size, rte_strerror(-result),
                      log_first_line());
        return result;
    }
    if (dpdk.mbufs) rte_mempool_obj_iter(pool, rte_pktmbuf_init, NULL);
    if (dpdk.hugetlb && page_bytes(pool) != RTE_PGSIZE_2M) {
        allocmark_say(error,
                      "pool '%s': DPDK took pages of %" PRIu64
                      " kB, as it does while larger ones are free: run "
                      "`echo 0 > /sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages`",
                      spec->name, page_bytes(pool) >> 10);
        return -ENOTSUP;
    }
    return 0;
}

/** Bytes DPDK maps for a pool: its elements, the handler's index of them and the per-lcore caches. */
static uint64_t pool_bytes(const allocmark_pool_spec *spec) {
    return objects_to_make(spec) * (element_bytes(spec->object_size) + 2 * sizeof(void *)) +
           (spec->cache > 0 ? RTE_MAX_LCORE * sizeof(struct rte_mempool_cache) : 0);
}

static int create(const allocmark_pool_spec *spec, struct rte_mempool **created, allocmark_error *error) {
    static unsigned serial; /* DPDK's names are short; the workload's need not be */
    char name[RTE_MEMPOOL_NAMESIZE];
    const unsigned flags =
        strcmp(dpdk.handler, "ring_sp_sc") == 0 ? RTE_MEMPOOL_F_SP_PUT | RTE_MEMPOOL_F_SC_GET : 0;
    snprintf(name, sizeof name, "p%u", serial++);
    log_clear();
    struct rte_mempool *pool = rte_mempool_create_empty(
        name, (unsigned)objects_to_make(spec), object_bytes(spec->object_size), spec->cache,
        sizeof(struct pool_private), spec->node < 0 ? SOCKET_ID_ANY : spec->node, flags);
    if (pool == NULL) {
        const int reason = rte_errno;
        allocmark_say(error, "pool '%s': DPDK could not create a mempool (%s) %s", spec->name,
                      rte_strerror(reason), log_first_line());
        return reason > 0 ? -reason : -ENOMEM;
    }
    const int result = populate(pool, spec, error);
    if (result != 0) {
        rte_mempool_free(pool);
        return result;
    }
    *created = pool;
    return 0;
}

static int create_in_huge_pages(const allocmark_pool_spec *spec, struct rte_mempool **created,
                                allocmark_error *error) {
    allocmark_huge_window window;
    int result = allocmark_huge_window_open(&window, pool_bytes(spec), error);
    if (result != 0) return result;
    result = create(spec, created, error);
    dpdk.surplus_pages += allocmark_huge_window_close(&window);
    return result;
}

int pool_create(const allocmark_pool_spec *spec, void **pool, allocmark_error *error) {
    struct rte_mempool *created;
    int result = check(spec, error);
    if (result != 0) return result;
    result = dpdk.hugetlb ? create_in_huge_pages(spec, &created, error) : create(spec, &created, error);
    if (result != 0) return result;
    size_t page_size = page_bytes(created);
    rte_mempool_mem_iter(created, touch, &page_size);
    *pool = created;
    return 0;
}

void pool_destroy(void *pool) {
    rte_mempool_free(pool);
}

uint64_t pool_available(void *pool) {
    return rte_mempool_avail_count(pool);
}

struct region_list {
    allocmark_region *regions;
    uint32_t capacity;
};

static void add_region(struct rte_mempool *pool, void *context, struct rte_mempool_memhdr *chunk,
                       unsigned index) {
    (void)pool;
    const struct region_list *list = context;
    if (index >= list->capacity) return;
    list->regions[index] = (allocmark_region){.address = (uintptr_t)chunk->addr, .length = chunk->len};
}

uint32_t pool_regions(void *pool, allocmark_region *regions, uint32_t capacity) {
    struct region_list list = {regions, capacity};
    return rte_mempool_mem_iter(pool, add_region, &list);
}

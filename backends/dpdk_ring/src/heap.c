/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * rte_malloc: DPDK's heap, which serves objects of any size. Its memory is mapped when the process starts: in
 * huge pages it could grow later only while some are free, and would give them back as soon as it can.
 */
#include "dpdk_ring.h"

#include <allocmark/huge_pages.h>
#include <allocmark/malloc_table.h>

#include <rte_eal.h>
#include <rte_malloc.h>

#include <inttypes.h>

/** What the heap keeps before each object, which it rounds up to cache lines. */
enum { HEADER = 2 * RTE_CACHE_LINE_SIZE };

static void *take(size_t size) {
    return rte_malloc(NULL, size, 0);
}

static void *take_aligned(size_t alignment, size_t size) {
    return rte_malloc(NULL, size, (unsigned)alignment);
}

static void *take_zeroed(size_t count, size_t size) {
    return rte_calloc(NULL, count, size, 0);
}

static void *change(void *object, size_t size) {
    return rte_realloc(object, size, 0);
}

static size_t usable(void *object) {
    size_t size = 0;
    return rte_malloc_validate(object, &size) == 0 ? size : 0;
}

static struct rte_malloc_socket_stats heap(void) {
    struct rte_malloc_socket_stats all = {0}, one;
    for (unsigned i = 0; i < rte_socket_count(); i++) {
        if (rte_malloc_get_socket_stats(rte_socket_id_by_idx(i), &one) != 0) continue;
        all.heap_totalsz_bytes += one.heap_totalsz_bytes;
        all.heap_freesz_bytes += one.heap_freesz_bytes;
    }
    return all;
}

/**
 * The heap keeps two cache lines before each object: one of a cache line takes three times its size, one of a
 * few bytes more. Who does not say what it needs has a sixteenth of the memory.
 */
uint64_t heap_bytes(uint64_t pool_bytes) {
    if (pool_bytes == 0) return allocmark_available_memory() / 16;
    return pool_bytes + pool_bytes / 4 + RTE_MIN(11 * pool_bytes, UINT64_C(64) << 20) + (UINT64_C(16) << 20);
}

static int keep(const struct rte_memseg_list *list, const struct rte_memseg *page, void *unused) {
    (void)list;
    (void)unused;
    ((struct rte_memseg *)(uintptr_t)page)->flags |= RTE_MEMSEG_FLAG_DO_NOT_FREE;
    return 0;
}

/** As the option -m does, which counts either the pages that are free or those that may be made, not both. */
int heap_reserve(uint64_t bytes, allocmark_error *error) {
    log_clear();
    void *all = rte_malloc(NULL, bytes, 0);
    if (all == NULL) {
        allocmark_say(error, "DPDK could not map %" PRIu64 " MB of huge pages for rte_malloc: %s",
                      bytes >> 20, log_first_line());
        rte_eal_cleanup();
        return -ENOMEM;
    }
    rte_memseg_walk(keep, NULL);
    rte_free(all);
    return 0;
}

static int heap_pool_create(const allocmark_pool_spec *spec, void **pool, allocmark_error *error) {
    const uint64_t room = heap().heap_freesz_bytes;
    const uint64_t extra = HEADER + (spec->alignment > RTE_CACHE_LINE_SIZE ? spec->alignment : 0);
    const uint64_t most =
        room / (RTE_ALIGN_CEIL(RTE_MIN(spec->object_size, room), RTE_CACHE_LINE_SIZE) + extra);
    if (spec->working_set > most) {
        allocmark_say(error,
                      "pool '%s': rte_malloc has room for %" PRIu64 " objects of %" PRIu64
                      " bytes here, and %" PRIu64 " are wanted: ask for fewer or larger ones",
                      spec->name, most, spec->object_size, spec->working_set);
        return -ENOMEM;
    }
    return allocmark_malloc_pool_create(spec, pool, error);
}

static int heap_thread_enter(void *pool, const allocmark_thread *thread, void **local,
                             allocmark_error *error) {
    (void)pool;
    (void)thread;
    *local = NULL;
    return lcore_enter(error);
}

static void heap_thread_leave(void *pool, void *local) {
    (void)pool;
    (void)local;
    lcore_leave();
}

/** DPDK's own functions, not those above. */
static uint32_t heap_calls(allocmark_call *calls, uint32_t capacity) {
    const allocmark_call all[] = {{"rte_malloc", (const void *)(uintptr_t)rte_malloc},
                                  {"rte_free", (const void *)(uintptr_t)rte_free},
                                  {"rte_calloc", (const void *)(uintptr_t)rte_calloc},
                                  {"rte_realloc", (const void *)(uintptr_t)rte_realloc}};
    for (uint32_t i = 0; i < RTE_DIM(all) && i < capacity; i++) calls[i] = all[i];
    return RTE_DIM(all);
}

static void heap_facts(void *pool, allocmark_fact_fn emit, void *context) {
    if (pool != NULL) {
        allocmark_malloc_facts(pool, emit, context);
        return;
    }
    process_facts(emit, context);
    allocmark_emit_number(emit, context, "arena_bytes", heap().heap_totalsz_bytes);
}

const allocmark_backend *heap_table(void) {
    static allocmark_backend table;
    allocmark_malloc.malloc.call = take;
    allocmark_malloc.malloc.symbol = "rte_malloc";
    allocmark_malloc.free.call = rte_free;
    allocmark_malloc.free.symbol = "rte_free";
    allocmark_malloc.aligned.call = take_aligned;
    allocmark_malloc.aligned.symbol = "rte_malloc";
    allocmark_malloc.calloc.call = take_zeroed;
    allocmark_malloc.calloc.symbol = "rte_calloc";
    allocmark_malloc.realloc.call = change;
    allocmark_malloc.realloc.symbol = "rte_realloc";
    allocmark_malloc.usable_size.call = usable;
    allocmark_malloc_fill(&table);
    table.init = eal_start;
    table.pool_create = heap_pool_create;
    table.thread_enter = heap_thread_enter;
    table.thread_leave = heap_thread_leave;
    table.fini = eal_stop;
    table.facts = heap_facts;
    table.calls = heap_calls;
    return &table;
}

// SPDX-License-Identifier: BSD-3-Clause
/// The mempool handler `turbomem`: an exchange under rte_mempool's own per-lcore caches.
///
/// rte_mempool flushes and refills its cache in bulks of one to one and a half times its size. A ring copies
/// each such bulk through shared memory, in the order of a queue. Here an lcore has two magazines of its own:
/// what it flushes is what it refills next, hot, and without a locked instruction; beyond that whole
/// magazines go by one compare-and-swap. Nothing is stranded: a get that finds the depot empty takes what
/// lies in the magazines of other lcores. So there is no reason for a second handler without these caches.
///
/// An lcore's magazines belong to its number. A thread that unregisters leaves them to the next one with that
/// number (EAL's lock orders the two), and to whoever runs short meanwhile. A thread without a number, any
/// number of them, goes to the depot.
///
/// Enqueue and dequeue are lock-free, like the exchange; wait-free within two magazines.
#include "log.hpp"

#include "turbomem/exchange/exchange.hpp"
#include "turbomem/exchange/records.hpp"

#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_mempool.h>
#include <rte_telemetry.h>
#include <rte_version.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <exception>
#include <initializer_list>
#include <memory>
#include <new>
#include <pthread.h>
#include <unistd.h>
#include <utility>

int turbomem::dpdk::log_type = RTE_LOGTYPE_MEMPOOL;

namespace {

using turbomem::cache;
using turbomem::exchange;

/// The process, once it has made a pool; 0 before, and in a child after fork, which shares the objects with
/// its parent and not what keeps account of them. relaxed, all of it: each process has only ever one value.
std::atomic<std::int64_t> this_process{0};

void forget_parent() {
    this_process.store(0, std::memory_order_relaxed);
}

/// What rte_mempool keeps for the handler. It lies in DPDK's memory, which secondary processes share, so that
/// they can see that all the rest is private to the process that made it.
struct pool {
    std::int64_t process;
    exchange *objects;
    std::array<cache *, RTE_MAX_LCORE> lcores; ///< null: that lcore was not here yet
};

/// Objects in a magazine: the largest bulk that rte_mempool flushes, so that one fills a magazine. Less for a
/// small pool, whose objects are to be in more than a few magazines, and which they must not outweigh.
std::uint32_t magazine_for(const rte_mempool &mp) noexcept {
    constexpr std::uint32_t least = 64, usual = 256, share = 16;
    const std::uint32_t flush = mp.cache_size + mp.cache_size / 2;
    return std::max(least, std::min(std::max(usual, flush), mp.size / share));
}

std::uint64_t object_bytes(const rte_mempool &mp) noexcept {
    return std::uint64_t{mp.header_size} + mp.elt_size + mp.trailer_size;
}

[[gnu::cold, gnu::noinline]] void refuse_process(const rte_mempool &mp) noexcept {
    static std::atomic<bool> said{false};
    // relaxed: two lines instead of one would be no harm.
    if (said.exchange(true, std::memory_order_relaxed)) return;
    TURBOMEM_LOG(ERR,
                 "mempool '%s' belongs to another process, and this handler's pools cannot be shared: use "
                 "--mbuf-pool-ops-name=ring_mp_mc for primary and secondary processes",
                 mp.name);
}

/// The pool, or null: it is another process's, or alloc() was not called yet, which rte_mempool leaves to the
/// first object that it is to hold.
pool *own(const rte_mempool &mp) noexcept {
    // relaxed: threads that get and put know the mempool from the one that made it; see also tell().
    auto *const p = static_cast<pool *>(__atomic_load_n(&mp.pool_data, __ATOMIC_RELAXED));
    if (p == nullptr) [[unlikely]]
        return nullptr;
    if (p->process == this_process.load(std::memory_order_relaxed)) [[likely]]
        return p;
    refuse_process(mp);
    return nullptr;
}

[[gnu::cold, gnu::noinline]] cache *enter(pool &p, unsigned lcore) noexcept {
    try {
        return p.lcores[lcore] = &p.objects->enter(lcore);
    } catch (const std::exception &) { // no memory for the message that its slot is taken, which it cannot be
        return nullptr;
    }
}

/// The cache of the calling thread; null: it is no lcore.
cache *mine(pool &p) noexcept {
    const unsigned lcore = rte_lcore_id();
    if (lcore >= RTE_MAX_LCORE) [[unlikely]]
        return nullptr;
    cache *const here = p.lcores[lcore];
    return here != nullptr ? here : enter(p, lcore);
}

/// For rte_mempool_ops_alloc(): 0 or a negative errno value.
int refuse(const rte_mempool &mp, int code, const char *why) noexcept {
    TURBOMEM_LOG(ERR, "mempool '%s': %s", mp.name, why);
    rte_errno = code;
    return -code;
}

int alloc(rte_mempool *mp) noexcept {
    void *const memory = rte_zmalloc_socket("turbomem", sizeof(pool), turbomem::no_sharing, mp->socket_id);
    if (memory == nullptr) return refuse(*mp, ENOMEM, "DPDK has no memory left for the handler");
    try {
        auto objects = std::make_unique<exchange>(turbomem::exchange_options{
            .objects = mp->size,
            .magazine = magazine_for(*mp),
            .max_threads = RTE_MAX_LCORE,
            .populated = turbomem::records::populated(std::uint64_t{mp->size} * object_bytes(*mp))});
        const exchange &e = *objects;
        TURBOMEM_LOG(DEBUG, "mempool '%s': %u objects, %u magazines of %u%s", mp->name, mp->size,
                     e.magazines(), e.options().magazine,
                     e.reclaims() ? "" : "; without membarrier each lcore keeps two of them from the others");
        const std::int64_t process = getpid();
        this_process.store(process, std::memory_order_relaxed);
        pool *const made = new (memory) pool{process, objects.release(), {}};
        // release: telemetry may be asking.
        __atomic_store_n(&mp->pool_data, made, __ATOMIC_RELEASE);
        return 0;
    } catch (const turbomem::error &reason) {
        rte_free(memory);
        return refuse(*mp, reason.code(), reason.what());
    } catch (const std::exception &reason) {
        rte_free(memory);
        return refuse(*mp, ENOMEM, reason.what());
    }
}

void free(rte_mempool *mp) noexcept {
    if (mp->pool_data == nullptr) return; // alloc failed
    if (pool *const p = own(*mp)) {
        delete p->objects;
        rte_free(p);
    }
}

int enqueue(rte_mempool *mp, void *const *objects, unsigned n) noexcept {
    pool *const p = own(*mp);
    if (p == nullptr) [[unlikely]]
        return -ENOTSUP;
    if (cache *const here = mine(*p)) [[likely]]
        here->put_bulk(objects, n);
    else
        p->objects->put_bulk(objects, n);
    return 0;
}

/// rte_mempool has this fill the room of a cache in which objects still lie, and goes on with those when it
/// fails: they must be as before.
int dequeue(rte_mempool *mp, void **objects, unsigned n) noexcept {
    static_assert(2 * RTE_MEMPOOL_CACHE_MAX_SIZE <= cache::most_restored);
    pool *const p = own(*mp);
    if (p == nullptr) [[unlikely]]
        return -ENOTSUP;
    cache *const here = mine(*p);
    const bool got =
        here != nullptr ? here->get_or_restore(objects, n) : p->objects->get_or_restore(objects, n);
    return got ? 0 : -ENOBUFS;
}

/// At any time. Exact while no thread is in a call, else an estimate.
unsigned get_count(const rte_mempool *mp) noexcept {
    const pool *const p = own(*mp);
    return p == nullptr ? 0
                        : static_cast<unsigned>(std::min<std::uint64_t>(p->objects->available(), mp->size));
}

void add(rte_tel_data &to, const char *key, std::uint64_t value) noexcept {
#if RTE_VERSION >= RTE_VERSION_NUM(23, 3, 0, 0)
    rte_tel_data_add_dict_uint(&to, key, value);
#else
    rte_tel_data_add_dict_u64(&to, key, value);
#endif
}

/// A mempool without objects has its size to tell, and that none is available.
int tell(const rte_mempool &mp, rte_tel_data &to) noexcept {
    if (rte_mempool_get_ops(mp.ops_index)->enqueue != enqueue) return -EINVAL;
    // acquire: the pool as alloc() left it.
    const bool made = __atomic_load_n(&mp.pool_data, __ATOMIC_ACQUIRE) != nullptr;
    const pool *const p = own(mp);
    if (made && p == nullptr) return -ENOTSUP;
    rte_tel_data_start_dict(&to);
    add(to, "size", mp.size);
    add(to, "available", made ? p->objects->available() : 0);
    if (!made) return 0;
    const exchange &e = *p->objects;
    const turbomem::depot_counters c = e.counters();
    for (const auto &[key, value] : std::initializer_list<std::pair<const char *, std::uint64_t>>{
             {"cached", e.cached()},
             {"least_available", e.least_available()},
             {"magazine", e.options().magazine},
             {"get_misses", c.get_misses},
             {"put_misses", c.put_misses},
             {"failed_gets", c.failed_gets},
             {"guest_calls", c.guest_calls},
             {"exchanges", c.exchanges},
             {"steals", c.steals},
             {"reclaims", c.reclaims}})
        add(to, key, value);
    return 0;
}

struct question {
    const char *name;
    rte_tel_data *to;
    int answer;
};

/// `/turbomem/info,NAME` in DPDK's telemetry: what happens below rte_mempool's own caches.
int asked(const char *, const char *name, rte_tel_data *to) noexcept {
    if (name == nullptr) return -EINVAL;
    question q{name, to, -EINVAL};
    // Meanwhile DPDK holds a lock that keeps the mempool from being freed.
    rte_mempool_walk(
        [](rte_mempool *mp, void *asked) {
            auto &q = *static_cast<question *>(asked);
            if (std::strcmp(mp->name, q.name) == 0) q.answer = tell(*mp, *q.to);
        },
        &q);
    return q.answer;
}

RTE_INIT(turbomem_register) {
    rte_telemetry_register_cmd("/turbomem/info", asked,
                               "What the handler turbomem did for a mempool. Parameter: its name");
    pthread_atfork(nullptr, nullptr, forget_parent); // without memory for it, a child is merely not refused
    turbomem::dpdk::log_type =
        std::max(rte_log_register_type_and_pick_level("pmd.mempool.turbomem", RTE_LOG_NOTICE), 0);
    rte_mempool_ops ops{};
    rte_strscpy(ops.name, "turbomem", sizeof ops.name);
    ops.alloc = alloc;
    ops.free = free;
    ops.enqueue = enqueue;
    ops.dequeue = dequeue;
    ops.get_count = get_count;
    rte_mempool_register_ops(&ops); // logs what is wrong, such as a table that is full
}

} // namespace

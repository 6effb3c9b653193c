// SPDX-License-Identifier: BSD-3-Clause
/// The C interface.
#include "turbomem/turbomem.h"

#include "c_pool.hpp"
#include "errors.hpp"
#include "turbomem/pool.hpp"
#include "turbomem/system/here.hpp"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

/// What a thread entered: a slot of a pool, or a guest's. Lives as long as the pool's shell.
struct turbomem_cache {
    turbomem::cache *direct = nullptr; ///< set while entered, on pools whose calls need no more
    std::unique_ptr<turbomem::any_pool::any_local> local;
    turbomem_pool *pool = nullptr;
    std::atomic<bool> taken{false};
    turbomem_cache *next = nullptr; ///< of the pool's guests

    /// Whether it was free. acquire: as the thread that left it wrote it.
    bool take() noexcept { return !taken.exchange(true, std::memory_order_acquire); }
    void free() noexcept { taken.store(false, std::memory_order_release); } // release: see take()
};

/// The shell outlives what is in it, so that a handle of a pool that is gone can be told.
struct turbomem_pool {
    std::unique_ptr<turbomem::any_pool> body; ///< null: destroyed
    std::uint32_t slots = 0;
    std::unique_ptr<turbomem_cache[]> caches;
    std::atomic<turbomem_cache *> guests{nullptr}; ///< as many as there ever were at once, newest first

    turbomem_pool() = default;
    turbomem_pool(const turbomem_pool &) = delete;
    turbomem_pool &operator=(const turbomem_pool &) = delete;
    ~turbomem_pool() {
        for (turbomem_cache *c = guests, *next; c != nullptr; c = next) {
            next = c->next;
            delete c;
        }
    }

    template <class Visit> void for_each_cache(Visit visit) {
        for (std::uint32_t i = 0; i < slots; ++i) visit(caches[i]);
        for (turbomem_cache *guest = guests; guest != nullptr; guest = guest->next) visit(*guest);
    }

    /// Taken for a thread that finds no slot. Lock-free but for memory. Throws std::bad_alloc.
    turbomem_cache &take_guest() {
        // acquire: the links of those that other threads added.
        turbomem_cache *first = guests.load(std::memory_order_acquire);
        for (turbomem_cache *c = first; c != nullptr; c = c->next) {
            if (c->take()) return *c;
        }
        auto *const c = new turbomem_cache;
        c->pool = this;
        c->taken = true;
        c->next = first;
        // release: whoever finds it finds what is in it. relaxed on failure: nothing is read through it.
        while (
            !guests.compare_exchange_weak(c->next, c, std::memory_order_release, std::memory_order_relaxed)) {
        }
        return *c;
    }
};

namespace {

using turbomem::any_pool;

template <class Body> int translate(turbomem_error *error, Body &&body) {
    return turbomem::translate(error == nullptr ? nullptr : error->message, sizeof error->message, body);
}

/// The calling thread cannot be cancelled: what reads files can, and no C++ function bears that.
class uncancelled {
  public:
    uncancelled() noexcept { ::pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before_); }
    uncancelled(const uncancelled &) = delete;
    ~uncancelled() { ::pthread_setcancelstate(before_, nullptr); }

  private:
    int before_ = PTHREAD_CANCEL_ENABLE;
};

/// The shells of pools that were destroyed, the oldest first.
struct graveyard {
    std::mutex lock;
    std::deque<std::unique_ptr<turbomem_pool>> shells;

    /// Never destroyed: pools may be destroyed by static destructors.
    static graveyard &the() {
        static graveyard &only = *new graveyard;
        return only;
    }

  private:
    graveyard() { turbomem::detail::hold_lock_over_fork<the>(); }
};

/// Keep the shell of a destroyed pool, and let the oldest go: this many are known as destroyed.
void bury(turbomem_pool *pool) noexcept {
    constexpr std::size_t known = 64;
    std::unique_ptr<turbomem_pool> shell(pool), oldest;
    auto &shells = graveyard::the().shells;
    const std::lock_guard guard(graveyard::the().lock);
    if (shells.size() == known) {
        oldest = std::move(shells.front());
        shells.pop_front();
    }
    try {
        TURBOMEM_POINT(listing);
        shells.push_back(std::move(shell));
    } catch (const std::bad_alloc &) {
        // then this one is not known
    }
}

/// Of the caller's structure, whose version of the header may have fewer or more members. Those that this
/// library does not know must mean their default.
template <class Struct> Struct read(const Struct *from) {
    if (from == nullptr) throw turbomem::invalid_options("the options are NULL");
    constexpr std::uint32_t most = 4096; // of any version to come
    if (from->size < 2 * sizeof(std::uint32_t) || from->size > most)
        throw turbomem::invalid_options("size is " + std::to_string(from->size) +
                                        ", not that of the structure: set it to sizeof");
    const auto *bytes = reinterpret_cast<const std::byte *>(from);
    for (std::size_t i = sizeof(Struct); i < from->size; ++i) {
        if (bytes[i] != std::byte{0})
            throw turbomem::invalid_options(
                "size is " + std::to_string(from->size) + ", and an option beyond the " +
                std::to_string(sizeof(Struct)) +
                " bytes that version " TURBOMEM_VERSION
                " of the library knows is set: take a library as new as the header");
    }
    Struct copy{};
    std::memcpy(&copy, from, std::min<std::size_t>(from->size, sizeof copy));
    return copy;
}
template <class Struct> int write(Struct copy, Struct *to) noexcept {
    if (to->size < 2 * sizeof(std::uint32_t)) return -EINVAL;
    copy.size = to->size;
    std::memcpy(to, &copy, std::min<std::size_t>(to->size, sizeof copy));
    return 0;
}

turbomem::page_kind page_kind_of(std::uint32_t pages) {
    switch (pages) {
    case TURBOMEM_PAGES_THP:
        return turbomem::page_kind::thp;
    case TURBOMEM_PAGES_BASE:
        return turbomem::page_kind::base;
    case TURBOMEM_PAGES_HUGETLB_2M:
        return turbomem::page_kind::hugetlb_2m;
    case TURBOMEM_PAGES_HUGETLB_1G:
        return turbomem::page_kind::hugetlb_1g;
    }
    throw turbomem::invalid_options("pages is " + std::to_string(pages) +
                                    ", not 0 (thp), 1 (base), 2 (hugetlb_2m) or 3 (hugetlb_1g)");
}

turbomem::pool_options options_of(const turbomem_options &o) {
    turbomem::pool_options p;
    if (o.name != nullptr) p.name = o.name;
    p.objects = o.objects;
    p.object_size = o.object_size;
    if (o.alignment != 0) p.alignment = o.alignment;
    p.magazine = o.magazine;
    p.caching = o.uncached == 0;
    p.max_threads = o.max_threads;
    p.pages.kind = page_kind_of(o.pages);
    p.pages.require = o.require != 0;
    if (o.numa > TURBOMEM_NUMA_STRICT)
        throw turbomem::invalid_options("numa is " + std::to_string(o.numa) +
                                        ", not 0 (any), 1 (preferred) or 2 (strict)");
    p.numa = o.numa == TURBOMEM_NUMA_STRICT ? turbomem::numa_mode::strict : turbomem::numa_mode::preferred;
    if (o.one_node != 0) {
        if (o.node < 0)
            throw turbomem::invalid_options("node is " + std::to_string(o.node) + ", not 0 or more");
        p.node = o.node;
    }
    // A hardened pool aborts when nobody is to be told.
    if (o.checks != TURBOMEM_CHECKS_NONE && (o.checks != TURBOMEM_CHECKS_HARDENED || o.on_misuse != nullptr))
        p.on_misuse = [call = o.on_misuse, context = o.context](const turbomem::misuse &found) {
            if (turbomem::misuse_met == 0) turbomem::misuse_met = found.code();
            if (call != nullptr) call(context, -found.code(), found.object(), found.what());
        };
    return p;
}

any_pool *body_of(const turbomem_pool *pool) noexcept {
    return pool == nullptr ? nullptr : pool->body.get();
}

/// The pool behind a cache that is entered, else null.
any_pool *body_of(const turbomem_cache *cache) noexcept {
    return cache == nullptr || cache->local == nullptr ? nullptr : body_of(cache->pool);
}

/// Run `body` on the pool behind a handle: its code, or that of what it threw, or -ESTALE.
template <class Handle, class Body>
std::int64_t on(Handle *handle, turbomem_error *error, Body &&body) noexcept {
    any_pool *const p = body_of(handle);
    if (p == nullptr) {
        if (error != nullptr)
            turbomem::write_message(error->message, sizeof error->message,
                                    "the handle is NULL, was left, or its pool is destroyed");
        return -ESTALE;
    }
    std::int64_t result = 0;
    const int code = translate(error, [&] { result = body(*p); });
    return code != 0 ? code : result;
}

/// For good, where turbomem::pin restores.
void pin(std::uint32_t cpu) {
    constexpr std::uint32_t most = 1u << 16; // CPUs; more than the kernel can be built for
    std::vector<unsigned long> mask(CPU_ALLOC_SIZE(std::min(cpu, most) + 1) / sizeof(unsigned long));
    auto *const set = reinterpret_cast<cpu_set_t *>(mask.data());
    const std::size_t bytes = mask.size() * sizeof(unsigned long);
    if (cpu < most) CPU_SET_S(cpu, bytes, set);
    if (::sched_setaffinity(0, bytes, set) != 0)
        throw turbomem::error(errno, "cannot keep the thread on CPU " + std::to_string(cpu) +
                                         ": not among those that this process may use");
}

} // namespace

const char *turbomem_version(void) {
    return TURBOMEM_VERSION;
}

int turbomem_create(const turbomem_options *options, turbomem_pool **pool, turbomem_error *error) {
    const uncancelled here;
    return translate(error, [&] {
        const turbomem_options o = read(options);
        turbomem::pool_options wanted = options_of(o);
        if (wanted.max_threads == 0) wanted.max_threads = turbomem::threads::slots::default_threads();
        auto shell = std::make_unique<turbomem_pool>();
        shell->body =
            turbomem::make_c_pool(wanted, o.numa != TURBOMEM_NUMA_ANY, o.checks, o.count_calls != 0);
        shell->slots = wanted.max_threads;
        shell->caches = std::make_unique<turbomem_cache[]>(shell->slots);
        for (std::uint32_t i = 0; i < shell->slots; ++i) shell->caches[i].pool = shell.get();
        *pool = shell.release();
    });
}

int turbomem_destroy(turbomem_pool *pool) {
    const uncancelled here;
    if (pool == nullptr) return 0;
    if (pool->body == nullptr) return -ESTALE;
    if (const int code = pool->body->may_end(); code != 0) return code;
    pool->for_each_cache([](turbomem_cache &c) {
        c.direct = nullptr;
        c.local.reset();
    });
    pool->body.reset();
    bury(pool);
    return 0;
}

int turbomem_enter(turbomem_pool *pool, uint32_t slot, turbomem_cache **cache, turbomem_error *error) {
    return static_cast<int>(on(pool, error, [&](any_pool &p) {
        const bool any = slot == TURBOMEM_ANY_SLOT;
        if (!any && slot >= pool->slots)
            throw turbomem::invalid_slot(EINVAL, "slot " + std::to_string(slot) + " of a pool made for " +
                                                     std::to_string(pool->slots) + " threads");
        const auto entered = [&](turbomem_cache &c, auto &&enter) {
            try {
                c.local = enter();
            } catch (...) {
                c.free();
                throw;
            }
            c.direct = c.local->direct();
            *cache = &c;
            return 0;
        };
        for (std::uint32_t i = any ? 0 : slot; i < (any ? pool->slots : slot + 1); ++i) {
            if (pool->caches[i].take()) return entered(pool->caches[i], [&] { return p.enter(i); });
        }
        if (any) return entered(pool->take_guest(), [&] { return p.enter_as_guest(); });
        throw turbomem::invalid_slot(EBUSY, "slot " + std::to_string(slot) + " is in use by another thread");
    }));
}

int turbomem_leave(turbomem_cache *cache) {
    return static_cast<int>(on(cache, nullptr, [&](any_pool &) {
        cache->direct = nullptr;
        cache->local.reset();
        cache->free();
        return 0;
    }));
}

int turbomem_get_bulk(turbomem_cache *cache, void **objects, uint32_t n) {
    if (cache != nullptr && cache->direct != nullptr) [[likely]]
        return cache->direct->get_bulk(objects, n) ? 0 : -ENOENT;
    const std::int64_t got =
        on(cache, nullptr, [&](any_pool &p) { return p.get(cache->local.get(), objects, n, true); });
    return got < 0 ? static_cast<int>(got) : 0;
}

int64_t turbomem_get_up_to(turbomem_cache *cache, void **objects, uint32_t n) {
    if (cache != nullptr && cache->direct != nullptr) [[likely]]
        return cache->direct->get_up_to(objects, n);
    return on(cache, nullptr, [&](any_pool &p) { return p.get(cache->local.get(), objects, n, false); });
}

int turbomem_put_bulk(turbomem_cache *cache, void *const *objects, uint32_t n) {
    if (cache != nullptr && cache->direct != nullptr) [[likely]] {
        cache->direct->put_bulk(objects, n);
        return 0;
    }
    return static_cast<int>(
        on(cache, nullptr, [&](any_pool &p) { return p.put(cache->local.get(), objects, n); }));
}

int turbomem_pool_get_bulk(turbomem_pool *pool, void **objects, uint32_t n) {
    const std::int64_t got = on(pool, nullptr, [&](any_pool &p) { return p.get(nullptr, objects, n, true); });
    return got < 0 ? static_cast<int>(got) : 0;
}

int turbomem_pool_put_bulk(turbomem_pool *pool, void *const *objects, uint32_t n) {
    return static_cast<int>(on(pool, nullptr, [&](any_pool &p) { return p.put(nullptr, objects, n); }));
}

int turbomem_get_stats(const turbomem_pool *pool, turbomem_stats *stats) {
    return static_cast<int>(on(pool, nullptr, [&](const any_pool &p) {
        const turbomem::pool_statistics s = p.statistics();
        turbomem_stats copy{.size = 0,
                            .nodes = static_cast<std::uint32_t>(s.nodes),
                            .objects = s.objects,
                            .available = s.available,
                            .cached = s.cached,
                            .object_stride = s.object_stride,
                            .region_bytes = s.region_bytes,
                            .magazine = s.magazine,
                            .magazines = s.magazines,
                            .cache_limit = s.cache_limit,
                            .depot_exchanges = s.exchanges,
                            .depot_steals = s.steals,
                            .reclaims = s.reclaims,
                            .fallback_gets = s.fallback_gets,
                            .foreign_puts = s.foreign_puts,
                            .in_use = s.in_use,
                            .least_available = s.least_available,
                            .get_misses = s.get_misses,
                            .put_misses = s.put_misses,
                            .failed_gets = s.failed_gets,
                            .guest_calls = s.guest_calls,
                            .gets = s.gets,
                            .got = s.got,
                            .puts = s.puts,
                            .put = s.put,
                            .name = {}};
        std::memcpy(copy.name, s.name.text(), sizeof copy.name);
        return write(copy, stats);
    }));
}

int turbomem_owns(const turbomem_pool *pool, const void *address) {
    return static_cast<int>(
        on(pool, nullptr, [&](const any_pool &p) { return p.memory().contains(address) ? 1 : 0; }));
}

int turbomem_get_regions(const turbomem_pool *pool, turbomem_region *regions, uint32_t capacity,
                         turbomem_error *error) {
    const uncancelled here;
    return static_cast<int>(on(pool, error, [&](const any_pool &p) {
        const turbomem::mapping &memory = p.memory();
        // The caller's structures may be larger or smaller than ours, all alike.
        const std::size_t stride = capacity == 0 ? 0 : regions->size;
        for (std::uint32_t i = 0; i < std::min(capacity, memory.regions()); ++i) {
            const turbomem::page_report found = memory.report(i);
            auto *const to =
                reinterpret_cast<turbomem_region *>(reinterpret_cast<std::byte *>(regions) + i * stride);
            if (write({.size = 0,
                       .node = found.nodes.size() == 1 ? found.nodes[0].node : -1,
                       .start = memory.region(i),
                       .length = memory.size(),
                       .base = found.base,
                       .thp = found.thp,
                       .hugetlb_2m = found.hugetlb_2m,
                       .hugetlb_1g = found.hugetlb_1g},
                      to) != 0)
                throw turbomem::invalid_options("size of a region is not set: set it to sizeof");
        }
        return static_cast<int>(memory.regions());
    }));
}

int turbomem_remerge(turbomem_pool *pool, uint64_t *before, uint64_t *after) {
    return static_cast<int>(on(pool, nullptr, [&](const any_pool &p) {
        const turbomem::merge_result result = p.memory().remerge();
        if (before != nullptr) *before = result.before;
        if (after != nullptr) *after = result.after;
        return -result.code;
    }));
}

int64_t turbomem_audit(turbomem_pool *pool) {
    return on(pool, nullptr, [&](any_pool &p) { return p.audit(); });
}

int turbomem_pin(uint32_t cpu, turbomem_error *error) {
    return translate(error, [&] { pin(cpu); });
}

// SPDX-License-Identifier: BSD-3-Clause
/// TurboMem as an allocmark backend, one table per kind of pool. `local` of a plain pool is the thread's
/// cache, so a call needs no look-up.
#include "allocmark_table.hpp"

#include "errors.hpp"
#include "hugepage_window.hpp"
#include "turbomem/per_cpu.hpp"
#include "turbomem/per_thread.hpp"
#include "turbomem/pool.hpp"
#include "turbomem/turbomem.h"

#include <allocmark/backend.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace {

/// What `init` was told; written while no other function runs.
turbomem::page_kind pages = turbomem::page_kind::thp;

template <class Body> int translate(allocmark_error *error, Body &&body) {
    return turbomem::translate(error->message, sizeof error->message, body);
}

/// A structure of an engine older than the ABI this was compiled against lacks members.
void require_size(const char *what, uint32_t found, std::size_t expected) {
    if (found < expected)
        throw turbomem::invalid_options(std::string(what) + " has " + std::to_string(found) + " bytes, not " +
                                        std::to_string(expected) +
                                        ": rebuild allocmark-turbomem for this allocmark");
}

int init(const allocmark_init *init, allocmark_error *error) {
    return translate(error, [&] {
        require_size("allocmark_init", init->size, sizeof *init);
        pages = turbomem::page_kind::thp;
        for (uint32_t i = 0; i < init->n_options; ++i) {
            const std::string_view key = init->options[i].key, value = init->options[i].value;
            bool known = false;
            for (const auto kind :
                 {turbomem::page_kind::thp, turbomem::page_kind::base, turbomem::page_kind::hugetlb_2m}) {
                if (key != "pages" || value != turbomem::name_of(kind)) continue;
                pages = kind;
                known = true;
            }
            if (!known)
                throw turbomem::invalid_options("option " + std::string(key) + "=" + std::string(value) +
                                                " is not known: use pages=thp, base or hugetlb_2m");
        }
    });
}

void fini(void) {
    pages = turbomem::page_kind::thp;
}

/// Two magazines hold what a thread is asked to cache, or less where what other threads may hold back would
/// keep the workload from its working set: with caches  working_set + 2 M (max_threads - 1) <= objects.
/// Without, a thread holds back 2 (M - 1) during a call, so single-object magazines serve even a workload
/// that takes the whole pool.
void choose_magazine(const allocmark_pool_spec &spec, turbomem::pool_options &options) {
    constexpr uint32_t uncached = 32; // every call merges magazines; small ones are cheap to merge
    const uint64_t slack = spec.objects - std::min(spec.objects, spec.working_set);
    const uint64_t most = spec.max_threads > 1 ? slack / (2ull * (spec.max_threads - 1)) : UINT32_MAX;
    const uint64_t magazine = std::min<uint64_t>(spec.cache / 2, most);
    options.caching = magazine != 0;
    options.magazine =
        static_cast<uint32_t>(options.caching ? magazine : std::min<uint64_t>(uncached, most + 1));
}

turbomem::pool_options options_of(const allocmark_pool_spec &spec) {
    require_size("allocmark_pool_spec", spec.size, sizeof spec);
    // 0 means a default there, and nothing here.
    if (spec.max_threads == 0) throw turbomem::invalid_options("max_threads is 0, not 1 to 65536");
    turbomem::pool_options options;
    if (spec.name != nullptr && turbomem::pool_name::allowed(spec.name)) options.name = spec.name;
    options.object_size = spec.object_size;
    options.objects = spec.objects;
    if (spec.alignment != 0) options.alignment = spec.alignment;
    choose_magazine(spec, options);
    options.max_threads = spec.max_threads;
    options.node = spec.node;
    // hugetlb or nothing: a comparison of pages must not become one of others. Transparent ones are a request
    // by nature; the report tells what came of it.
    options.pages = {.kind = pages, .require = pages == turbomem::page_kind::hugetlb_2m, .huge_from = 0};
    return options;
}

template <class Pool> Pool &cpp(void *pool) {
    return *static_cast<Pool *>(pool);
}

template <class Pool> int pool_create(const allocmark_pool_spec *spec, void **out, allocmark_error *error) {
    return translate(error, [&] {
        const turbomem::pool_options options = options_of(*spec);
        std::optional<hugepage_window> window;
        if (options.pages.kind == turbomem::page_kind::hugetlb_2m)
            window.emplace(turbomem::object_layout(options, Pool::checking_policy::spare).bytes);
        *out = std::make_unique<Pool>(options).release();
    });
}

template <class Pool> void pool_destroy(void *pool) {
    delete static_cast<Pool *>(pool);
}

template <class Pool> uint64_t available(void *pool) {
    return cpp<Pool>(pool).available();
}

template <class Pool> uint32_t regions(void *pool, allocmark_region *out, uint32_t capacity) {
    const turbomem::mapping &memory = cpp<Pool>(pool).memory();
    for (uint32_t i = 0; i < std::min(capacity, memory.regions()); ++i)
        out[i] = {reinterpret_cast<uintptr_t>(memory.region(i)), memory.size()};
    return memory.regions();
}

template <class Pool> void facts(void *p, allocmark_fact_fn emit, void *context) {
    auto say = [&](const char *key, const std::string &value) { emit(context, key, value.c_str()); };
    if (p == nullptr) {
        say("version", turbomem_version());
        say("pages", turbomem::name_of(pages));
        return;
    }
    const Pool &pool = cpp<Pool>(p);
    const turbomem::pool_statistics s = pool.statistics();
    say("handler", Pool::checked ? "magazines, checked" : "magazines");
    say("cache", std::to_string(s.cache_limit));
    say("magazine_size", std::to_string(s.magazine));
    say("magazines", std::to_string(s.magazines));
    say("object_stride", std::to_string(s.object_stride));
    say("pages", turbomem::name_of(pool.memory().kind()));
    if (!pool.memory().fallback().empty()) say("pages_fallback", pool.memory().fallback());
    say("region_bytes", std::to_string(s.region_bytes));
    uint64_t huge_bytes = 0;
    allocmark_error error;
    if (translate(&error, [&] { huge_bytes = pool.memory().huge_bytes(); }) == 0)
        say("huge_bytes", std::to_string(huge_bytes));
    else
        say("huge_bytes_unknown", error.message);
    say("depot_exchanges", std::to_string(s.exchanges));
    say("depot_steals", std::to_string(s.steals));
    say("reclaims", std::to_string(s.reclaims));
    say("least_available", std::to_string(s.least_available));
    say("get_misses", std::to_string(s.get_misses));
    say("put_misses", std::to_string(s.put_misses));
    say("failed_gets", std::to_string(s.failed_gets));
    say("guest_calls", std::to_string(s.guest_calls));
    if constexpr (Pool::by_cpu) {
        say("caches", pool.threading_fallback() == nullptr ? "per CPU" : "per thread");
        if (pool.threading_fallback() != nullptr) say("caches_fallback", pool.threading_fallback());
        say("restarts", std::to_string(s.restarts));
    }
}

/// Calls for which the cache did not do. The pool counts them anyhow, on paths that are slow already.
template <class Pool> uint64_t trips(void *p) {
    const turbomem::pool_statistics s = cpp<Pool>(p).statistics();
    return s.get_misses + s.put_misses;
}

/// A thread works through its cache, with nothing in between.
struct through_cache {
    using pool = turbomem::pool<void>;

    static int enter(void *p, const allocmark_thread *thread, void **local, allocmark_error *error) {
        return translate(error, [&] {
            require_size("allocmark_thread", thread->size, sizeof *thread);
            *local = &cpp<pool>(p).enter(thread->slot).release();
        });
    }
    static void leave(void *p, void *local) {
        (void)cpp<pool>(p).resume(*static_cast<pool::cache_type *>(local));
    }
    static int get_bulk(void *, void *local, void **objects, uint32_t n) {
        return static_cast<pool::cache_type *>(local)->get_bulk(objects, n) ? 0 : -ENOENT;
    }
    static void put_bulk(void *, void *local, void *const *objects, uint32_t n) {
        static_cast<pool::cache_type *>(local)->put_bulk(objects, n);
    }
    static uint64_t cached(void *, void *local) { return static_cast<pool::cache_type *>(local)->objects(); }
};

/// A thread works through its handle. Misuse ends the process: the workload is wrong, or the pool is.
template <class Pool> struct through_handle {
    using pool = Pool;

    static int enter(void *p, const allocmark_thread *thread, void **local, allocmark_error *error) {
        return translate(error, [&] {
            require_size("allocmark_thread", thread->size, sizeof *thread);
            *local = std::make_unique<typename pool::local>(cpp<pool>(p).enter(thread->slot)).release();
        });
    }
    static void leave(void *, void *local) { delete static_cast<typename pool::local *>(local); }
    static int get_bulk(void *, void *local, void **objects, uint32_t n) noexcept {
        return cpp<typename pool::local>(local).try_allocate(std::span<void *>(objects, n)) ? 0 : -ENOENT;
    }
    static void put_bulk(void *, void *local, void *const *objects, uint32_t n) noexcept {
        cpp<typename pool::local>(local).deallocate(std::span<void *const>(objects, n));
    }
    static uint64_t cached(void *, void *local) { return cpp<typename pool::local>(local).cache().objects(); }
};

/// A thread just calls the pool, which finds the cache of the thread or of the CPU.
template <class Pool> struct through_pool {
    using pool = Pool;

    static int enter(void *, const allocmark_thread *, void **local, allocmark_error *) {
        *local = nullptr;
        return 0;
    }
    static void leave(void *p, void *) { cpp<pool>(p).detach(); }
    static int get_bulk(void *p, void *, void **objects, uint32_t n) {
        return cpp<pool>(p).try_allocate(std::span<void *>(objects, n)) ? 0 : -ENOENT;
    }
    static void put_bulk(void *p, void *, void *const *objects, uint32_t n) {
        cpp<pool>(p).deallocate(std::span<void *const>(objects, n));
    }
    static constexpr decltype(allocmark_backend::cached) cached = nullptr; // which cache, the pool knows
};

template <class Way>
constexpr allocmark_backend table = {
    .abi = ALLOCMARK_ABI_VERSION,
    .size = sizeof(allocmark_backend),
    .init = init,
    .pool_create = pool_create<typename Way::pool>,
    .pool_destroy = pool_destroy<typename Way::pool>,
    .thread_enter = Way::enter,
    .thread_leave = Way::leave,
    .get_bulk = Way::get_bulk,
    .put_bulk = Way::put_bulk,
    .fini = fini,
    .available = available<typename Way::pool>,
    .regions = regions<typename Way::pool>,
    .facts = facts<typename Way::pool>,
    .trips = trips<typename Way::pool>,
    .cached = Way::cached,
};

} // namespace

const void *allocmark_turbomem_table(const char *kind) {
    using namespace turbomem;
    const std::string_view wanted = kind;
    if (wanted == "plain") return &table<through_cache>;
    if (wanted == "checked") return &table<through_handle<pool<void, checking::checked<>>>>;
    if (wanted == "per_thread") return &table<through_pool<pool<void, threads::per_thread>>>;
    if (wanted == "per_cpu") return &table<through_pool<pool<void, threads::per_cpu>>>;
    return nullptr;
}

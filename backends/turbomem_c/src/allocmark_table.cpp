// SPDX-License-Identifier: BSD-3-Clause
/// TurboMem as an allocmark backend. `local` is the thread's cache, so a call needs no look-up.
#include "allocmark_table.hpp"

#include "errors.hpp"
#include "turbomem/pool.hpp"
#include "turbomem/turbomem.h"

#include <allocmark/backend.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace {

using turbomem::cache;
using turbomem::pool;

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
            if (key == "pages" && value == "thp")
                pages = turbomem::page_kind::thp;
            else if (key == "pages" && value == "base")
                pages = turbomem::page_kind::base;
            else
                throw turbomem::invalid_options("option " + std::string(key) + "=" + std::string(value) +
                                                " is not known: use pages=thp or pages=base");
        }
    });
}

/// Magazines as asked for, unless what other threads may hold back would keep the workload from its working
/// set: with caches  working_set + 2 M (max_threads - 1) <= objects.  Without, a thread holds back 2 (M - 1)
/// during a call, so single-object magazines serve even a workload that takes the whole pool.
void choose_magazine(const allocmark_pool_spec &spec, turbomem::pool_options &options) {
    constexpr uint32_t uncached = 32; // every call merges magazines; small ones are cheap to merge
    const uint64_t slack = spec.objects - std::min(spec.objects, spec.working_set);
    const uint64_t most = spec.max_threads > 1 ? slack / (2ull * (spec.max_threads - 1)) : UINT32_MAX;
    options.caching = spec.cache != 0 && most != 0;
    options.magazine = static_cast<uint32_t>(options.caching ? std::min<uint64_t>(spec.cache, most)
                                                             : std::min<uint64_t>(uncached, most + 1));
}

int pool_create(const allocmark_pool_spec *spec, void **out, allocmark_error *error) {
    return translate(error, [&] {
        require_size("allocmark_pool_spec", spec->size, sizeof *spec);
        turbomem::pool_options options;
        options.object_size = spec->object_size;
        options.objects = spec->objects;
        if (spec->alignment != 0) options.alignment = spec->alignment;
        choose_magazine(*spec, options);
        options.max_threads = spec->max_threads;
        options.pages = pages;
        *out = std::make_unique<pool>(options).release();
    });
}

void pool_destroy(void *p) {
    delete static_cast<pool *>(p);
}

int thread_enter(void *p, const allocmark_thread *thread, void **local, allocmark_error *error) {
    return translate(error, [&] {
        require_size("allocmark_thread", thread->size, sizeof *thread);
        *local = &static_cast<pool *>(p)->enter(thread->slot);
    });
}

void thread_leave(void *p, void *local) {
    static_cast<pool *>(p)->leave(*static_cast<cache *>(local));
}

int get_bulk(void *, void *local, void **objects, uint32_t n) {
    return static_cast<cache *>(local)->get_bulk(objects, n) ? 0 : -ENOENT;
}

void put_bulk(void *, void *local, void *const *objects, uint32_t n) {
    static_cast<cache *>(local)->put_bulk(objects, n);
}

void fini(void) {
    pages = turbomem::page_kind::thp;
}

uint64_t available(void *p) {
    return static_cast<pool *>(p)->available();
}

uint32_t regions(void *p, allocmark_region *out, uint32_t capacity) {
    const turbomem::mapping &memory = static_cast<pool *>(p)->region();
    if (capacity != 0) out[0] = {reinterpret_cast<uintptr_t>(memory.data()), memory.size()};
    return 1;
}

void facts(void *p, allocmark_fact_fn emit, void *context) {
    auto say = [&](const char *key, const std::string &value) { emit(context, key, value.c_str()); };
    if (p == nullptr) {
        say("version", turbomem_version());
        say("pages", turbomem::name_of(pages));
        return;
    }
    const pool &q = *static_cast<pool *>(p);
    const turbomem::depot_counters counters = q.counters();
    say("handler", "magazines");
    say("cache", std::to_string(q.cached_at_most()));
    say("magazine_size", std::to_string(q.layout().magazine));
    say("magazines", std::to_string(q.layout().magazines));
    say("object_stride", std::to_string(q.layout().stride));
    say("pages", turbomem::name_of(q.region().kind()));
    say("region_bytes", std::to_string(q.region().size()));
    uint64_t huge_bytes = 0;
    allocmark_error error;
    if (translate(&error, [&] { huge_bytes = q.region().huge_bytes(); }) == 0)
        say("huge_bytes", std::to_string(huge_bytes));
    else
        say("huge_bytes_unknown", error.message);
    say("depot_exchanges", std::to_string(counters.exchanges));
    say("depot_steals", std::to_string(counters.steals));
}

const allocmark_backend table = {
    .abi = ALLOCMARK_ABI_VERSION,
    .size = sizeof(allocmark_backend),
    .init = init,
    .pool_create = pool_create,
    .pool_destroy = pool_destroy,
    .thread_enter = thread_enter,
    .thread_leave = thread_leave,
    .get_bulk = get_bulk,
    .put_bulk = put_bulk,
    .fini = fini,
    .available = available,
    .regions = regions,
    .facts = facts,
};

} // namespace

const void *allocmark_turbomem_table(void) {
    return &table;
}

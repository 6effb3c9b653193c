// SPDX-License-Identifier: BSD-3-Clause
/// The C interface: handles are the C++ objects under another name.
#include "turbomem/turbomem.h"

#include "errors.hpp"
#include "turbomem/pool.hpp"

#include <memory>
#include <string>

namespace {

turbomem::pool &cpp(turbomem_pool *pool) {
    return *reinterpret_cast<turbomem::pool *>(pool);
}
const turbomem::pool &cpp(const turbomem_pool *pool) {
    return *reinterpret_cast<const turbomem::pool *>(pool);
}
turbomem::cache &cpp(turbomem_cache *cache) {
    return *reinterpret_cast<turbomem::cache *>(cache);
}

turbomem::page_kind page_kind_of(uint32_t pages) {
    if (pages > TURBOMEM_PAGES_THP)
        throw turbomem::invalid_options("pages is " + std::to_string(pages) + ", not 0 (base) or 1 (thp)");
    return pages == TURBOMEM_PAGES_THP ? turbomem::page_kind::thp : turbomem::page_kind::base;
}

template <class Body> int translate(turbomem_error *error, Body &&body) {
    return turbomem::translate(error == nullptr ? nullptr : error->message, sizeof error->message, body);
}

} // namespace

const char *turbomem_version(void) {
    return TURBOMEM_VERSION;
}

int turbomem_create(const turbomem_options *options, turbomem_pool **pool, turbomem_error *error) {
    return translate(error, [&] {
        turbomem::pool_options o;
        o.object_size = options->object_size;
        o.objects = options->objects;
        if (options->alignment != 0) o.alignment = options->alignment;
        o.magazine = options->magazine;
        o.caching = options->uncached == 0;
        o.max_threads = options->max_threads;
        o.pages = page_kind_of(options->pages);
        *pool = reinterpret_cast<turbomem_pool *>(std::make_unique<turbomem::pool>(o).release());
    });
}

void turbomem_destroy(turbomem_pool *pool) {
    if (pool != nullptr) delete &cpp(pool);
}

int turbomem_enter(turbomem_pool *pool, uint32_t slot, turbomem_cache **cache, turbomem_error *error) {
    return translate(error, [&] { *cache = reinterpret_cast<turbomem_cache *>(&cpp(pool).enter(slot)); });
}

void turbomem_leave(turbomem_cache *cache) {
    cpp(cache).leave();
}

int turbomem_get_bulk(turbomem_cache *cache, void **objects, uint32_t n) {
    return cpp(cache).get_bulk(objects, n) ? 0 : -ENOENT;
}

void turbomem_put_bulk(turbomem_cache *cache, void *const *objects, uint32_t n) {
    cpp(cache).put_bulk(objects, n);
}

void turbomem_get_stats(const turbomem_pool *pool, turbomem_stats *stats) {
    const turbomem::pool &p = cpp(pool);
    const turbomem::depot_counters counters = p.counters();
    *stats = {.available = p.available(),
              .object_stride = p.layout().stride,
              .region_bytes = p.region().size(),
              .magazine = p.layout().magazine,
              .magazines = p.layout().magazines,
              .cache = p.cached_at_most(),
              .depot_exchanges = counters.exchanges,
              .depot_steals = counters.steals};
}

void *turbomem_region(const turbomem_pool *pool, uint64_t *length) {
    *length = cpp(pool).region().size();
    return cpp(pool).region().data();
}

int turbomem_huge_bytes(const turbomem_pool *pool, uint64_t *bytes) {
    return translate(nullptr, [&] { *bytes = cpp(pool).region().huge_bytes(); });
}

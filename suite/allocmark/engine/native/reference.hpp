// SPDX-License-Identifier: BSD-3-Clause
/** The workload burst as a person would write it: what the interpreter is compared with. Keep it plain. */
#pragma once

#include <cstdint>

#include "allocmark/backend.h"
#include "clock.hpp"
#include "touch.hpp"

namespace allocmark {

/**
 * ns per object, or -1 when the pool has too little. `keep` is a multiple of `bulk`; `objects` has room for
 * `keep`, where the interpreter keeps them, too: where pointers lie can double what it costs to copy them.
 */
inline double reference_burst(const allocmark_backend &table, void *pool, void *local, void **objects,
                              uint32_t bulk, uint32_t keep, uint32_t touch, uint64_t bursts) {
    const auto get = table.get_bulk;
    const auto put = table.put_bulk;
    void **const end = objects + keep;
    const uint64_t start = now_ns();
    for (uint64_t burst = 0; burst < bursts; ++burst) {
        for (void **at = objects; at != end; at += bulk) {
            if (get(pool, local, at, bulk)) return -1;
            if (touch > 0) touch::write(at, bulk, touch, 0);
        }
        for (void **at = objects; at != end; at += bulk) put(pool, local, at, bulk);
    }
    return double(now_ns() - start) / double(bursts * keep);
}

} // namespace allocmark

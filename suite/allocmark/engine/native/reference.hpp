// SPDX-License-Identifier: BSD-3-Clause
/** The workload burst as a person would write it: what the interpreter is compared with. Keep it plain. */
#pragma once

#include <cstdint>
#include <vector>

#include "allocmark/backend.h"
#include "clock.hpp"
#include "touch.hpp"

namespace allocmark {

/** ns per object, or -1 when the pool has too little. `keep` is a multiple of `bulk`. */
inline double reference_burst(const allocmark_backend &table, void *pool, void *local, uint32_t bulk,
                              uint32_t keep, uint32_t touch, uint64_t bursts) {
    std::vector<void *> objects(keep);
    const uint64_t start = now_ns();
    for (uint64_t burst = 0; burst < bursts; ++burst) {
        for (uint32_t i = 0; i < keep; i += bulk) {
            if (table.get_bulk(pool, local, &objects[i], bulk)) return -1;
            if (touch > 0) touch::write(&objects[i], bulk, touch, 0);
        }
        for (uint32_t i = 0; i < keep; i += bulk) table.put_bulk(pool, local, &objects[i], bulk);
    }
    return double(now_ns() - start) / double(bursts * keep);
}

} // namespace allocmark

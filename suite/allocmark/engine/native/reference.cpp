// SPDX-License-Identifier: BSD-3-Clause
/**
 * Burst as a person would write it for one pool, through the same table: what the interpreter is compared
 * with. It must stay as plain as it is.
 */
#include <algorithm>
#include <vector>

#include "clock.hpp"
#include "engine.h"
#include "interpreter.hpp"

extern "C" double am_reference_burst(const void *address, uint32_t bulk, uint32_t keep, uint32_t touch,
                                     uint64_t bursts) {
    const auto &table = *static_cast<const allocmark_backend *>(address);
    allocmark_error error{};
    allocmark_init init{};
    init.size = sizeof init;
    init.max_threads = 1;
    allocmark_pool_spec spec{};
    spec.size = sizeof spec;
    spec.cache = 256;
    spec.name = "mbuf";
    spec.object_size = 2176;
    spec.objects = 65535;
    spec.working_set = keep;
    spec.node = -1;
    spec.max_threads = 1;
    const allocmark_thread thread = {.size = sizeof thread, .slot = 0, .cpu = -1, .node = -1};
    void *pool, *local;
    if (table.init(&init, &error) || table.pool_create(&spec, &pool, &error) ||
        table.thread_enter(pool, &thread, &local, &error))
        return -1;

    std::vector<void *> objects(keep + bulk);
    const uint64_t start = allocmark::now_ns();
    for (uint64_t burst = 0; burst < bursts; ++burst) {
        for (uint32_t i = 0; i < keep; i += bulk) {
            if (table.get_bulk(pool, local, &objects[i], bulk)) return -1;
            for (uint32_t j = i; touch > 0 && j < i + bulk; ++j)
                allocmark::touch::write(objects[j], touch, 1);
        }
        for (uint32_t i = 0; i < keep; i += bulk) table.put_bulk(pool, local, &objects[i], bulk);
    }
    const uint64_t end = allocmark::now_ns();

    table.thread_leave(pool, local);
    table.pool_destroy(pool);
    if (table.fini) table.fini();
    const uint64_t per_burst = (uint64_t(keep) + bulk - 1) / bulk * bulk;
    return double(end - start) / double(bursts * per_burst);
}

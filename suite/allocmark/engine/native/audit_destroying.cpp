// SPDX-License-Identifier: BSD-3-Clause
/** Pools are made, used and destroyed over and over: then the process has no more than after a few of them.
 */
#include <algorithm>
#include <cinttypes>

#include "audited.hpp"

namespace allocmark::audit {

namespace {

constexpr uint64_t kPools = 16; // in a window
constexpr size_t kWindows = 4;

void make_use_destroy(Subject &subject) {
    AuditedPool pool(subject, {.object_size = 200, .objects = 1000, .cache = 32});
    Member thread(pool, 0);
    std::vector<void *> held;
    thread.must_get(held, 100);
    thread.put_all(held);
    thread.leave();
    pool.destroy();
}

/** What each pool left behind: it must do so in every window, as caches fill and then stay as they are. */
uint64_t left_by_each(const std::vector<ProcessMemory> &after, uint64_t ProcessMemory::*what) {
    uint64_t least = UINT64_MAX;
    for (size_t i = 1; i < after.size(); ++i) {
        const uint64_t before = after[i - 1].*what, now = after[i].*what;
        least = std::min(least, now > before ? (now - before) / kPools : 0);
    }
    return least;
}

/** Throws unless one thread, alone, finds all objects of the pool. */
void must_be_whole(AuditedPool &pool) {
    Member thread(pool, 0);
    std::vector<void *> held;
    while (held.size() < pool.shape.objects && thread.get(held, 1));
    if (held.size() < pool.shape.objects)
        fault("pool_destroy of another pool took %" PRIu64 " of the %" PRIu64 " objects of one that stays",
              pool.shape.objects - held.size(), pool.shape.objects);
    must_be_apart(held, pool.shape.object_size);
    thread.put_all(held);
    thread.leave();
}

} // namespace

void destroying(Subject &subject) {
    std::vector<ProcessMemory> after;
    after.reserve(kWindows);
    in_thread([&] {
        AuditedPool stays(subject, {.object_size = 200, .objects = 500, .cache = 32});
        for (size_t window = 0; window < kWindows; ++window) {
            for (uint64_t i = 0; i < kPools; ++i) make_use_destroy(subject);
            after.push_back(ProcessMemory::now());
        }
        must_be_whole(stays);
        stays.destroy();
    });
    if (const uint64_t files = left_by_each(after, &ProcessMemory::files))
        fault("pool_destroy leaks: each pool leaves %" PRIu64 " open files behind", files);
    const uint64_t bytes =
        std::max(left_by_each(after, &ProcessMemory::heap), left_by_each(after, &ProcessMemory::mapped));
    if (bytes > 0) fault("pool_destroy leaks: each pool leaves %" PRIu64 " bytes of memory behind", bytes);
}

} // namespace allocmark::audit

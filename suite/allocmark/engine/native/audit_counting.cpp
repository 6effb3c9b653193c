// SPDX-License-Identifier: BSD-3-Clause
/** One thread, alone: a pool has as many objects as it says, a get takes all or nothing, and codes are codes.
 */
#include <algorithm>
#include <cinttypes>

#include "audited.hpp"

namespace allocmark::audit {

namespace {

/** What a get that failed has taken is not there for the next one. `held` is the whole pool. */
void all_or_nothing(Member &thread, std::vector<void *> &held, uint32_t left) {
    thread.put(held, left);
    if (thread.get(held, left + 1))
        fault("get_bulk of %u succeeded on a pool with %u objects", left + 1, left);
    if (thread.get(held, left)) return;
    fault("get_bulk of %u failed on a pool with %u objects, after one of %u had failed as it must: that one "
          "took some",
          left, left, left + 1);
}

/** Takes some, puts them back, takes all, asks for more, and puts them back `at_once`. */
void count(AuditedPool &pool, Member &thread, uint32_t at_once) {
    std::vector<void *> held;
    for (const uint32_t n : {1u, 2u, 7u, 32u, 33u, 100u, 8u, 1u}) {
        thread.must_get(held, n);
        pool.must_count(held.size(), "after a get");
    }
    must_be_apart(held, pool.shape.object_size);
    for (const uint32_t n : {1u, 40u, 3u}) {
        thread.put(held, n);
        pool.must_count(held.size(), "after a put");
    }
    if (pool.counts()) {
        thread.take_all(held);
        pool.must_count(held.size(), "of an empty pool");
        for (const uint32_t n : {8u, 200u})
            if (thread.get(held, n)) fault("get_bulk of %u succeeded on an empty pool", n);
    }
    for (uint32_t left = 1; pool.counts() && left <= 40; left += 13) all_or_nothing(thread, held, left);
    while (!held.empty()) thread.put(held, std::min(at_once, uint32_t(held.size())));
    pool.must_count(0, "after everything was put back");
}

/** Nobody has memory for this pool: to refuse it takes a negative code. */
void ask_for_too_much(Subject &subject) {
    const allocmark_pool_spec spec = {
        .size = sizeof spec,
        .cache = 0,
        .name = "impossible",
        .object_size = uint64_t(1) << 40,
        .objects = uint64_t(1) << 20,
        .alignment = 0,
        .working_set = 1,
        .node = -1,
        .max_threads = subject.audit.threads,
    };
    void *pool = nullptr;
    allocmark_error error{};
    const int code = subject.table.pool_create(&spec, &pool, &error);
    if (code > 0) fault("pool_create returned %d: expected 0, or a negative errno value", code);
    if (code == 0 && !subject.audit.any_size)
        fault("pool_create says that it made a pool of %" PRIu64 " bytes", spec.object_size * spec.objects);
    if (code == 0) subject.table.pool_destroy(pool);
}

} // namespace

void counting(Subject &subject) {
    in_thread([&] {
        for (const uint32_t cache : {0u, 32u}) {
            AuditedPool pool(subject, {.object_size = 200, .objects = 500, .cache = cache});
            Member thread(pool, 0);
            for (const uint32_t at_once : {32u, 500u, 1u}) count(pool, thread, at_once);
            thread.leave();
            pool.must_count(0, "after the only thread has left");
            pool.destroy();
        }
        ask_for_too_much(subject);
    });
}

} // namespace allocmark::audit

// SPDX-License-Identifier: BSD-3-Clause
/** Everything back at once, of a backend that has that: nothing is forgotten, nothing is there twice, and
 * other pools do not notice. */
#include <algorithm>
#include <cstring>

#include "audited.hpp"

namespace allocmark::audit {

namespace {

constexpr Shape kShape = {.object_size = 200, .objects = 500, .cache = 32};
constexpr unsigned char kKept = 0x5a;
constexpr uint32_t kTimes = 8;

using Objects = std::vector<void *>;

/** As many objects as the pool has; of one that does not count, as many as it was made for. */
void take_whole_pool(AuditedPool &pool, Member &thread, Objects &held) {
    if (pool.counts()) return thread.take_all(held);
    while (held.size() < pool.capacity()) thread.must_get(held, 1);
}

/** Objects of a thread that is gone. */
void leave_some_out(AuditedPool &pool) {
    in_thread([&] {
        Member thread(pool, 0);
        Objects held;
        thread.must_get(held, 10);
        thread.leave();
    });
}

/** Objects out in bulks and some of them put, as a thread that works leaves a pool and its cache. */
void use(Member &thread, Objects &held, uint32_t n) {
    for (uint32_t i = 0; i < n; ++i) thread.must_get(held, 1 + i % 40);
    thread.put(held, std::min(uint32_t(held.size()), 50u));
}

void drop(AuditedPool &pool, Member &thread, Objects &held) {
    thread.put_at_once();
    held.clear();
    pool.must_count(0, "after put_all");
    take_whole_pool(pool, thread, held);
    must_be_apart(held, kShape.object_size);
    for (void *object : held) std::memset(object, 0, kShape.object_size);
    thread.put_at_once();
    held.clear();
    pool.must_count(0, "after put_all");
}

void must_be_untouched(const Objects &kept) {
    for (const void *object : kept)
        for (uint64_t i = 0; i < kShape.object_size; ++i)
            if (static_cast<const unsigned char *>(object)[i] != kKept)
                fault("put_all of another pool: object %p, which is out, was overwritten at byte %zu", object,
                      size_t(i));
}

} // namespace

void at_once(Subject &subject) {
    if (!subject.table.put_all) return;
    in_thread([&] {
        AuditedPool others(subject, kShape), pool(subject, kShape);
        if (subject.audit.cross_thread) leave_some_out(pool);
        Member in_others(others, 0), thread(pool, 0);
        Objects kept, held;
        in_others.must_get(kept, 100);
        for (void *object : kept) std::memset(object, kKept, kShape.object_size);
        for (uint32_t times = 0; times < kTimes; ++times) {
            use(thread, held, 20 + times);
            drop(pool, thread, held);
            must_be_untouched(kept);
            others.must_count(kept.size(), "after put_all of another pool");
        }
        in_others.put_all(kept);
        for (Member *each : {&in_others, &thread}) each->leave();
        for (AuditedPool *each : {&others, &pool}) {
            each->must_count(0, "after everything was put back");
            each->destroy();
        }
    });
}

} // namespace allocmark::audit

// SPDX-License-Identifier: BSD-3-Clause
/** Threads come and go: what they put back is there for others, and they keep no more than they say. */
#include <algorithm>
#include <cinttypes>

#include "audited.hpp"

namespace allocmark::audit {

namespace {

// Less than the pool has, so that a backend gives its threads caches.
constexpr Shape kShape = {.object_size = 200, .objects = 1000, .cache = 32, .working_set = 400};

void visit(AuditedPool &pool, uint32_t slot) {
    Member thread(pool, slot);
    std::vector<void *> held;
    for (const uint32_t n : {1u, 32u, 100u}) thread.must_get(held, n);
    while (!held.empty()) thread.put(held, 1); // one by one, as it fills a cache most
    thread.leave();
}

void come_and_go(AuditedPool &pool) {
    in_thread([&] {
        for (uint32_t times = 0; times < 8; ++times) visit(pool, 0); // the same thread
    });
    const uint32_t slots = pool.subject.audit.threads;
    for (uint32_t times = 0; times < 8; ++times) in_thread([&] { visit(pool, times % slots); });
    pool.must_count(0, "after every thread had left");
    if (!pool.counts()) return;
    in_thread([&] {
        Member thread(pool, 0);
        std::vector<void *> held;
        while (held.size() < pool.capacity() && thread.get(held, 1));
        if (held.size() < pool.capacity())
            fault("threads that had left the pool kept %" PRIu64 " of its %" PRIu64
                  " objects, which no other thread can get",
                  pool.capacity() - held.size(), pool.capacity());
        thread.put_all(held);
        thread.leave();
    });
}

/** Objects that a thread inside keeps from all others, while it holds `held`. */
uint64_t kept_from_others(AuditedPool &pool, size_t held) {
    uint64_t found = 0;
    in_thread([&] {
        Member other(pool, 1);
        std::vector<void *> all;
        while (all.size() + held < pool.capacity() && other.get(all, 1));
        found = pool.capacity() - held - all.size();
        other.put_all(all);
        other.leave();
    });
    return found;
}

/** The fact "cache" is the most that a thread keeps for itself; `cached` tells how many it does, and `trips`
 * how often it went to what all share. */
void keep_what_is_said(Subject &subject) {
    AuditedPool pool(subject, kShape);
    const auto trips = [&] { return subject.table.trips ? subject.table.trips(pool.handle) : UINT64_MAX; };
    const uint64_t before = trips();
    uint64_t told;
    if (pool.counts() && pool.fact("cache", told)) {
        uint64_t most = 0, most_cached = 0;
        in_thread([&] {
            Member thread(pool, 0);
            std::vector<void *> held;
            const auto n = uint32_t(std::min<uint64_t>(4 * told + 64, kShape.working_set));
            thread.must_get(held, n);
            while (!held.empty()) {
                thread.put(held, std::min<uint32_t>(uint32_t(held.size()), 1 + n / 100));
                most_cached = std::max(most_cached, subject.table.cached ? thread.cached() : 0);
                most = std::max(most, kept_from_others(pool, held.size()));
            }
            thread.leave();
            if (const uint64_t now = trips(); now != UINT64_MAX && now <= before)
                fault("trips says %" PRIu64 " before a thread took %u objects and put them back, and %" PRIu64
                      " after that",
                      before, n, now);
        });
        if (most > told)
            fault("a thread kept %" PRIu64 " objects for itself, and the pool's fact \"cache\" says %" PRIu64,
                  most, told);
        // None at all is possible for a pool that fetches objects from the caches of others.
        if (most > 0 && most < told / 2)
            fault("a thread kept at most %" PRIu64
                  " objects for itself, and the pool's fact \"cache\" says %" PRIu64,
                  most, told);
        if (subject.table.cached && (most_cached > told || (most_cached == 0 && most > 0)))
            fault("cached says at most %" PRIu64 ", and a thread kept %" PRIu64 " of %" PRIu64, most_cached,
                  most, told);
    }
    pool.destroy();
}

/** Objects that one thread got are put by another, which is inside at the same time. */
void hand_over(AuditedPool &pool) {
    in_thread([&] {
        Member getter(pool, 0);
        std::vector<void *> held;
        for (uint32_t times = 0; times < 20; ++times) {
            getter.must_get(held, 20);
            in_thread([&] {
                Member putter(pool, 1);
                putter.put(held, 20);
                pool.must_count(0, "while two threads are inside, which hold none");
                putter.leave();
            });
        }
        getter.leave();
    });
    pool.must_count(0, "after all objects were put by other threads");
}

} // namespace

void threads(Subject &subject) {
    AuditedPool pool(subject, kShape);
    come_and_go(pool);
    const bool two = subject.audit.threads > 1 && subject.audit.thread_safe;
    if (two && subject.audit.cross_thread) hand_over(pool);
    pool.destroy();
    if (two) keep_what_is_said(subject);
}

} // namespace allocmark::audit

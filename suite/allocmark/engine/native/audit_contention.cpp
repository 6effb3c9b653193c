// SPDX-License-Identifier: BSD-3-Clause
/** Several threads get and put as fast as they can, and each writes over every object that it has. */
#include <algorithm>

#include "clock.hpp"
#include "rush.hpp"
#include "stamps.hpp"

namespace allocmark::audit {

namespace {

constexpr uint32_t kBulk = 32, kMost = 96; // objects in a call, and that a thread holds
constexpr uint32_t kBytes = 64;
constexpr uint64_t kStarved = 5'000'000'000; // ns in which a thread gets nothing

/** What one thread holds, oldest first, with the stamps. */
struct Hand {
    void *objects[kMost];
    uint64_t stamps[kMost];
    uint32_t n = 0;

    void drop_oldest(uint32_t dropped) {
        std::copy(objects + dropped, objects + n, objects);
        std::copy(stamps + dropped, stamps + n, stamps);
        n -= dropped;
    }
};

void get_some(Member &thread, Pulse &pulse, Hand &hand, Stamps &stamps, uint32_t wanted) {
    void **const objects = hand.objects + hand.n;
    Patience patience(kStarved);
    for (bool got = false; !got;) {
        pulse.beat();
        got = thread.get(objects, wanted);
        pulse.beat();
        if (!got && patience.lost())
            fault("the pool had no %u objects for 5 s, while less than half of them were out", wanted);
    }
    for (uint32_t i = 0; i < wanted; ++i) {
        hand.stamps[hand.n + i] = stamps.next();
        Stamps::write(objects[i], hand.stamps[hand.n + i], kBytes / 8);
    }
    hand.n += wanted;
}

void put_oldest(Member &thread, Pulse &pulse, Hand &hand, uint32_t n) {
    for (uint32_t i = 0; i < n; ++i) Stamps::check(hand.objects[i], hand.stamps[i], kBytes / 8);
    pulse.beat();
    thread.put(hand.objects, n);
    pulse.beat();
    hand.drop_oldest(n);
}

void work(Rush &rush, uint32_t me) {
    Member thread(rush.pool, me);
    Pulse &pulse = rush.pulse(me);
    pulse.here();
    Stamps stamps(me);
    Dice dice(me + 1);
    Hand hand;
    while (!rush.stopping()) {
        const uint32_t n = 1 + dice.below(dice.below(2) ? 4 : kBulk);
        if (hand.n + n <= kMost && dice.below(2))
            get_some(thread, pulse, hand, stamps, n);
        else if (hand.n > 0)
            put_oldest(thread, pulse, hand, std::min(n, hand.n));
    }
    while (hand.n > 0) put_oldest(thread, pulse, hand, std::min(kBulk, hand.n));
    thread.leave();
}

} // namespace

void contention(Subject &subject) {
    const uint32_t threads = subject.audit.threads;
    for (const uint32_t cache : {32u, 0u}) {
        const Shape shape = {kBytes, 256 * threads, cache, kMost * threads};
        auto &rush = *new Rush(subject, shape, threads);
        rush.run(subject.audit.least_ns / 2, subject.audit.least_calls / 2, work, [](double) {});
        rush.pool.must_count(0, "after every thread had put everything back and left");
        if (rush.pool.counts())
            in_thread([&] {
                Member thread(rush.pool, 0);
                std::vector<void *> held;
                thread.take_all(held);
                thread.put_all(held);
                thread.leave();
            });
        rush.pool.destroy();
    }
}

} // namespace allocmark::audit

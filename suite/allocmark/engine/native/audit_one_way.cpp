// SPDX-License-Identifier: BSD-3-Clause
/** One thread gets, another one puts: the objects must come back to the first, or memory grows without bound.
 */
#include <array>
#include <cinttypes>

#include "arena.hpp"
#include "clock.hpp"
#include "queue.hpp"
#include "rush.hpp"
#include "stamps.hpp"

namespace allocmark::audit {

namespace {

constexpr uint32_t kBytes = 256, kBulk = 8, kQueue = 256;
constexpr uint64_t kMiB = uint64_t(1) << 20;

// Memory that grows in every quarter of the time but the first, and by so much, goes on growing.
constexpr uint64_t kLeastGrowth = 8 * kMiB, kLeastStep = kMiB / 2;
constexpr uint64_t kMostGrowth = 64 * kMiB; // is not waited for

struct Flow {
    Arena arena{Arena::Half::kShared, Draws(0, 0)};
    Queue &queue = *arena.make<Queue>("queue", 0, kQueue, true, true, arena, 0);
    std::atomic<bool> all_sent{false};
    std::atomic<uint64_t> put{0};
};

void get_and_send(Rush &rush, Flow &flow) {
    Member thread(rush.pool, 0);
    rush.pulse(0).here();
    Stamps stamps(0);
    void *objects[kBulk];
    while (rush.get(thread, 0, objects, kBulk)) {
        for (void *object : objects) Stamps::write(object, stamps.next(), kBytes / 8);
        Backoff backoff;
        while (!flow.queue.send(objects, kBulk)) backoff.pause();
    }
    flow.all_sent.store(true, std::memory_order_release);
    thread.leave();
}

void receive_and_put(Rush &rush, Flow &flow) {
    Member thread(rush.pool, 1);
    rush.pulse(1).here();
    Stamps stamps(0); // they come in the order in which they were written
    void *objects[kBulk];
    Backoff backoff;
    for (;;) {
        const bool last = flow.all_sent.load(std::memory_order_acquire);
        if (!flow.queue.receive(objects, kBulk)) {
            if (last) break;
            backoff.pause();
            continue;
        }
        backoff = {};
        for (void *object : objects) Stamps::check(object, stamps.next(), kBytes / 8);
        rush.put(thread, 1, objects, kBulk);
        flow.put.store(flow.put.load(std::memory_order_relaxed) + kBulk, std::memory_order_relaxed);
    }
    thread.leave();
}

/** Resident memory after each quarter of the time. */
class Growth {
  public:
    explicit Growth(const Flow &flow) : flow_(flow) {}

    void look(double share) {
        const uint64_t now = resident_bytes();
        while (quarters_ < after_.size() && share >= double(quarters_) / 4) after_[quarters_++] = now;
        const uint64_t grown = now > after_[0] ? now - after_[0] : 0;
        if (grown > kMostGrowth) report(grown);
        if (quarters_ < after_.size()) return;
        bool steady = after_[4] > after_[1] + kLeastGrowth;
        for (size_t i = 2; i <= 4; ++i) steady &= after_[i] > after_[i - 1] + kLeastStep;
        if (steady) report(after_[4] - after_[1]);
    }

  private:
    [[noreturn]] void report(uint64_t grown) const {
        fault("memory grows without bound: by %" PRIu64 " MiB while %" PRIu64
              " objects of %u bytes went from one thread to another, with at most %u out at once",
              grown / kMiB, flow_.put.load(), kBytes, kQueue + 2 * kBulk);
    }

    const Flow &flow_;
    std::array<uint64_t, 5> after_{};
    size_t quarters_ = 0;
};

} // namespace

void one_way(Subject &subject) {
    auto &rush = *new Rush(subject, {kBytes, 1000, 32, kQueue + 2 * kBulk}, 2);
    auto &flow = *new Flow;
    auto &growth = *new Growth(flow);
    rush.run(
        {subject.audit.least_ns, subject.audit.least_calls},
        [&flow](Rush &of, uint32_t i) { i == 0 ? get_and_send(of, flow) : receive_and_put(of, flow); },
        [&growth](double share) { growth.look(share); });
    rush.pool.must_count(0, "after all objects were put by another thread");
    rush.pool.destroy();
}

} // namespace allocmark::audit

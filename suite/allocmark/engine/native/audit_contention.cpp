// SPDX-License-Identifier: BSD-3-Clause
/** Several threads get and put as fast as they can, and each writes over every object that it has. */
#include <algorithm>
#include <optional>

#include "interrupted.hpp"
#include "rush.hpp"
#include "stamps.hpp"

namespace allocmark::audit {

namespace {

constexpr uint32_t kBulk = 32, kMost = 96; // objects in a call, and that a thread holds
constexpr uint32_t kBytes = 200;

/** A thread goes from one to the other: bulks of objects that it writes over wholly, and single ones of which
 * it writes the first words, so that it is inside the backend most of the time. */
struct Pace {
    uint32_t bulk, most, words;
};
constexpr Pace kWide = {kBulk, kMost, kBytes / 8}, kFast = {1, 8, 3};
/** A thread that is stopped within a call finds what only its lock protects, on a busy machine too. */
struct Phase {
    uint32_t cache;
    uint64_t stretch; // calls at one pace: then the thread puts all back, leaves and comes again
    uint64_t pauses;  // at least so many, or no thread is stopped
    uint64_t share;   // of time and calls, in eighths
};
constexpr Phase kPhases[] = {{32, 4096, 0, 2}, {0, 4096, 0, 2}, {0, 4096, 4'000, 3}, {32, 16, 2'000, 1}};

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

/** One thread of the rush. */
class Worker {
  public:
    Worker(Rush &rush, uint32_t me) : rush_(rush), me_(me), stamps_(me), dice_(me + 1) {
        rush.pulse(me).here();
    }

    void work(const Phase &phase) {
        std::optional<Interrupted> now_and_then;
        if (phase.pauses > 0) now_and_then.emplace(rush_.pulses());
        for (uint64_t stretch = me_; !rush_.stopping(); ++stretch) {
            const Pace &pace = phase.pauses > 0 || stretch % 2 ? kFast : kWide;
            member_.emplace(rush_.pool, me_);
            for (uint64_t calls = 0; calls < phase.stretch && !rush_.stopping(); ++calls) {
                const uint32_t n = 1 + dice_.below(dice_.below(2) ? std::min(pace.bulk, 4u) : pace.bulk);
                if (hand_.n == 0 || (hand_.n + n <= pace.most && dice_.below(2)))
                    get(n, pace.words);
                else
                    put_oldest(std::min(n, hand_.n), pace.words);
            }
            while (hand_.n > 0) put_oldest(std::min(kBulk, hand_.n), pace.words);
            rush_.pulse(me_).beat();
            member_->leave();
            rush_.pulse(me_).beat();
        }
        now_and_then.reset();
    }

  private:
    void get(uint32_t n, uint32_t words) {
        void **const objects = hand_.objects + hand_.n;
        if (!rush_.get(*member_, me_, objects, n)) return;
        for (uint32_t i = 0; i < n; ++i) {
            hand_.stamps[hand_.n + i] = stamps_.next();
            Stamps::write(objects[i], hand_.stamps[hand_.n + i], words);
        }
        hand_.n += n;
    }

    void put_oldest(uint32_t n, uint32_t words) {
        for (uint32_t i = 0; i < n; ++i) Stamps::check(hand_.objects[i], hand_.stamps[i], words);
        rush_.put(*member_, me_, hand_.objects, n);
        hand_.drop_oldest(n);
    }

    Rush &rush_;
    const uint32_t me_;
    std::optional<Member> member_; // it leaves after each stretch
    Stamps stamps_;
    Dice dice_;
    Hand hand_;
};

/** Every object of the pool, in order, found by one thread alone. */
std::vector<void *> whole(AuditedPool &pool) {
    std::vector<void *> found;
    in_thread([&] {
        Member thread(pool, 0);
        std::vector<void *> held;
        thread.take_all(held);
        found = held;
        thread.put_all(held);
        thread.leave();
    });
    std::sort(found.begin(), found.end());
    return found;
}

} // namespace

void contention(Subject &subject) {
    const uint32_t threads = subject.audit.threads;
    for (const Phase &phase : kPhases) {
        const Shape shape = {kBytes, 256 * threads, phase.cache, kMost * threads};
        auto &rush = *new Rush(subject, shape, threads);
        if (rush.pool.counts()) rush.all_objects = whole(rush.pool);
        const Rush::Least least = {subject.audit.least_ns * phase.share / 8,
                                   subject.audit.least_calls * phase.share / 8, phase.pauses};
        rush.run(least, [&phase](Rush &of, uint32_t me) { Worker(of, me).work(phase); }, [](double) {});
        rush.pool.must_count(0, "after every thread had put everything back and left");
        if (rush.pool.counts()) whole(rush.pool);
        rush.pool.destroy();
    }
}

} // namespace allocmark::audit

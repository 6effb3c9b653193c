// SPDX-License-Identifier: BSD-3-Clause
/// Threads that are interrupted where it hurts: more of them than cores, a yield or a signal at any marked
/// point of the library, sessions, threads without a slot, threads that die without leaving. At every rest
/// all objects are found by one who has cached none of them: nothing is lost, doubled or stranded.
namespace {
void point() noexcept;
}
#define TURBOMEM_POINT(name) point()

#include "check.hpp"
#include "stamps.hpp"
#include "turbomem/exchange/exchange.hpp"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace turbomem;

namespace {

thread_local std::uint32_t rough = 1; ///< a generator that costs next to nothing
thread_local std::uint64_t yields = 0;

void point() noexcept {
    rough = rough * 1664525u + 1013904223u;
    if (rough >> 27 == 0) {
        ++yields;
        ::sched_yield();
    }
}

void interrupted(int) {
    const int saved = errno;
    ::sched_yield();
    errno = saved;
}

struct shape {
    const char *name;
    std::uint32_t objects, magazine, slots, threads, guests, most_bulk;
    bool caching;
};

struct totals {
    std::atomic<std::uint64_t> got{0}, failed{0}, yields{0}, signals{0};
};

/// What a thread does in one life: it ends with nothing in its hands, and has left, or not.
class life {
  public:
    life(exchange &ex, swap_board &board, const shape &s, totals &sum, std::uint64_t seed)
        : ex_(ex), board_(board), shape_(s), sum_(sum), dice_(seed), bulk_(s.most_bulk) {
        rough = static_cast<std::uint32_t>(seed) * 2 + 1;
    }

    void with_slot(std::uint32_t steps) {
        cache *mine = ex_.try_enter(); // null: the dead have all slots
        for (std::uint32_t i = 0; mine != nullptr && i < steps; ++i) {
            const std::uint32_t what = dice_.roll(0, 99);
            if (what == 0) {
                ex_.leave(*mine);
                mine = ex_.try_enter();
            } else if (what < 10) {
                cache_session s(*mine);
                for (int k = 0; k < 4; ++k) step(s);
            } else {
                step(*mine);
            }
        }
        if (mine != nullptr) {
            put_all(*mine);
            if (dice_.roll(0, 1) == 0) ex_.leave(*mine); // else it dies
        } else {
            put_all(ex_);
        }
        report();
    }

    void as_guest(std::uint32_t steps) {
        for (std::uint32_t i = 0; i < steps; ++i) step(ex_);
        put_all(ex_);
        report();
    }

  private:
    template <class To> void step(To &to) {
        const std::uint32_t what = dice_.roll(0, 9);
        if (what < 5) {
            const std::uint32_t n = dice_.roll(1, shape_.most_bulk);
            if (to.get_bulk(bulk_.data(), n)) {
                std::for_each_n(bulk_.begin(), n, hold);
                held_.insert(held_.end(), bulk_.begin(), bulk_.begin() + n);
                got_ += n;
            } else {
                ++failed_;
            }
        } else if (what < 6 && !held_.empty()) {
            if (void *other = board_.swap(dice_.roll(0, 63), held_.back()))
                held_.back() = other;
            else
                held_.pop_back();
        } else if (!held_.empty()) {
            put(to, dice_.roll(1, std::min(shape_.most_bulk, static_cast<std::uint32_t>(held_.size()))));
        }
    }

    template <class To> void put(To &to, std::uint32_t n) {
        void **const first = held_.data() + held_.size() - n;
        std::for_each_n(first, n, release);
        to.put_bulk(first, n);
        held_.resize(held_.size() - n);
    }
    template <class To> void put_all(To &to) { put(to, static_cast<std::uint32_t>(held_.size())); }

    void report() {
        // relaxed: read after the join.
        sum_.got.fetch_add(got_, std::memory_order_relaxed);
        sum_.failed.fetch_add(failed_, std::memory_order_relaxed);
        sum_.yields.fetch_add(std::exchange(yields, 0), std::memory_order_relaxed);
    }

    exchange &ex_;
    swap_board &board_;
    const shape &shape_;
    totals &sum_;
    dice dice_;
    std::vector<void *> held_, bulk_;
    std::uint64_t got_ = 0, failed_ = 0;
};

/// Interrupt those that are at work, again and again, until all have ended.
void harass(std::vector<std::thread> &threads, const std::atomic<std::uint32_t> &at_work, totals &sum) {
    while (at_work.load(std::memory_order_acquire) != 0) {
        for (std::thread &t : threads) {
            if (::pthread_kill(t.native_handle(), SIGUSR1) == 0) sum.signals.fetch_add(1);
        }
        std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
    for (std::thread &t : threads) t.join();
}

void run(const shape &s, std::uint32_t rounds, std::uint32_t steps) {
    std::vector<std::byte> memory(s.objects * stamped_size);
    exchange ex({.objects = s.objects, .magazine = s.magazine, .max_threads = s.slots, .caching = s.caching});
    ex.stock(memory.data(), stamped_size, s.objects);
    totals sum;
    // On a busy machine threads may run one after another for a while: then none takes from another.
    const auto unseen = [&] { return s.caching && ex.counters().reclaims == 0; };
    for (std::uint32_t round = 0; round < rounds || (unseen() && round < 50 * rounds); ++round) {
        swap_board board;
        std::vector<std::thread> threads;
        std::atomic<std::uint32_t> at_work{s.threads + s.guests};
        for (std::uint32_t t = 0; t < s.threads + s.guests; ++t) {
            threads.emplace_back([&, t] {
                life one(ex, board, s, sum, round * 1000 + t);
                if (t < s.threads)
                    one.with_slot(steps);
                else
                    one.as_guest(steps);
                at_work.fetch_sub(1, std::memory_order_release);
            });
        }
        harass(threads, at_work, sum);

        for (auto &place : board.places()) {
            if (void *object = place.load(std::memory_order_relaxed)) {
                release(object);
                ex.put_bulk(&object, 1);
            }
        }
        std::vector<void *> all(s.objects);
        CHECK(ex.available() == s.objects);
        CHECK(ex.get_bulk(all.data(), s.objects)); // the dead's, too
        std::for_each(all.begin(), all.end(), hold);
        std::for_each(all.begin(), all.end(), release);
        std::sort(all.begin(), all.end());
        CHECK(std::adjacent_find(all.begin(), all.end()) == all.end());
        ex.put_bulk(all.data(), s.objects);
        // One knows of the deaths and gives the slots up; now and then nobody does.
        for (std::uint32_t slot = 0; slot < s.slots; ++slot) {
            if (round % 3 != 0 || round + 1 >= rounds) ex.leave(ex.in_slot(slot));
        }
    }
    const depot::census c = ex.census();
    CHECK(c.objects == s.objects);
    CHECK(c.full + c.partial + c.empty == ex.magazines());
    const depot_counters counters = ex.counters();
    std::printf("%-26s %9llu got %8llu failed %8llu exchanges %6llu reclaims %8llu yields %6llu signals\n",
                s.name, static_cast<unsigned long long>(sum.got), static_cast<unsigned long long>(sum.failed),
                static_cast<unsigned long long>(counters.exchanges),
                static_cast<unsigned long long>(counters.reclaims),
                static_cast<unsigned long long>(sum.yields), static_cast<unsigned long long>(sum.signals));
    CHECK(sum.got != 0 && sum.yields != 0);
    if (s.caching) CHECK(counters.reclaims != 0);
}

} // namespace

/// usage: preempted ROUNDS STEPS: lives of a thread, and steps in each
int main(int argc, char **argv) {
    const auto rounds = static_cast<std::uint32_t>(argc > 1 ? std::stoul(argv[1]) : 10);
    const auto steps = static_cast<std::uint32_t>(argc > 2 ? std::stoul(argv[2]) : 2'000);
    struct sigaction action{};
    action.sa_handler = interrupted;
    action.sa_flags = SA_RESTART;
    CHECK(::sigaction(SIGUSR1, &action, nullptr) == 0);

    const shape shapes[] = {
        {"one object a magazine", 40, 1, 6, 6, 0, 6, true},
        {"tiny magazines", 100, 4, 6, 6, 2, 12, true},
        {"exhaustion", 60, 16, 6, 6, 1, 20, true},
        {"more threads than slots", 200, 8, 3, 6, 4, 10, true},
        {"usual magazines", 4000, 256, 6, 6, 1, 300, true},
        {"no caches", 200, 16, 6, 6, 2, 20, false},
        {"guests only", 60, 8, 1, 0, 8, 6, false},
    };
    for (const shape &s : shapes) run(s, rounds, steps);
}

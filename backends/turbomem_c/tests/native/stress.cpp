// SPDX-License-Identifier: BSD-3-Clause
/// More threads than cores: nothing is lost, nothing is handed out twice, and no get fails that must not.
#include "check.hpp"
#include "invariants.hpp"
#include "stamps.hpp"
#include "store.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <barrier>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

using namespace turbomem;

namespace {

/// A slot that is free; another thread may have used it before.
cache &enter_any(store &p, dice &d) {
    for (;;) {
        try {
            return p.enter(d.roll(0, p.options().max_threads - 1));
        } catch (const invalid_slot &busy) {
            CHECK(busy.code() == EBUSY);
        }
    }
}

struct shape {
    const char *name;
    std::uint32_t magazine;
    bool caching;
    std::uint32_t threads;
    std::uint32_t most_held; ///< by one thread
    std::uint32_t most_bulk;
    bool ample; ///< objects enough that no get may fail; else too few, and some must
    bool churn; ///< threads leave and enter all the time
};

void run(const shape &s, std::uint32_t steps) {
    // Ample: what is out, in the exchange, and held back by other threads leaves enough. Else one thread
    // alone would find too few, once the exchange has filled.
    const std::uint32_t wanted = s.threads * s.most_held + 64;
    const std::uint32_t held_back = 2 * (s.caching ? s.magazine : s.magazine - 1);
    store p({.object_size = stamped_size,
             .objects = s.ample ? wanted + held_back * (s.threads - 1) : s.most_held / 2 + 64,
             .magazine = s.magazine,
             .caching = s.caching,
             .max_threads = s.threads,
             .pages = {.kind = page_kind::base}});
    swap_board ex;
    std::atomic<std::uint64_t> got{0}, failed{0};
    std::barrier together(s.threads);

    auto work = [&](std::uint32_t slot) {
        dice d(slot + 1);
        cache *c = &p.enter(slot);
        std::vector<void *> held, bulk(s.most_bulk);
        std::uint64_t my_got = 0, my_failed = 0;
        auto put = [&](std::uint32_t n) {
            for (std::uint32_t i = 0; i < n; ++i) release(held[held.size() - 1 - i]);
            c->put_bulk(held.data() + held.size() - n, n);
            held.resize(held.size() - n);
        };
        together.arrive_and_wait();
        for (std::uint32_t i = 0; i < steps; ++i) {
            const std::uint32_t room = s.most_held - static_cast<std::uint32_t>(held.size());
            const std::uint32_t what = d.roll(0, 19);
            if (what == 0 && s.churn) {
                p.leave(*c);
                c = &enter_any(p, d);
            } else if (what < 9 && room != 0) {
                const std::uint32_t n = d.roll(1, std::min(room, s.most_bulk));
                if (c->get_bulk(bulk.data(), n)) {
                    std::for_each_n(bulk.begin(), n, hold);
                    held.insert(held.end(), bulk.begin(), bulk.begin() + n);
                    my_got += n;
                } else {
                    ++my_failed;
                }
            } else if (what < 12 && !held.empty()) {
                if (void *other = ex.swap(d.roll(0, 63), held.back()))
                    held.back() = other;
                else
                    held.pop_back();
            } else if (!held.empty()) {
                put(d.roll(1, std::min<std::uint32_t>(s.most_bulk, static_cast<std::uint32_t>(held.size()))));
            }
        }
        put(static_cast<std::uint32_t>(held.size()));
        p.leave(*c);
        // relaxed: read after the join.
        got.fetch_add(my_got, std::memory_order_relaxed);
        failed.fetch_add(my_failed, std::memory_order_relaxed);
    };
    {
        std::vector<std::jthread> threads;
        for (std::uint32_t slot = 0; slot < s.threads; ++slot) threads.emplace_back(work, slot);
        // Figures may be asked for at any time.
        for (int i = 0; i < 50; ++i)
            CHECK(p.available() <= p.options().objects && p.counters().steals + 1 != 0);
    }

    cache &c = p.enter(0);
    for (auto &place : ex.places()) {
        if (void *object = place.load(std::memory_order_relaxed)) {
            release(object);
            c.put_bulk(&object, 1);
        }
    }
    p.leave(c);
    check_at_rest(p);
    check_every_object(p);
    const depot_counters counters = p.counters();
    std::printf("%-28s %9llu got %7llu failed %8llu exchanges %7llu stolen\n", s.name,
                static_cast<unsigned long long>(got), static_cast<unsigned long long>(failed),
                static_cast<unsigned long long>(counters.exchanges),
                static_cast<unsigned long long>(counters.steals));
    CHECK(got != 0);
    CHECK((failed == 0) == s.ample);
    CHECK(counters.steals != 0);
}

} // namespace

/// usage: stress STEPS, the steps of each thread in each shape
int main(int argc, char **argv) {
    const auto steps = static_cast<std::uint32_t>(argc > 1 ? std::stoul(argv[1]) : 100'000);
    const shape shapes[] = {
        {"one object a magazine", 1, true, 6, 40, 8, true, false},
        {"tiny magazines, churn", 2, true, 6, 60, 20, true, true},
        {"bulks over magazines", 16, true, 5, 200, 90, true, false},
        {"usual magazines", 256, true, 4, 2000, 128, true, false},
        {"usual magazines, churn", 256, true, 8, 1000, 300, true, true},
        {"exhaustion", 8, true, 6, 100, 40, false, false},
        {"exhaustion, churn", 8, true, 6, 100, 40, false, true},
        {"no caches, not one to spare", 1, false, 6, 2, 2, true, false},
        {"no caches", 32, false, 5, 100, 40, true, false},
        {"no caches, exhaustion", 4, false, 6, 60, 20, false, true},
    };
    for (const shape &s : shapes) run(s, steps);
}

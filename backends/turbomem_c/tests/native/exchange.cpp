// SPDX-License-Identifier: BSD-3-Clause
/// What an exchange promises, one step after the other: nothing is stranded, whoever sits on it.
#include "turbomem/exchange/exchange.hpp"

#include "check.hpp"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <barrier>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace turbomem;

namespace {

constexpr std::size_t stride = 16;

/// An exchange of `n` objects that are bytes of this.
struct stocked {
    stocked(std::uint32_t n, std::uint32_t magazine, std::uint32_t threads, bool caching = true,
            std::uint32_t distance = 16384)
        : memory(n * stride), ex({.objects = n,
                                  .magazine = magazine,
                                  .max_threads = threads,
                                  .caching = caching,
                                  .distance = distance}),
          all(n) {
        ex.stock(memory.data(), stride, n);
    }

    /// By a thread without a slot: every object is there, once; they are put back.
    void check_complete() {
        CHECK(ex.available() == all.size());
        CHECK(ex.get_bulk(all.data(), static_cast<std::uint32_t>(all.size())));
        std::sort(all.begin(), all.end());
        for (std::size_t i = 0; i < all.size(); ++i) CHECK(all[i] == &memory[i * stride]);
        ex.put_bulk(all.data(), static_cast<std::uint32_t>(all.size()));
    }
    /// No thread is entered and all magazines are accounted for.
    void check_at_rest() {
        check_complete();
        const depot::census c = ex.census();
        CHECK(c.objects == all.size() && c.loose == 0);
        CHECK(c.full + c.partial + c.empty == ex.magazines());
    }

    std::vector<std::byte> memory;
    exchange ex;
    std::vector<void *> all;
};

/// Leave k objects in a cache of that thread.
void keep(cache &c, std::uint32_t k) {
    std::vector<void *> some(k);
    CHECK(c.get_bulk(some.data(), k));
    c.put_bulk(some.data(), k);
}

std::pair<int, std::string> refusal(const exchange_options &options) {
    try {
        exchange e(options);
    } catch (const error &e) {
        return {e.code(), e.what()};
    }
    return {0, "accepted"};
}

void impossible_options_are_refused() {
    const exchange_options good{.objects = 100, .magazine = 8, .max_threads = 2};
    CHECK(refusal(good).first == 0);
    auto refused = [&](auto change, const char *names) {
        exchange_options o = good;
        change(o);
        const auto [code, text] = refusal(o);
        return code == EINVAL && text.find(names) == 0;
    };
    CHECK(refused([](auto &o) { o.objects = 0; }, "objects is 0"));
    CHECK(refused([](auto &o) { o.objects = UINT32_MAX; }, "objects is 4294967295"));
    CHECK(refused([](auto &o) { o.magazine = 0; }, "magazine is 0"));
    CHECK(refused([](auto &o) { o.magazine = 1u << 21; }, "magazine is 2097152"));
    CHECK(refused([](auto &o) { o.max_threads = 0; }, "max_threads is 0"));
    CHECK(refused([](auto &o) { o.max_threads = (1u << 16) + 1; }, "max_threads is 65537"));
}

void slots_are_given_out_once() {
    stocked s(10, 2, 2);
    auto code = [&](auto enter) {
        try {
            s.ex.leave(enter());
        } catch (const invalid_slot &e) {
            return e.code();
        }
        return 0;
    };
    CHECK(code([&]() -> cache & { return s.ex.enter(2); }) == EINVAL);
    cache &a = s.ex.enter(), &b = s.ex.enter();
    CHECK(&a != &b);
    CHECK(s.ex.try_enter() == nullptr && !s.ex.is_guest(a) && !s.ex.is_guest(b));
    cache &guest = s.ex.enter();
    CHECK(s.ex.is_guest(guest));
    keep(guest, 7);
    CHECK(s.ex.cached() == 0);
    s.ex.leave(guest);
    CHECK(code([&]() -> cache & { return s.ex.enter(1); }) == EBUSY);
    s.ex.leave(a);
    CHECK(&s.ex.enter() == &a);
    s.ex.leave(a);
    s.ex.leave(b);
    s.check_at_rest();
}

void the_last_object_is_found_wherever_it_lies() {
    constexpr std::uint32_t threads = 40; // more than a reclaimer asks at a time
    stocked s(threads, 4, threads);
    std::vector<cache *> in;
    for (std::uint32_t i = 0; i < threads; ++i) in.push_back(&s.ex.enter());
    std::vector<void *> held(threads);
    CHECK(in[0]->get_bulk(held.data(), threads));
    for (std::uint32_t i = 0; i < threads; ++i) in[i]->put_bulk(&held[i], 1);
    CHECK(s.ex.census().objects == 0);

    void *none = nullptr;
    CHECK(in[7]->get_bulk(held.data(), threads) && !in[7]->get_bulk(&none, 1));
    CHECK(s.ex.counters().reclaims == threads - 1);
    // Those that were reclaimed from go on, and what they put in the meantime is found again.
    for (std::uint32_t i = 0; i < threads; ++i) in[i]->put_bulk(&held[i], 1);
    CHECK(in[30]->get_bulk(held.data(), threads));
    for (std::uint32_t i = 0; i < threads; ++i) {
        in[i]->put_bulk(&held[i], 1);
        void *again = nullptr;
        CHECK(in[i]->get_bulk(&again, 1) && again == held[i]);
        in[i]->put_bulk(&again, 1);
    }
    for (cache *c : in) s.ex.leave(*c);
    s.check_at_rest();
}

void a_get_that_fails_takes_nothing() {
    stocked s(30, 4, 3);
    cache &a = s.ex.enter(), &b = s.ex.enter();
    keep(a, 7);
    keep(b, 5);
    std::vector<void *> held(40), undefined(40);
    for (std::uint32_t n : {31u, 40u, UINT32_MAX}) {
        CHECK(!a.get_bulk(undefined.data(), n) && !s.ex.get_bulk(undefined.data(), n));
        CHECK(s.ex.available() == 30);
    }
    CHECK(a.get_bulk(held.data(), 20) && !b.get_bulk(undefined.data(), 11) && s.ex.available() == 10);
    CHECK(b.get_up_to(held.data() + 20, 20) == 10);
    CHECK(a.get_up_to(held.data(), 1) == 0 && s.ex.get_up_to(held.data(), 1) == 0);
    s.ex.put_bulk(held.data(), 30);
    CHECK(s.ex.get_up_to(held.data(), 40) == 30);
    b.put_bulk(held.data(), 30);
    s.ex.leave(a);
    s.ex.leave(b);
    s.check_at_rest();
}

void threads_without_a_slot_are_served() {
    stocked s(100, 8, 1);
    keep(s.ex.enter(), 50); // the only slot, and its thread never comes back
    std::vector<std::jthread> guests;
    for (int g = 0; g < 12; ++g) {
        guests.emplace_back([&] {
            std::array<void *, 8> some{};
            for (int i = 0; i < 200; ++i) {
                while (!s.ex.get_bulk(some.data(), 8)) std::this_thread::yield();
                s.ex.put_bulk(some.data(), 8);
            }
        });
    }
    guests.clear();
    s.check_complete();
}

void a_dead_thread_strands_nothing() {
    stocked s(64, 8, 2);
    std::thread([&] { keep(s.ex.enter(1), 20); }).join();
    s.check_complete();
    std::thread([&] { s.ex.enter(0).put_bulk(nullptr, 0); }).join();
    CHECK(s.ex.try_enter() == nullptr);
    // Who knows of the deaths gives the slots up.
    s.ex.leave(s.ex.in_slot(0));
    s.ex.leave(s.ex.in_slot(1));
    keep(s.ex.enter(1), 20);
    s.ex.leave(s.ex.in_slot(1));
    s.check_at_rest();
}

void a_session_is_a_long_call() {
    stocked s(64, 8, 2);
    cache &a = s.ex.enter(), &b = s.ex.enter();
    std::array<void *, 64> held{}, undefined{};
    {
        cache_session mine(a);
        CHECK(mine.get_bulk(&held[0], 1) && mine.get_bulk(&held[1], 31));
        CHECK(!mine.get_bulk(undefined.data(), 33));
        mine.put_bulk(held.data(), 4);
        CHECK(!b.get_bulk(undefined.data(), 36)); // what the session has is in a call's hands
        mine.put_bulk(&held[4], 28);
    }
    CHECK(b.get_bulk(held.data(), 64));
    b.put_bulk(held.data(), 64);
    s.ex.leave(a);
    s.ex.leave(b);
    s.check_at_rest();
}

void puts_go_on_without_magazines() {
    constexpr std::uint32_t n = 40;
    std::array<std::byte, n * stride> memory{};
    depot d(n, 4, 1);
    cache c;
    cache_group group{d, &c, sizeof c};
    CHECK(c.enter(group, 0, true));
    group.reached = 1;
    d.stock(memory.data(), stride, n);
    std::array<void *, n> held{};
    CHECK(c.get_bulk(held.data(), n));
    depot_visitor greedy;
    std::vector<magazine *> gone;
    while (magazine *m = d.pop_empty(greedy)) gone.push_back(m);
    c.put_bulk(held.data(), n); // the cache's own magazines full, the rest without
    CHECK(d.count().loose != 0 && d.count().objects + c.objects() == n);
    void *none = nullptr;
    CHECK(c.get_bulk(held.data(), n) && !c.get_bulk(&none, 1));
    std::sort(held.begin(), held.end());
    for (std::uint32_t i = 0; i < n; ++i) CHECK(held[i] == &memory[i * stride]);
    c.put_bulk(held.data(), n);
    for (magazine *m : gone) d.push_empty(greedy, *m);
    CHECK(c.get_bulk(held.data(), n));
    c.put_bulk(held.data(), n);
    CHECK(d.count().loose == 0);
    c.leave();
    const depot::census all = d.count();
    CHECK(all.objects == n && all.full + all.partial + all.empty == d.magazines());
}

/// The exit status of a child that runs `body`.
template <class Body> int in_child(Body body) {
    const pid_t pid = ::fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        body();
        std::_Exit(0);
    }
    int status = 0;
    CHECK(::waitpid(pid, &status, 0) == pid);
    return status;
}

void a_child_goes_on_with_its_copy() {
    stocked s(100, 8, 3);
    cache &a = s.ex.enter(), &b = s.ex.enter();
    keep(a, 12);
    keep(b, 9);
    CHECK(in_child([&] {
              s.check_complete(); // what others had cached at the fork, too
              std::array<void *, 100> held{};
              CHECK(a.get_bulk(held.data(), 100));
              std::thread([&] { s.ex.enter().put_bulk(held.data(), 100); }).join();
              CHECK(a.get_bulk(held.data(), 100)); // with two threads the barrier is a real one
          }) == 0);
    s.ex.leave(a);
    s.ex.leave(b);
    s.check_at_rest();
}

/// A filter under which membarrier does not exist.
void forbid_membarrier() {
    sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog filter{.len = 4, .filter = code};
    CHECK(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    CHECK(::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0);
}

void without_membarrier_caches_are_private_and_it_says_so() {
    CHECK(in_child([] {
              forbid_membarrier();
              stocked s(20, 8, 2);
              CHECK(!s.ex.reclaims());
              cache &a = s.ex.enter(), &b = s.ex.enter();
              keep(a, 10);
              const std::uint64_t kept = a.objects();
              CHECK(kept != 0);
              std::array<void *, 20> held{};
              CHECK(b.get_up_to(held.data(), 20) == 20 - kept && a.objects() == kept);
              b.put_bulk(held.data(), static_cast<std::uint32_t>(20 - kept));
              s.ex.leave(a);
              s.ex.leave(b);
              s.check_at_rest();
          }) == 0);
}

/// An exchange that outlives the filter's arrival: it worked, and then it does not.
void membarrier_may_go_away() {
    CHECK(in_child([] {
              stocked s(20, 8, 2);
              cache &a = s.ex.enter(), &b = s.ex.enter();
              keep(a, 10);
              const std::uint64_t kept = a.objects();
              forbid_membarrier();
              std::array<void *, 20> held{};
              CHECK(b.get_up_to(held.data(), 20) == 20 - kept);
              CHECK(a.get_bulk(held.data() + 20 - kept, static_cast<std::uint32_t>(kept)));
          }) == 0);
}

void one_way_flow_keeps_magazines_at_the_putting_end() {
    stocked s(4096, 16, 2);
    cache &gets = s.ex.enter(0), &puts = s.ex.enter(1);
    std::array<void *, 16> some{};
    auto pass = [&](int times) {
        for (int i = 0; i < times; ++i) {
            CHECK(gets.get_bulk(some.data(), 16));
            puts.put_bulk(some.data(), 16);
        }
    };
    pass(1000); // until the getting end's own shard is used up
    const depot_counters before_get = gets.counters(), before_put = puts.counters();
    pass(100);
    CHECK(gets.counters().exchanges - before_get.exchanges == 100);
    CHECK(puts.counters().exchanges - before_put.exchanges == 100);
    CHECK(puts.counters().steals == before_put.steals);
    s.ex.leave(gets);
    s.ex.leave(puts);
    s.check_at_rest();
}

/// A thread that only gets, or only puts, moves 2 M objects in one trip; one that turns gains nothing, and
/// pays one trip in sixteen at worst.
void one_way_flow_moves_both_magazines() {
    constexpr std::uint32_t magazine = 16, bulk = 4;
    stocked s(4096, magazine, 2);
    cache &a = s.ex.enter(0), &b = s.ex.enter(1);
    std::array<void *, 4096> some{};
    const auto trips = [](const cache &c) { return c.counters().get_misses + c.counters().put_misses; };
    const auto pass = [&](std::uint32_t n, cache &gets, cache &puts) {
        for (std::uint32_t i = 0; i < n; i += bulk) {
            CHECK(gets.get_bulk(some.data(), bulk));
            puts.put_bulk(some.data(), bulk);
        }
    };
    pass(2048, a, b);
    std::uint64_t before_a = trips(a), before_b = trips(b);
    pass(2048, a, b);
    CHECK(trips(a) - before_a == 2048 / (2 * magazine));
    CHECK(trips(b) - before_b == 2048 / (2 * magazine));

    // One that turns whenever it has just moved both.
    constexpr std::uint32_t there = 16 * magazine;
    before_a = trips(a);
    std::uint64_t moved = 0;
    for (int turns = 0; turns < 100; ++turns) {
        for (std::uint32_t i = 0; i < there; i += bulk) CHECK(a.get_bulk(&some[i], bulk));
        for (std::uint32_t i = 0; i < there; i += bulk) a.put_bulk(&some[i], bulk);
        moved += 2 * there;
    }
    CHECK(trips(a) - before_a <= moved / magazine + moved / (16 * magazine));
    s.ex.leave(a);
    s.ex.leave(b);
    s.check_at_rest();
}

/// Each shard gets its share of the threads without a slot that are there at the same time.
void guests_spread_over_all_shards() {
    constexpr std::uint32_t slots = 64;
    const std::uint32_t guests = 4 * stocked(1, 1, slots).ex.shared().shards();
    stocked s(guests, 1, slots);
    CHECK(s.ex.get_bulk(s.all.data(), guests));
    std::barrier together(guests);
    std::vector<std::thread> threads;
    for (std::uint32_t t = 0; t < guests; ++t)
        threads.emplace_back([&, t] {
            together.arrive_and_wait();
            s.ex.put_bulk(&s.all[t], 1);
            together.arrive_and_wait();
        });
    for (std::thread &t : threads) t.join();

    depot &d = s.ex.shared();
    std::vector<std::uint32_t> in_shard(d.shards());
    depot_visitor v;
    while (magazine *m = d.pop_filled(v)) {
        ++in_shard[v.source];
        d.push_empty(v, *m);
    }
    for (std::uint32_t n : in_shard) CHECK(n == 4);
}

/// Distinct objects among the last quarter of many that `from` gets and `to` puts, four at a time.
std::size_t circulating(stocked &s, cache &from, cache &to) {
    constexpr std::uint32_t bulk = 4;
    const std::size_t n = s.all.size();
    std::vector<void *> late;
    for (std::size_t got = 0; got < 16 * n; got += bulk) {
        std::array<void *, bulk> some{};
        CHECK(from.get_bulk(some.data(), bulk));
        to.put_bulk(some.data(), bulk);
        if (got >= 12 * n) late.insert(late.end(), some.begin(), some.end());
    }
    std::sort(late.begin(), late.end());
    return static_cast<std::size_t>(std::unique(late.begin(), late.end()) - late.begin());
}

/// The same, with 64 objects held on the way and put in random order.
std::size_t circulating_mixed(stocked &s, cache &from, cache &to) {
    const std::size_t n = s.all.size();
    std::minstd_rand random(7);
    std::vector<void *> held, late;
    for (std::size_t got = 0; got < 16 * n; ++got) {
        void *object = nullptr;
        CHECK(from.get_bulk(&object, 1));
        if (got >= 12 * n) late.push_back(object);
        held.push_back(object);
        if (held.size() <= 64) continue;
        std::swap(held[random() % held.size()], held.back());
        to.put_bulk(&held.back(), 1);
        held.pop_back();
    }
    to.put_bulk(held.data(), static_cast<std::uint32_t>(held.size()));
    std::sort(late.begin(), late.end());
    return static_cast<std::size_t>(std::unique(late.begin(), late.end()) - late.begin());
}

void one_way_flow_lets_objects_rest() {
    constexpr std::uint32_t magazine = 8, n = 100 * magazine;
    stocked s(n, magazine, 2);
    cache &a = s.ex.enter(), &b = s.ex.enter();
    CHECK(circulating(s, a, a) <= 2 * magazine); // what it put is what it gets
    // All but what lies in the caches: the pool is smaller than the distance.
    CHECK(circulating(s, a, b) >= n - 8 * magazine);
    CHECK(circulating(s, b, a) >= n - 8 * magazine);
    CHECK(circulating(s, a, a) <= 2 * magazine);
    CHECK(circulating_mixed(s, a, b) <= 64 + 8 * magazine); // out of order: the newest first
    s.ex.leave(a);
    s.ex.leave(b);
    s.check_at_rest();

    for (const std::uint32_t distance : {one_way_distance(), 2048u, 16384u}) {
        stocked large(4 * distance, 256, 2, true, distance);
        cache &c = large.ex.enter(), &d = large.ex.enter();
        const std::size_t found = circulating(large, c, d);
        CHECK(found >= distance && found <= 2 * distance + 4 * 256);
        large.ex.leave(c);
        large.ex.leave(d);
        large.check_at_rest();
    }
}

void counters_never_go_back() {
    exchange ex({.objects = 1});
    cache *c = &ex.enter(0);
    void *none[1];
    CHECK(!c->get_bulk(none, 1));
    std::atomic<bool> looked{false};
    std::thread other([&] {
        while (!looked.load(std::memory_order_relaxed)) { // relaxed: says only when to end
            ex.leave(*c);
            c = &ex.enter(0);
        }
    });
    for (int i = 0; i < 300'000; ++i) CHECK(ex.counters().failed_gets == 1);
    looked.store(true, std::memory_order_relaxed);
    other.join();
}

} // namespace

int main() {
    counters_never_go_back();
    impossible_options_are_refused();
    slots_are_given_out_once();
    a_get_that_fails_takes_nothing();
    puts_go_on_without_magazines();
    one_way_flow_keeps_magazines_at_the_putting_end();
    one_way_flow_moves_both_magazines();
    if (!emulated) {
        without_membarrier_caches_are_private_and_it_says_so();
        membarrier_may_go_away();
    }
    a_child_goes_on_with_its_copy();
    the_last_object_is_found_wherever_it_lies();
    a_session_is_a_long_call();
    a_dead_thread_strands_nothing();
    threads_without_a_slot_are_served();
    guests_spread_over_all_shards();
    one_way_flow_lets_objects_rest();
}

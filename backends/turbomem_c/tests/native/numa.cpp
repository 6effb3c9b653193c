// SPDX-License-Identifier: BSD-3-Clause
/// The logic between nodes, on nodes that are made up; memory of real nodes is in ../vm.
#include "check.hpp"
#include "turbomem/exchange/numa_exchange.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

using namespace turbomem;

namespace {

constexpr std::size_t stride = 64;

/// Three nodes in a row: the middle one is near to both others.
topology row(std::uint32_t nodes) {
    if (nodes == 1) return topology::pretend({{0}});
    if (nodes == 2) return topology::pretend({{0}, {1}});
    return topology::pretend({{0, {}, {10, 20, 30}}, {1, {}, {20, 10, 20}}, {2, {}, {30, 20, 10}}});
}

struct fixture {
    topology nodes;
    mapping memory;
    numa_exchange pool;

    fixture(std::uint32_t count, numa_mode mode, std::uint64_t objects, std::uint32_t magazine = 8,
            std::uint32_t threads = 3, bool caching = true)
        : nodes(row(count)),
          memory(numa_exchange::region_bytes(objects, stride, count), {.kind = page_kind::base}, nodes, mode),
          pool({.objects = objects, .magazine = magazine, .max_threads = threads, .caching = caching}, mode,
               memory, stride, nodes) {}

    std::uint64_t home(std::uint32_t node) const {
        return objects_on_node(pool.options().objects, node, pool.nodes());
    }
    std::uint64_t there(std::uint32_t node) const { return pool.on(node).available(); }
    bool all_home() const {
        for (std::uint32_t i = 0; i < pool.nodes(); ++i) {
            if (there(i) != home(i)) return false;
        }
        return true;
    }
    std::uint32_t of(const void *object) const {
        CHECK(memory.contains(object));
        return memory.region_of(object);
    }
};

int code_of(auto &&body) {
    try {
        body();
    } catch (const error &e) {
        return e.code();
    }
    return 0;
}

void objects_are_shared_out_evenly() {
    CHECK(objects_on_node(10, 0, 3) == 4 && objects_on_node(10, 1, 3) == 3 && objects_on_node(10, 2, 3) == 3);
    CHECK(objects_on_node(2, 2, 3) == 0 && objects_on_node(7, 0, 1) == 7);
    CHECK(numa_exchange::region_bytes(10, 64, 3) == 256);
    for (std::uint64_t objects : {1u, 2u, 3u, 100u, 101u}) {
        fixture f(3, numa_mode::preferred, objects);
        CHECK(f.pool.available() == objects);
        numa_cache &c = f.pool.enter(0, 2);
        std::vector<void *> all(objects);
        CHECK(c.get_bulk(all.data(), static_cast<std::uint32_t>(objects)));
        std::sort(all.begin(), all.end());
        CHECK(std::adjacent_find(all.begin(), all.end()) == all.end());
        std::array<std::uint64_t, 3> on{};
        for (void *o : all) ++on[f.of(o)];
        for (std::uint32_t i = 0; i < 3; ++i) CHECK(on[i] == f.home(i));
        c.put_bulk(all.data(), static_cast<std::uint32_t>(objects));
        f.pool.leave(c);
        CHECK(f.all_home());
    }
}

void bad_options_and_slots_are_refused() {
    const topology two = row(2);
    const mapping memory(4096, {.kind = page_kind::base}, two, numa_mode::strict);
    auto make = [&](exchange_options o, std::size_t apart, const topology &t) {
        return code_of([&] { numa_exchange e(o, numa_mode::strict, memory, apart, t); });
    };
    CHECK(make({.objects = 128}, 64, two) == 0);
    CHECK(make({.objects = 130}, 64, two) == EINVAL); // one too many for a region
    CHECK(make({.objects = 128}, 65, two) == EINVAL);
    CHECK(make({.objects = UINT64_MAX}, 64, two) == EINVAL && make({.objects = 2}, SIZE_MAX, two) == EINVAL);
    CHECK(make({.objects = 0}, 64, two) == EINVAL && make({.objects = 1, .magazine = 0}, 64, two) == EINVAL);
    CHECK(make({.objects = 128}, 64, row(3)) == EINVAL);

    fixture f(2, numa_mode::strict, 100, 8, 2);
    CHECK(code_of([&] { (void)f.pool.enter(2, 0); }) == EINVAL &&
          code_of([&] { (void)f.pool.enter(0, 2); }) == EINVAL);
    numa_cache &a = f.pool.enter(1, 0);
    CHECK(code_of([&] { (void)f.pool.enter(1, 1); }) == EBUSY);
    numa_cache &b = f.pool.enter();
    numa_cache &guest = f.pool.enter();
    std::array<void *, 9> some{};
    CHECK(guest.get_bulk(some.data(), 9));
    guest.put_bulk(some.data(), 9);
    CHECK(guest.objects() == 0);
    f.pool.leave(guest);
    f.pool.leave(a);
    f.pool.leave(f.pool.enter(1, 1));
    f.pool.leave(b);
    CHECK(f.all_home());
}

void strict_stays_and_preferred_goes_to_the_nearest() {
    for (numa_mode mode : {numa_mode::strict, numa_mode::preferred}) {
        fixture f(3, mode, 300);
        numa_cache &c = f.pool.enter(0, 2);
        std::array<void *, 301> held{};
        CHECK(c.get_bulk(held.data(), 90));
        for (int i = 0; i < 90; ++i) CHECK(f.of(held[i]) == 2);
        if (mode == numa_mode::strict) {
            CHECK(!c.get_bulk(&held[90], 11) && c.get_up_to(&held[90], 50) == 10);
            CHECK(f.there(2) == 0 && f.there(1) == 100 && f.there(0) == 100);
            c.put_bulk(held.data(), 100);
            CHECK(f.pool.counters().fallback_gets == 0);
        } else {
            CHECK(!c.get_bulk(&held[90], 211)); // more than all: as before
            CHECK(f.pool.available() == 210 && f.pool.counters().fallback_gets == 0);
            CHECK(c.get_bulk(&held[90], 30)); // 10 near, 20 from the next node
            CHECK(f.there(2) == 0 && f.there(1) == 80 && f.there(0) == 100);
            CHECK(f.pool.counters().fallback_gets == 20);
            CHECK(c.get_up_to(&held[120], 181) == 180 && f.pool.available() == 0);
            CHECK(f.pool.counters().fallback_gets == 200);
            c.put_bulk(held.data(), 300);
            CHECK(f.pool.counters().foreign_puts == 200);
        }
        f.pool.leave(c);
        CHECK(f.all_home());
    }
}

void what_is_freed_elsewhere_goes_home_in_batches() {
    constexpr std::uint32_t M = 8;
    fixture f(2, numa_mode::strict, 400, M);
    numa_cache &near = f.pool.enter(0, 0), &far = f.pool.enter(1, 1);
    const auto exchanges = [&] { return f.pool.on(0).counters().exchanges; };
    std::array<void *, 160> held{};
    CHECK(near.get_bulk(held.data(), 160));
    const std::uint64_t before = exchanges();
    for (void *&o : held) far.put_bulk(&o, 1); // one at a time
    CHECK(f.pool.counters().foreign_puts == 160);
    CHECK(exchanges() - before <= 2 * 160 / M); // but a visit to the depot is of whole magazines
    CHECK(far.objects() <= f.pool.on(0).cache_limit());

    // Mixed: each goes to its own.
    std::array<void *, 40> mixed{};
    for (int i = 0; i < 40; i += 2) CHECK(near.get_bulk(&mixed[i], 1) && far.get_bulk(&mixed[i + 1], 1));
    far.put_bulk(mixed.data(), 40);
    CHECK(f.pool.counters().foreign_puts == 180);
    f.pool.leave(far); // hands over what waited
    f.pool.leave(near);
    CHECK(f.all_home());
}

/// Nobody leaves, and too little for a magazine was freed: a get at home must find it all the same.
void what_waits_for_going_home_is_found_there() {
    fixture f(2, numa_mode::strict, 200, 16);
    numa_cache &near = f.pool.enter(0, 0), &far = f.pool.enter(1, 1);
    std::array<void *, 100> held{};
    CHECK(near.get_bulk(held.data(), 100) && f.there(0) == 0);
    far.put_bulk(held.data(), 3);
    far.put_bulk(held.data() + 3, 17);
    CHECK(near.get_bulk(held.data(), 20));
    void *none = nullptr;
    CHECK(!near.get_bulk(&none, 1));
    near.put_bulk(held.data(), 100);
    f.pool.leave(near);
    f.pool.leave(far);
    CHECK(f.all_home());
}

void a_thread_may_move() {
    fixture f(2, numa_mode::strict, 100);
    numa_cache &before = f.pool.enter(0, 0);
    CHECK(before.node() == 0);
    std::array<void *, 20> held{};
    CHECK(before.get_bulk(held.data(), 10));
    numa_cache &c = before.move_to(1);
    CHECK(c.node() == 1 && c.get_bulk(held.data() + 10, 10) && c.objects() == before.objects());
    for (int i = 0; i < 20; ++i) CHECK(f.of(held[i]) == (i < 10 ? 0u : 1u));
    c.put_bulk(held.data(), 20);
    CHECK(f.pool.counters().foreign_puts == 10 && f.pool.available() == 100);
    f.pool.leave(c);
    CHECK(f.all_home());
}

void guests_go_home_too() {
    for (numa_mode mode : {numa_mode::strict, numa_mode::preferred}) {
        fixture f(2, mode, 100, 8, 1);
        std::array<void *, 60> held{};
        CHECK(f.pool.get_bulk(held.data(), 40));
        const std::uint32_t here = f.of(held[0]);
        CHECK(f.pool.get_bulk(held.data() + 40, 20) == (mode == numa_mode::preferred));
        if (mode == numa_mode::preferred) {
            for (int i = 40; i < 60; ++i) CHECK(f.of(held[i]) != here);
            std::swap(held[0], held[59]);
            f.pool.put_bulk(held.data(), 60);
        } else {
            f.pool.put_bulk(held.data(), 40);
        }
        CHECK(f.all_home());
    }
}

/// One that entered, and calls without entering.
void what_guests_take_across_nodes_is_counted() {
    fixture f(2, numa_mode::preferred, 100, 8, 1);
    numa_cache &guest = f.pool.enter_as_guest(), &near = guest.move_to(0);
    std::array<void *, 100> held{};
    CHECK(near.get_bulk(held.data(), 50) && near.get_bulk(&held[50], 30));
    CHECK(f.pool.counters().fallback_gets == 30 && f.pool.counters().foreign_puts == 0);
    near.put_bulk(held.data(), 80);
    CHECK(f.pool.counters().foreign_puts == 30);
    f.pool.leave(guest);
    CHECK(f.pool.counters().fallback_gets == 30 && f.pool.counters().foreign_puts == 30);

    CHECK(f.pool.get_up_to(held.data(), 100) == 100);
    CHECK(f.pool.counters().fallback_gets == 80);
    f.pool.put_bulk(held.data(), 100);
    CHECK(f.pool.counters().foreign_puts == 80);
    CHECK(f.pool.get_bulk(held.data(), 40) && f.pool.get_bulk(&held[40], 40));
    CHECK(f.pool.counters().fallback_gets == 120);
    f.pool.put_bulk(held.data(), 80);
    CHECK(f.all_home());
}

/// Random gets and puts of any thread, against a plain count a node.
void every_outcome_is_exact(std::uint32_t nodes, numa_mode mode, bool caching) {
    constexpr std::uint32_t objects = 120, threads = 4;
    fixture f(nodes, mode, objects, 4, threads, caching);
    std::array<numa_cache *, threads> in{};
    std::vector<void *> held(objects + 1);
    std::uint32_t out = 0, failed = 0;
    dice d(nodes * 10 + static_cast<std::uint32_t>(mode));
    for (int i = 0; i < 4000; ++i) {
        const std::uint32_t t = d.roll(0, threads - 1);
        if (in[t] == nullptr) {
            in[t] = &f.pool.enter(t, d.roll(0, nodes - 1));
        } else if (d.roll(0, 9) == 0) {
            f.pool.leave(*std::exchange(in[t], nullptr));
        } else if (d.roll(0, 9) == 0) {
            in[t] = &in[t]->move_to(d.roll(0, nodes - 1));
        } else if (d.roll(0, 1) == 0 && out < objects) {
            const std::uint32_t n = d.roll(1, std::min(objects - out, 40u));
            const std::uint64_t near = f.there(in[t]->node());
            if (d.roll(0, 3) == 0) {
                const std::uint32_t got = in[t]->get_up_to(&held[out], n);
                if (mode == numa_mode::strict) CHECK(got <= near);
                out += got;
            } else if (in[t]->get_bulk(&held[out], n)) {
                if (mode == numa_mode::strict) CHECK(n <= near);
                for (std::uint32_t k = 0; k < n && mode == numa_mode::strict; ++k)
                    CHECK(f.of(held[out + k]) == in[t]->node());
                out += n;
            } else {
                ++failed;
            }
        } else if (out != 0) {
            const std::uint32_t n = d.roll(1, out);
            std::rotate(held.begin(), held.begin() + d.roll(0, out - 1), held.begin() + out);
            out -= n;
            in[t]->put_bulk(&held[out], n);
        }
        CHECK(f.pool.available() + out == objects);
        std::vector<std::uint64_t> outside(nodes);
        for (std::uint32_t k = 0; k < out; ++k) ++outside[f.of(held[k])];
        for (std::uint32_t k = 0; k < nodes; ++k)
            CHECK(f.there(k) + outside[k] == f.home(k)); // never away from home
    }
    CHECK(failed != 0 || mode == numa_mode::preferred || nodes == 1);
    f.pool.put_bulk(held.data(), out);
    for (numa_cache *c : in) {
        if (c != nullptr) f.pool.leave(*c);
    }
    CHECK(f.all_home());
    if (nodes == 1) CHECK(f.pool.counters().foreign_puts == 0 && f.pool.counters().fallback_gets == 0);
}

/// Threads of every node get, stamp, and hand objects to each other through a few shared places.
void threads_lose_nothing(std::uint32_t nodes, numa_mode mode, int steps) {
    constexpr std::uint32_t threads = 4;
    fixture f(nodes, mode, 500, 16, threads);
    std::array<std::atomic<void *>, 32> places{};
    std::vector<std::thread> running;
    for (std::uint32_t t = 0; t < threads; ++t) {
        running.emplace_back([&, t] {
            numa_cache *c = &f.pool.enter(t, t % nodes);
            dice d(t);
            std::array<void *, 20> held{};
            for (int i = 0; i < steps; ++i) {
                const std::uint32_t n = d.roll(1, 20);
                if (!c->get_bulk(held.data(), n)) continue;
                for (std::uint32_t k = 0; k < n; ++k) {
                    *static_cast<std::uint32_t *>(held[k]) = t;
                    held[k] = places[d.roll(0, 31)].exchange(held[k], std::memory_order_acq_rel);
                }
                const auto end = std::remove(held.begin(), held.begin() + n, nullptr);
                c->put_bulk(held.data(), static_cast<std::uint32_t>(end - held.begin()));
                if (d.roll(0, 200) == 0) {
                    f.pool.leave(*c);
                    c = &f.pool.enter(t, d.roll(0, nodes - 1));
                }
            }
            f.pool.leave(*c);
        });
    }
    for (auto &t : running) t.join();
    for (auto &p : places) {
        if (void *o = p.load()) f.pool.put_bulk(&o, 1);
    }
    CHECK(f.all_home());
}

} // namespace

/// numa [steps a thread]
int main(int argc, char **argv) {
    const int steps = argc > 1 ? std::atoi(argv[1]) : 2000;
    objects_are_shared_out_evenly();
    bad_options_and_slots_are_refused();
    strict_stays_and_preferred_goes_to_the_nearest();
    what_is_freed_elsewhere_goes_home_in_batches();
    a_thread_may_move();
    guests_go_home_too();
    what_guests_take_across_nodes_is_counted();
    for (std::uint32_t nodes : {1u, 2u, 3u}) {
        for (numa_mode mode : {numa_mode::preferred, numa_mode::strict}) {
            for (bool caching : {true, false}) every_outcome_is_exact(nodes, mode, caching);
            threads_lose_nothing(nodes, mode, steps);
        }
    }
    what_waits_for_going_home_is_found_there();
}

// SPDX-License-Identifier: BSD-3-Clause
/// One thread: what the parts promise, checked exactly.
#include "check.hpp"
#include "invariants.hpp"
#include "store.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

using namespace turbomem;

namespace {

pool_options small(std::uint64_t objects, std::uint32_t magazine, std::uint32_t threads,
                   bool caching = true) {
    return {.object_size = 24,
            .objects = objects,
            .magazine = magazine,
            .caching = caching,
            .max_threads = threads,
            .pages = {.kind = page_kind::base}};
}

/// The errno value and text of what creating the pool throws.
std::pair<int, std::string> refusal(const pool_options &options) {
    try {
        store p(options);
    } catch (const error &e) {
        return {e.code(), e.what()};
    }
    return {0, "accepted"};
}

[[maybe_unused]] rlim_t address_space() {
    std::ifstream statm("/proc/self/statm");
    rlim_t pages = 0;
    CHECK(statm >> pages);
    return pages * detail::base_page();
}

[[maybe_unused]] std::size_t mappings() {
    std::ifstream maps("/proc/self/maps");
    std::size_t n = 0;
    for (std::string line; std::getline(maps, line);) ++n;
    return n;
}

struct four_nodes {
    struct node {
        std::atomic<std::uint32_t> next{0}, depth{0};
    };
    mutable std::array<node, 4> nodes{};
    node &operator[](std::uint32_t i) const { return nodes[i - 1]; }
};

void a_stack_is_last_in_first_out_and_counts_changes() {
    const four_nodes nodes;
    tagged_stack s;
    CHECK(s.pop(nodes) == 0 && s.changes() == 0);
    for (std::uint32_t i : {3u, 1u, 4u}) s.push(nodes, i);
    CHECK(s.top() == 4 && s.size(nodes) == 3);
    CHECK(s.pop(nodes) == 4 && s.pop(nodes) == 1 && s.pop(nodes) == 3 && s.pop(nodes) == 0);
    CHECK(s.changes() == 6);
}

void several_nodes_move_at_once() {
    const four_nodes nodes;
    tagged_stack s;
    std::array<std::uint32_t, 3> out{};
    CHECK(s.pop(nodes, out) == 0);
    s.push(nodes, 2);
    s.push(nodes, std::array{3u, 1u, 4u}); // the last on top
    CHECK(s.size(nodes) == 4);
    CHECK(s.changes() == 2);
    CHECK(s.pop(nodes, out) == 3 && out == (std::array{4u, 1u, 3u}));
    CHECK(s.size(nodes) == 1);
    CHECK(s.pop(nodes, out) == 1 && out[0] == 2 && s.top() == 0 && s.size(nodes) == 0);
    CHECK(s.changes() == 4);
}

void copies_of_every_length_are_exact() {
    std::array<void *, 80> from{}, to{};
    for (std::size_t i = 0; i < from.size(); ++i) from[i] = &from[i];
    for (std::uint32_t n = 0; n < 70; ++n) {
        to.fill(nullptr);
        copy_objects(to.data() + 3, from.data() + 5, n);
        for (std::uint32_t i = 0; i < to.size(); ++i)
            CHECK(to[i] == (i >= 3 && i < 3 + n ? from[i + 2] : nullptr));
    }
}

void impossible_options_are_refused() {
    const pool_options good = small(100, 8, 2);
    CHECK(refusal(good).first == 0);
    auto refused = [&](auto change, const char *names) {
        pool_options o = good;
        change(o);
        const auto [code, text] = refusal(o);
        return code == EINVAL && text.find(names) == 0;
    };
    constexpr std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
    CHECK(refused([](auto &o) { o.object_size = 0; }, "object_size is 0"));
    CHECK(refused([](auto &o) { o.object_size = most; }, "object_size"));
    CHECK(refused([](auto &o) { o.objects = 0; }, "objects is 0"));
    CHECK(refused([](auto &o) { o.objects = most; }, "objects"));
    CHECK(refused([](auto &o) { o.objects = most / 64; }, "objects"));
    CHECK(refused(
        [](auto &o) {
            o.objects = std::uint64_t{1} << 33;
            o.magazine = 1;
        },
        "objects"));
    CHECK(refused([](auto &o) { o.alignment = 0; }, "alignment is 0"));
    CHECK(refused([](auto &o) { o.alignment = 48; }, "alignment is 48"));
    CHECK(refused([](auto &o) { o.alignment = huge_page * 2; }, "alignment"));
    CHECK(refused([](auto &o) { o.magazine = 0; }, "magazine is 0"));
    CHECK(refused([](auto &o) { o.max_threads = 0; }, "max_threads is 0"));
    CHECK(refused([](auto &o) { o.max_threads = 65537; }, "max_threads is 65537"));
}

void too_much_memory_is_refused() {
    pool_options huge = small(std::uint64_t{1} << 31, 4096, 1);
    huge.object_size = std::uint64_t{1} << 20; // 2 PB
    const auto [code, text] = refusal(huge);
    CHECK(code == ENOMEM && text.find("available") != std::string::npos);
}

/// Let the kernel refuse at every point of the creation.
void running_out_while_creating_leaks_nothing() {
    const pool_options o = small(1'000'000, 16, 8); // 64 MB of objects, 12 MB of magazines
    rlimit old{};
    CHECK(getrlimit(RLIMIT_AS, &old) == 0);
    const std::size_t before = mappings();
    int refused = 0, created = 0;
    for (rlim_t room = 0; room <= 96; room += 2) {
        const rlimit tight{address_space() + (room << 20), old.rlim_max};
        CHECK(setrlimit(RLIMIT_AS, &tight) == 0);
        try {
            store p(o);
            ++created;
        } catch (const out_of_memory &) {
            ++refused;
        }
        CHECK(setrlimit(RLIMIT_AS, &old) == 0);
    }
    CHECK(created > 0 && refused > 33); // some of them after the objects were mapped
    CHECK(mappings() < before + 10);    // what malloc kept, not a mapping a round
}

void slots_are_checked() {
    store p(small(10, 2, 2));
    auto refusal_of = [&](std::uint32_t slot) {
        try {
            p.leave(p.enter(slot));
            return 0;
        } catch (const invalid_slot &e) {
            return e.code();
        }
    };
    CHECK(refusal_of(2) == EINVAL);
    CHECK(refusal_of(1) == 0 && refusal_of(1) == 0);
    cache &c = p.enter(1);
    CHECK(refusal_of(1) == EBUSY && refusal_of(0) == 0);
    p.leave(c);
    check_at_rest(p);
}

void objects_are_apart_aligned_and_inside() {
    for (std::uint64_t alignment : {1u, 8u, 64u, 4096u}) {
        for (std::uint64_t size : {1u, 63u, 64u, 65u, 2176u}) {
            pool_options o = small(300, 32, 2);
            o.object_size = size;
            o.alignment = alignment;
            store p(o);
            check_at_rest(p);
            check_every_object(p);
        }
    }
}

void a_failed_get_takes_nothing() {
    store p(small(100, 8, 3));
    cache &a = p.enter(0), &b = p.enter(1);
    std::array<void *, 101> held{};
    CHECK(a.get_bulk(held.data(), 13)); // leaves 3 in a's cache
    CHECK(b.get_bulk(held.data() + 13, 2));
    b.put_bulk(held.data() + 14, 1);
    p.leave(b); // and a partly filled magazine in the depot
    CHECK(p.census().partial == 1);
    CHECK(a.objects() == 3);
    for (std::uint32_t n : {87u, 100u, 101u, UINT32_MAX}) {
        CHECK(!a.get_bulk(held.data() + 14, n));
        CHECK(p.available() == 86 && a.objects() <= p.cache_limit());
    }
    CHECK(a.get_bulk(held.data() + 14, 86));
    CHECK(p.available() == 0 && !a.get_bulk(held.data(), 1));
    a.put_bulk(held.data(), 100);
    p.leave(a);
    check_every_object(p);
}

void the_depot_is_visited_once_a_magazine() {
    constexpr std::uint32_t magazine = 32;
    store p(small(10'000, magazine, 1));
    cache &c = p.enter(0);
    dice d(1);
    std::vector<void *> held(10'000);
    std::uint64_t out = 0, moved = 0;
    const std::uint64_t before = p.counters().exchanges;
    for (int i = 0; i < 20'000; ++i) { // around the edge of a magazine, where one of them alone would flap
        const std::uint32_t n = d.roll(1, 3);
        if (out < n || (out < 100 && d.roll(0, 1) == 0)) {
            CHECK(c.get_bulk(&held[out], n));
            out += n;
        } else {
            c.put_bulk(&held[out - n], n);
            out -= n;
        }
        moved += n;
    }
    CHECK(p.counters().exchanges - before <= moved / magazine);
    CHECK(p.counters().steals == 0);
    c.put_bulk(held.data(), static_cast<std::uint32_t>(out));
    p.leave(c);
    check_at_rest(p);
}

/// Also of many magazines: one change of the depot.
void a_bulk_is_one_trip() {
    store p(small(10'000, 32, 1));
    const depot &shared = p.exchange().shared();
    cache &c = p.enter(0);
    std::vector<void *> held(256);
    for (const std::uint32_t n : {256u, 250u, 1u, 32u, 33u, 100u}) {
        std::uint64_t before = shared.changes();
        CHECK(c.get_bulk(held.data(), n));
        CHECK(shared.changes() - before <= 1);
        before = shared.changes();
        c.put_bulk(held.data(), n);
        CHECK(shared.changes() - before <= 1);
    }
    CHECK(c.objects() == p.cache_limit());
    p.leave(c);
    check_at_rest(p);
}

/// Threads one after another, so that the outcome of every call is known: a get succeeds exactly when the
/// pool has enough, wherever it lies.
void every_outcome_is_exact(std::uint64_t objects, std::uint32_t magazine, std::uint32_t threads,
                            bool caching) {
    store p(small(objects, magazine, threads, caching));
    std::vector<cache *> in(threads, nullptr);
    std::vector<void *> held(objects + 1);
    std::uint32_t out = 0;
    std::uint64_t failures = 0;
    dice d(objects * 31 + magazine * 7 + threads);
    for (int i = 0; i < 2000; ++i) {
        const std::uint32_t slot = d.roll(0, threads - 1);
        if (in[slot] == nullptr) {
            in[slot] = &p.enter(slot);
        } else if (d.roll(0, 9) == 0) {
            p.leave(*std::exchange(in[slot], nullptr));
        } else if (d.roll(0, 1) == 0) {
            const std::uint32_t left = static_cast<std::uint32_t>(objects) - out;
            const std::uint32_t n =
                d.roll(1, d.roll(0, 3) == 0 ? left + 1 : std::min(left, 2 * magazine) + 1);
            const bool enough = n <= p.available();
            CHECK(in[slot]->get_bulk(&held[out], enough ? n : std::min(n, left + 1)) == enough);
            if (enough) out += n;
            failures += !enough;
        } else if (out != 0) {
            const std::uint32_t n = d.roll(1, out);
            std::rotate(held.begin(), held.begin() + d.roll(0, out - 1), held.begin() + out);
            out -= n;
            in[slot]->put_bulk(&held[out], n);
        }
        CHECK(p.available() + out == objects);
        if (!caching) CHECK(in[slot] == nullptr || in[slot]->objects() == 0);
        CHECK(in[slot] == nullptr || in[slot]->objects() <= p.cache_limit());
    }
    CHECK(failures != 0);
    if (in[0] == nullptr) in[0] = &p.enter(0);
    in[0]->put_bulk(held.data(), out);
    for (cache *c : in) {
        if (c != nullptr) p.leave(*c);
    }
    check_every_object(p);
}

void the_region_is_accounted_alone() {
    const mapping a(3 * huge_page, page_kind::base), b(1, page_kind::base);
    CHECK(a.size() == 3 * huge_page && b.size() == detail::base_page());
    CHECK(reinterpret_cast<std::uintptr_t>(b.data()) % huge_page == 0);
    CHECK(a.huge_bytes() == 0 && b.huge_bytes() == 0); // throws when smaps lists neither
}

} // namespace

int main() {
    a_stack_is_last_in_first_out_and_counts_changes();
    several_nodes_move_at_once();
    copies_of_every_length_are_exact();
    impossible_options_are_refused();
    too_much_memory_is_refused();
    if (!emulated && !address_sanitizer && !thread_sanitizer) // they need address space of their own
        running_out_while_creating_leaks_nothing();
    slots_are_checked();
    objects_are_apart_aligned_and_inside();
    a_failed_get_takes_nothing();
    the_depot_is_visited_once_a_magazine();
    a_bulk_is_one_trip();
    for (bool caching : {true, false}) {
        for (std::uint32_t magazine : {1u, 2u, 7u, 256u}) {
            for (std::uint32_t threads : {1u, 2u, 5u}) {
                for (std::uint64_t objects : {1u, 50u, 600u})
                    every_outcome_is_exact(objects, magazine, threads, caching);
            }
        }
    }
    the_region_is_accounted_alone();
}

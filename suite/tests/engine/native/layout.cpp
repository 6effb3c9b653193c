// SPDX-License-Identifier: BSD-3-Clause
/// Where the engine's memory lies.
#include <algorithm>
#include <cstring>
#include <numeric>
#include <set>
#include <vector>

#include "arena.hpp"
#include "check.hpp"

using namespace allocmark;

namespace {

constexpr uintptr_t kPage = 4096, kWindow = 1 << 20;

uintptr_t number(const void *at) {
    return reinterpret_cast<uintptr_t>(at);
}

void draws_are_fair_and_the_same_every_time() {
    std::vector<int> times(64);
    Draws draws(1, 0), again(1, 0), other_stream(1, 1), other_seed(2, 0);
    int as_other_stream = 0, as_other_seed = 0;
    for (int i = 0; i < 64'000; ++i) {
        const uint32_t drawn = draws.below(64);
        ++times.at(drawn);
        CHECK(again.below(64) == drawn);
        as_other_stream += other_stream.below(64) == drawn;
        as_other_seed += other_seed.below(64) == drawn;
    }
    for (const int n : times) CHECK(n > 800 && n < 1200);
    CHECK(as_other_stream < 1500 && as_other_seed < 1500);

    std::set<std::vector<uint32_t>> orders;
    for (uint64_t seed = 1; seed < 100; ++seed) {
        std::vector<uint32_t> order = Draws(seed, 0).order(3);
        orders.insert(order);
        std::sort(order.begin(), order.end());
        CHECK((order == std::vector<uint32_t>{0, 1, 2}));
    }
    CHECK(orders.size() == 6);
    CHECK(!Draws(0, 7).any() && (Draws(0, 7).order(3) == std::vector<uint32_t>{0, 1, 2}));
}

void stacks_have_guards() {
    for (uint64_t seed = 0; seed < 3; ++seed) {
        Arena arena(Arena::Half::kActor, Draws(seed, 0));
        char *const bottom = arena.stack().data(), *const top = bottom + arena.stack().size();
        char *const page_above = top + (kPage - number(top) % kPage) % kPage;
        CHECK(survives([&] { *bottom = top[-1] = 1; }));
        CHECK(!survives([&] { bottom[-1] = 1; }));
        CHECK(!survives([&] { *page_above = 1; }));
        CHECK(arena.take("first", 0, 1) > page_above);
    }
}

void pieces_lie_in_half_a_window() {
    for (uint64_t seed = 0; seed < 100; ++seed)
        for (const Arena::Half half : {Arena::Half::kActor, Arena::Half::kShared}) {
            Arena arena(half, Draws(seed, 0));
            std::set<uintptr_t> lines, offsets, windows;
            for (uint32_t i = 0; i < 50; ++i) {
                const size_t bytes = 1 + 37 * i;
                const uintptr_t at = number(arena.take("piece", i, bytes));
                CHECK(at % Arena::kLine == 0);
                for (uintptr_t line = at; line < at + bytes; line += Arena::kLine)
                    CHECK(lines.insert(line / Arena::kLine).second);
                offsets.insert(at % kPage);
                windows.insert(at / kWindow);
                CHECK((at % kWindow >= kWindow / 2) == (half == Arena::Half::kShared));
                CHECK((at >> 24 & 1) == 0);
            }
            CHECK(windows.size() == 1);
            const size_t packed = (lines.size() * Arena::kLine + kPage - 1) / kPage;
            CHECK(seed ? offsets.size() > 20 : (*lines.rbegin() - *lines.begin()) / 64 < packed);
        }
}

void pieces_are_as_asked() {
    for (uint64_t seed = 0; seed < 20; ++seed) {
        Arena arena(Arena::Half::kActor, Draws(seed, 0));
        const uintptr_t window = number(arena.take("first", 0, 1)) / kWindow;
        for (const size_t alignment : {1, 128, 4096, 65536})
            for (const size_t bytes : {size_t(1), size_t(32) << 10, size_t(33) << 10, size_t(5) << 20}) {
                char *const at = arena.take("piece", 0, bytes, alignment);
                CHECK(number(at) % alignment == 0);
                CHECK(alignment == 65536 || (number(at) / kWindow == window) == (bytes <= size_t(32) << 10));
                CHECK(std::all_of(at, at + bytes, [](char byte) { return byte == 0; }));
                std::memset(at, 1, bytes);
            }
        for (int i = 0; i < 1000; ++i) *arena.take("more than the window has", 0, kPage) = 1;
        const Piece &last = arena.pieces().back();
        // Outside the half of the window that is this arena's.
        CHECK(last.bytes == kPage && last.address - window * kWindow >= kWindow / 2);
        const int values[] = {3, 1, 4};
        CHECK(std::ranges::equal(arena.copy("copy", values, 3), values));
        CHECK(arena.array<int>("none", 0).empty());
    }
}

void arenas_give_back_what_they_took() {
    const auto mappings = [] {
        std::FILE *maps = std::fopen("/proc/self/maps", "r");
        CHECK(maps);
        int lines = 0;
        for (int c; (c = std::fgetc(maps)) != EOF;) lines += c == '\n';
        std::fclose(maps);
        return lines;
    };
    const int before = mappings();
    for (int i = 0; i < 100; ++i) {
        Arena arena(Arena::Half::kActor, Draws(1, 0));
        arena.take("elsewhere", 0, 1 << 20);
        CHECK(mappings() > before);
    }
    CHECK(mappings() < before + 10); // a sanitizer has some of its own
}

} // namespace

int main() {
    draws_are_fair_and_the_same_every_time();
    stacks_have_guards();
    pieces_lie_in_half_a_window();
    pieces_are_as_asked();
    arenas_give_back_what_they_took();
}

// SPDX-License-Identifier: BSD-3-Clause
/// The engine's single-threaded parts, and the core-to-core probe.
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <thread>
#include <vector>

#include "call_timer.hpp"
#include "check.hpp"
#include "ledger.hpp"
#include "ring.hpp"
#include "touch.hpp"
#include "trace.hpp"

using namespace allocmark;

namespace {

void *number(uint64_t n) {
    return reinterpret_cast<void *>(n);
}

void fill(Ring &ring, uint64_t from, uint32_t n) {
    void **room = ring.room();
    for (uint32_t i = 0; i < n; ++i) room[i] = number(from + i);
    ring.grow(n);
}

/// The ring's slots begin at another place of their page with each seed.
void ring_runs_across_its_end(uint64_t seed) {
    Arena arena(Arena::Half::kActor, Draws(seed, 0));
    Ring ring(arena, 0, 100);
    const uint32_t capacity = uint32_t(ring.capacity());
    CHECK(capacity >= 100 && (capacity & (capacity - 1)) == 0);
    fill(ring, 1, capacity - 3);
    ring.drop_oldest(capacity - 4); // one stays: no restart
    fill(ring, 1000, 10);           // 3 before the end, 7 after it
    CHECK(ring.size() == 11);
    CHECK(ring.oldest()[0] == number(capacity - 3));
    for (uint32_t i = 0; i < 10; ++i) CHECK(ring.oldest()[1 + i] == number(1000 + i));
    for (uint32_t i = 0; i < 7; ++i)
        CHECK(ring.slot(i) == number(1003 + i)); // the same memory, seen at the start
    CHECK(ring.newest(9)[0] == number(1001));
    ring.drop_newest(4);
    CHECK(ring.newest(1)[0] == number(1005));
    ring.drop_oldest(4);
    CHECK(ring.oldest()[0] == number(1003) && ring.size() == 3);
    fill(ring, 5000, capacity - 3);
    CHECK(ring.size() == capacity);
    CHECK(ring.oldest()[2] == number(1005) && ring.oldest()[3] == number(5000));
    CHECK(ring.oldest()[capacity - 1] == number(5000 + capacity - 4));
}

void ring_restarts_when_empty() {
    Arena arena(Arena::Half::kActor, Draws(0, 0));
    Ring ring(arena, 0, 8);
    void **const first = ring.room();
    for (const bool oldest : {true, false}) {
        fill(ring, 1, 5);
        CHECK(ring.room() == first + 5);
        oldest ? ring.drop_oldest(5) : ring.drop_newest(5);
        CHECK(ring.size() == 0 && ring.room() == first && ring.oldest() == first);
    }
}

void ring_outlives_its_positions() {
    Arena arena(Arena::Half::kActor, Draws(0, 0));
    Ring ring(arena, 0, 8);
    const uint32_t step = uint32_t(ring.capacity()) - 1;
    fill(ring, 1, 1);
    for (uint64_t position = 1; position <= (1ull << 32) + step; position += step) { // 32 bits, and on
        ring.grow(step);
        ring.drop_oldest(step);
        CHECK(ring.size() == 1);
    }
    ring.newest(1)[0] = number(7);
    fill(ring, 8, step);
    for (uint32_t i = 0; i <= step; ++i) CHECK(ring.oldest()[i] == number(7 + i));
}

/// Two pools of 64 and 24 bytes; the first is aligned and says where its objects lie.
struct Book {
    alignas(64) std::array<char, 1024> memory{};
    Ledger ledger;
    am_trouble trouble{};

    Book() : ledger({{64, 64, {{reinterpret_cast<uintptr_t>(memory.data()), 512}}}, {24, 0, {}}}) {}
    void *at(size_t offset) { return memory.data() + offset; }
    bool out(int32_t actor, uint32_t pool, void *object) {
        return ledger.out({actor, pool, 10u + uint32_t(actor)}, &object, 1, trouble);
    }
    bool check(int32_t actor, uint32_t pool, void *object) {
        return ledger.check({actor, pool, 20u + uint32_t(actor)}, &object, 1, trouble);
    }
    bool back(int32_t actor, uint32_t pool, void *object) {
        return ledger.back({actor, pool, 30u + uint32_t(actor)}, &object, 1, trouble);
    }
    bool says(am_trouble_kind kind, int32_t actor, uint32_t pool, void *object) const {
        return trouble.kind == kind && trouble.actor == actor && trouble.pool == pool &&
               trouble.object == reinterpret_cast<uintptr_t>(object);
    }
    bool names(int32_t other, uint32_t step, void *object) const {
        return trouble.other_actor == other && trouble.other_step == step &&
               trouble.other_object == reinterpret_cast<uintptr_t>(object);
    }
};

void ledger_accepts_what_is_right() {
    Book book;
    CHECK(book.out(0, 0, book.at(64)));
    CHECK(book.out(1, 0, book.at(0)) && book.out(1, 0, book.at(128))); // neighbours on both sides
    CHECK(book.out(1, 0, book.at(448)));                               // the last of the region
    CHECK(book.out(0, 1, book.at(600)) && book.out(0, 1, book.at(624)) && book.out(0, 1, book.at(576)));
    CHECK(book.check(1, 0, book.at(64)) && book.check(0, 0, book.at(64))); // to another actor and back
    CHECK(book.back(0, 0, book.at(64)) && book.out(1, 0, book.at(64)));    // again, elsewhere
    CHECK(book.back(0, 1, book.at(600)) && book.out(0, 1, book.at(603)) == false); // now 603..626 meets 624
    CHECK(book.says(AM_OVERLAP, 0, 1, book.at(603)) && book.names(0, 10, book.at(624)));
}

void ledger_names_what_is_wrong() {
    Book book;
    void *const object = book.at(128);
    CHECK(!book.out(1, 0, nullptr) && book.says(AM_NULL, 1, 0, nullptr));
    CHECK(!book.out(1, 0, book.at(32)) && book.says(AM_MISALIGNED, 1, 0, book.at(32)));
    CHECK(!book.out(1, 0, book.at(512)) && book.says(AM_OUTSIDE, 1, 0, book.at(512)));
    CHECK(!book.out(1, 0, book.at(960)) && book.says(AM_OUTSIDE, 1, 0, book.at(960)));
    CHECK(!book.check(1, 0, object) && book.says(AM_FOREIGN, 1, 0, object));
    CHECK(!book.back(1, 0, object) && book.says(AM_FOREIGN, 1, 0, object));
    CHECK(book.out(0, 0, object));
    CHECK(!book.out(1, 0, object) && book.says(AM_TWICE, 1, 0, object) && book.names(0, 10, object));

    // Of another pool: it begins before, inside, or as the last byte; the bytes beside it are free.
    for (const size_t offset : {105u, 150u, 191u}) {
        CHECK(!book.out(1, 1, book.at(offset)) && book.says(AM_OVERLAP, 1, 1, book.at(offset)));
        CHECK(book.names(0, 10, object));
    }
    CHECK(book.out(1, 1, book.at(104)) && book.out(1, 1, book.at(192)));
    CHECK(!book.out(2, 0, book.at(64)) && book.names(1, 11, book.at(104))); // 64..127 meets 104

    CHECK(book.check(1, 0, object)); // handed over: now actor 1 holds it
    static_cast<char *>(object)[63] ^= 1;
    CHECK(!book.check(2, 0, object) && book.says(AM_OVERWRITTEN, 2, 0, object));
    CHECK(book.trouble.figure == 63 && book.trouble.other_actor == 1 && book.trouble.other_step == 21);
    CHECK(!book.back(2, 0, object) && book.trouble.figure == 63);

    std::memcpy(book.at(192), book.at(104), 24); // another object's stamp is not its own
    CHECK(!book.back(1, 1, book.at(192)) && book.says(AM_OVERWRITTEN, 1, 1, book.at(192)));
    CHECK(book.back(1, 1, book.at(104)));
}

void touch_stays_within_what_was_asked() {
    for (uint32_t bytes = 0; bytes <= 70; ++bytes) {
        std::array<unsigned char, 300> memory;
        memory.fill(0xee);
        void *objects[] = {&memory[200], &memory[1], &memory[100]};
        touch::write(objects, 3, bytes, 0x0101010101010101u);
        for (size_t i = 0; i < memory.size(); ++i) {
            const bool inside = std::any_of(std::begin(objects), std::end(objects), [&](void *object) {
                const auto start = size_t(static_cast<unsigned char *>(object) - memory.data());
                return i >= start && i < start + bytes;
            });
            CHECK((memory[i] != 0xee) == inside);
        }
        const auto before = memory;
        touch::read(objects, 3, bytes);
        CHECK(memory == before);
    }
}

/// Whether `touch` of the last bytes of a readable page, and `beyond` more, is survived.
bool stays_inside(void (*touch)(void *, uint32_t), uint32_t bytes, uint32_t beyond) {
    const size_t page = size_t(sysconf(_SC_PAGESIZE));
    void *pages = mmap(nullptr, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(pages != MAP_FAILED && mprotect(static_cast<char *>(pages) + page, page, PROT_NONE) == 0);
    const bool lives = survives([&] { touch(static_cast<char *>(pages) + page - bytes, bytes + beyond); });
    munmap(pages, 2 * page);
    return lives;
}

void touch_really_happens() {
    const auto read = [](void *object, uint32_t bytes) { touch::read(&object, 1, bytes); };
    const auto write = [](void *object, uint32_t bytes) { touch::write(&object, 1, bytes, 1); };
    for (const uint32_t bytes : {0u, 1u, 15u, 16u, 31u, 64u}) {
        CHECK(stays_inside(read, bytes, 0) && stays_inside(write, bytes, 0));
        CHECK(!stays_inside(read, bytes, 1) && !stays_inside(write, bytes, 1));
    }
}

void core_distance_of_cpus_that_may_be_used() {
    cpu_set_t usable;
    CHECK(sched_getaffinity(0, sizeof usable, &usable) == 0);
    std::vector<int> good;
    int bad = -1;
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
        if (CPU_ISSET(cpu, &usable))
            good.push_back(cpu);
        else
            bad = cpu;
    std::thread([] {}).join(); // with the first thread, a sanitizer may start one of its own
    const auto before = threads();
    CHECK(am_core_distance(good[0], good[0], 1) < 0);
    CHECK(am_core_distance(-1, good[0], 1) < 0 && am_core_distance(good[0], -1, 1) < 0);
    CHECK(am_core_distance(CPU_SETSIZE, good[0], 1) < 0 && am_core_distance(good[0], CPU_SETSIZE, 1) < 0);
    if (bad >= 0) {
        CHECK(am_core_distance(bad, good[0], 2) < 0); // the second to start: the first must end by itself
        CHECK(am_core_distance(good[0], bad, 2) < 0);
    }
    if (good.size() > 1) {
        CHECK(am_core_distance(good[0], good[1], 0) < 0);
        CHECK(am_core_distance(good[0], good[1], 2) > 0);
    }
    CHECK(threads_become(before));
}

void the_pace_of_cpus_that_may_be_used() {
    CHECK(am_core_pace(-1) == -EINVAL && am_core_pace(CPU_SETSIZE) == -EINVAL);
    cpu_set_t usable;
    CHECK(sched_getaffinity(0, sizeof usable, &usable) == 0);
    const auto before = threads();
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
        if (CPU_ISSET(cpu, &usable)) CHECK(am_core_pace(cpu) > 0);
    CHECK(threads_become(before));
}

void histogram_keeps_values_apart_as_promised() {
    uint32_t before = 0;
    for (uint64_t value = 0; value < 1'000'000; ++value) {
        const uint32_t bucket = Histogram::bucket(value);
        CHECK(bucket == before || bucket == before + 1); // no gap, no step back
        CHECK(Histogram::top(bucket) >= value && (bucket == 0 || Histogram::top(bucket - 1) < value));
        CHECK((Histogram::top(bucket) - value) * Histogram::kSteps <= value);
        before = bucket;
    }
    CHECK(Histogram::bucket(~uint64_t(0)) == AM_BUCKETS - 1);
    Histogram histogram;
    for (const uint64_t value : {0, 5, 5, 1000}) histogram.add(value);
    std::vector<uint64_t> counts(AM_BUCKETS, 1);
    histogram.add_to(counts.data());
    CHECK(counts[0] == 2 && counts[5] == 3 && counts[Histogram::bucket(1000)] == 2 && counts[6] == 1);
}

void calls_are_timed_as_often_as_asked_at_irregular_distances() {
    for (const uint32_t every : {1u, 2u, 64u, 1000u}) {
        CallTimer timer;
        timer.start(every, 1);
        uint64_t timed = 0, last = 0, in_step = 0;
        constexpr uint64_t kCalls = 2'000'000;
        for (uint64_t call = 1; call <= kCalls; ++call) {
            if (!timer.due()) continue;
            timer.add(7, call % 2 ? 9 : 5); // the second ends before it begins: another CPU's counter
            ++timed;
            in_step += call - last == every;
            last = call;
        }
        CHECK(timed > 0.9 * kCalls / every && timed < 1.1 * kCalls / every);
        CHECK(every == 1 || in_step < timed * 3 / 4);
        std::vector<uint64_t> counts(AM_BUCKETS, 0);
        timer.histogram().add_to(counts.data());
        CHECK(counts[0] + counts[2] == timed && counts[2] > 0);
    }
}

void turns_go_round() {
    std::vector<uint32_t> order; // unguarded: whoever has the turn may write
    Turns turns(3, true);
    std::vector<std::thread> actors;
    for (uint32_t actor = 0; actor < 3; ++actor)
        actors.emplace_back([&, actor] {
            turns.join(actor);
            for (uint32_t i = 0; i <= actor; ++i) {
                order.push_back(actor);
                turns.pass_on(actor);
            }
            turns.leave(actor);
        });
    for (std::thread &actor : actors) actor.join();
    CHECK((order == std::vector<uint32_t>{0, 1, 2, 1, 2, 2}));
}

} // namespace

int main() {
    histogram_keeps_values_apart_as_promised();
    calls_are_timed_as_often_as_asked_at_irregular_distances();
    turns_go_round();
    for (uint64_t seed = 0; seed < 100; ++seed) ring_runs_across_its_end(seed);
    ring_restarts_when_empty();
    ring_outlives_its_positions();
    ledger_accepts_what_is_right();
    ledger_names_what_is_wrong();
    touch_stays_within_what_was_asked();
    touch_really_happens();
    core_distance_of_cpus_that_may_be_used();
    the_pace_of_cpus_that_may_be_used();
}

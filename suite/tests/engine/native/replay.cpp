// SPDX-License-Identifier: BSD-3-Clause
/// The backend that hands out recorded objects, through its table and without an engine.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "arena.hpp"
#include "check.hpp"
#include "engine.h"

namespace {

constexpr uint64_t kBlock = uint64_t(1) << 21, kFar = 1000 * kBlock;

using List = std::vector<uint64_t>;

uint64_t number(void *object) {
    return reinterpret_cast<uintptr_t>(object);
}

/// A replay, and what its two actors do to its pools.
class Toy {
  public:
    Toy(const std::vector<am_event> &events, std::vector<uint64_t> sizes = {256}, am_pages pages = AM_BASE) {
        const std::vector<am_pages> kinds(sizes.size(), pages);
        const std::vector<const char *> names{"first", "second", "third"};
        allocmark_error error{};
        replay = am_replay_new(events.data(), events.size(), names.data(), sizes.data(), kinds.data(),
                               uint32_t(sizes.size()), 2, &error);
        message = error.message;
        if (!replay) return;
        table = static_cast<const allocmark_backend *>(am_replay_table(replay));
        CHECK(am_table_problem(table) == nullptr && table->init(nullptr, &error) == 0);
        allocmark::Arena::mine = &arena;
        pools.resize(sizes.size());
        // An engine creates them in a drawn order.
        for (size_t p = sizes.size(); p-- > 0;) {
            allocmark_pool_spec spec{};
            spec.name = names[p];
            CHECK(table->pool_create(&spec, &pools[p], &error) == 0);
            void *const pool = pools[p];
            for (uint32_t actor = 0; actor < 2; ++actor) {
                const allocmark_thread who = {sizeof who, actor, -1, -1};
                CHECK(table->thread_enter(pool, &who, &locals[{p, actor}], &error) == 0);
            }
        }
    }
    ~Toy() {
        for (const auto &[of, local] : locals) table->thread_leave(pools[of.first], local);
        for (void *pool : pools) table->pool_destroy(pool);
        am_replay_free(replay);
    }

    /// What the next gets of the sizes `bulks` give, to the end.
    List get(uint32_t actor, const std::vector<uint32_t> &bulks, size_t pool = 0) {
        List all;
        for (const uint32_t n : bulks) {
            std::vector<void *> objects(n + 1);
            CHECK(table->get_bulk(pools[pool], locals[{pool, actor}], objects.data(), n) == 0);
            CHECK(objects[n] == nullptr);
            std::transform(objects.begin(), objects.end() - 1, std::back_inserter(all), number);
            table->put_bulk(pools[pool], locals[{pool, actor}], objects.data(), n); // changes nothing
        }
        return all;
    }
    bool has_none(uint32_t actor, size_t pool = 0) {
        void *object;
        return table->get_bulk(pools[pool], locals[{pool, actor}], &object, 1) == -ENOENT;
    }
    std::vector<allocmark_region> regions() const {
        std::vector<allocmark_region> found(table->regions(pools[0], nullptr, 0));
        CHECK(table->regions(pools[0], found.data(), uint32_t(found.size())) == found.size());
        return found;
    }

    am_replay *replay;
    std::string message;

  private:
    const allocmark_backend *table = nullptr;
    allocmark::Arena arena{allocmark::Arena::Half::kActor, allocmark::Draws(0, 0)};
    std::vector<void *> pools;
    std::map<std::pair<size_t, uint32_t>, void *> locals;
};

std::vector<am_event> got(const List &objects, uint16_t actor = 0, uint16_t pool = 0) {
    std::vector<am_event> events;
    for (const uint64_t object : objects) events.push_back({object, actor, pool, 0});
    return events;
}

std::vector<am_event> operator+(std::vector<am_event> a, const std::vector<am_event> &b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

/// `n` objects in an order of their own, each once.
List shuffled(size_t n, uint64_t from = kFar) {
    List list;
    for (size_t i = 0; i < n; ++i) list.push_back(from + i * 389 % n * 4096);
    return list;
}

/// The list over and over, from entry `first` on.
List turned(const List &list, size_t first, size_t n) {
    List found;
    for (size_t i = 0; i < n; ++i) found.push_back(list[(first + i) % list.size()]);
    return found;
}

/// Where `list` lies when its block `kFar` lies at `start`.
List moved(List list, uint64_t start) {
    for (uint64_t &each : list) each += start - kFar;
    return list;
}

void objects_come_in_their_order() {
    const List list = shuffled(500);
    Toy toy(got(list));
    CHECK(am_replay_objects(toy.replay) == 500);
    const uint64_t start = toy.regions()[0].address;
    for (size_t first = 0;
         const auto &bulks : std::vector<std::vector<uint32_t>>{
             {1, 1, 1}, {8, 32, 7}, {128, 100}, {322}, {499, 1}, {500}, {1300}, {32, 32, 32, 32, 32}}) {
        size_t n = 0;
        for (const uint32_t bulk : bulks) n += bulk;
        CHECK(toy.get(0, bulks) == moved(turned(list, first, n), start));
        first += n;
    }
}

void each_actor_and_pool_has_its_own() {
    const List a = shuffled(50), b = shuffled(30, kFar + kBlock), c = shuffled(20, kFar + 2 * kBlock);
    Toy toy(got(a, 0, 0) + got(b, 1, 0) + got(c, 1, 1) + got(a, 0, 0), {256, 256});
    const uint64_t start = toy.regions()[0].address;
    CHECK(am_replay_objects(toy.replay) == 100);
    for (int round = 0; round < 3; ++round) {
        CHECK(toy.get(0, {32, 18}) == moved(a, start));
        CHECK(toy.get(1, {30}) == moved(b, start));
        CHECK(toy.get(1, {8, 12}, 1) == moved(c, start));
    }
    CHECK(toy.has_none(0, 1)); // actor 0 got nothing from it
}

void what_repeats_itself_is_kept_once() {
    const List list = shuffled(64);
    for (const size_t recorded : {128, 150, 200}) { // the recording ends somewhere
        Toy toy(got(turned(list, 0, recorded)));
        const uint64_t start = toy.regions()[0].address;
        CHECK(toy.get(0, {32, 500}) == moved(turned(list, 0, 532), start));
    }
    const List once = turned(list, 0, 100); // not twice: who knows how it goes on
    Toy toy(got(once));
    CHECK(toy.get(0, {300}) == moved(turned(once, 0, 300), toy.regions()[0].address));
}

void few_objects_have_a_short_list() {
    List list;
    for (uint64_t i = 0, draw = 1; i < 5000; ++i, draw = draw * 6364136223846793005 + 1442695040888963407)
        list.push_back(kFar + (draw >> 33) % 10 * 512);
    Toy toy(got(list));
    CHECK(toy.get(0, {32, 500}) ==
          moved(turned(List(list.begin(), list.begin() + 40), 0, 532), toy.regions()[0].address));
}

void objects_keep_their_places() {
    // Three runs of blocks: one object alone, two blocks with an object across their border, and one far
    // away.
    const List list = {kFar + 4711 * 64, kFar + 10 * kBlock - 64, kFar + 11 * kBlock - 64, kFar * kFar};
    for (const am_pages pages : {AM_BASE, AM_THP}) {
        Toy toy(got(list), {256}, pages);
        const List here = toy.get(0, {4});
        for (size_t i = 0; i < list.size(); ++i) CHECK(here[i] % kBlock == list[i] % kBlock);
        CHECK(here[2] - here[1] == kBlock);
        const auto regions = toy.regions();
        CHECK(regions.size() == 3 && regions[1].length == 3 * kBlock);
        const auto holds = [](const allocmark_region &each, uint64_t object) {
            return each.address <= object && object + 256 <= each.address + each.length;
        };
        CHECK(holds(regions[0], here[0]) && holds(regions[1], here[2]) && holds(regions[2], here[3]));
        for (const uint64_t object : here) std::memset(reinterpret_cast<void *>(object), 1, 256);
    }
}

void memory_is_given_back() {
    std::vector<allocmark_region> regions;
    {
        Toy toy(got(shuffled(2000)), {2176});
        regions = toy.regions();
    }
    for (const allocmark_region &each : regions) {
        unsigned char resident;
        CHECK(mincore(reinterpret_cast<void *>(each.address), 1, &resident) == -1 && errno == ENOMEM);
    }
}

void too_much_is_refused() {
    for (const am_pages pages : {AM_BASE, AM_THP, AM_HUGETLB}) {
        const Toy toy(got({kFar}), {uint64_t(1) << 44}, pages);
        CHECK(!toy.replay);
        CHECK(toy.message.find("16777216 MB are needed") == 0 ||
              toy.message.find("16777218 MB are needed") == 0);
        CHECK(toy.message.find("more than a third of the ") != std::string::npos);
    }
}

} // namespace

int main() {
    objects_come_in_their_order();
    each_actor_and_pool_has_its_own();
    what_repeats_itself_is_kept_once();
    few_objects_have_a_short_list();
    objects_keep_their_places();
    memory_is_given_back();
    too_much_is_refused();
}

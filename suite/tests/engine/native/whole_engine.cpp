// SPDX-License-Identifier: BSD-3-Clause
/// A whole engine, from C++ and with tapes written by hand.
#include "engine.h"

#include <dlfcn.h>
#include <pthread.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <numeric>
#include <string>
#include <vector>

#include "check.hpp"
#include "clock.hpp"
#include "mutex_pool.hpp"

using mutex_pool::book;

namespace {

/// How many more threads and rings there can be; -1: no limit.
std::atomic<int> threads_to_come{-1}, rings_to_come{-1};

bool none_left(std::atomic<int> &to_come) {
    if (to_come == 0) return true;
    if (to_come > 0) --to_come;
    return false;
}

} // namespace

// These two stand before the system's, which the engine needs for threads and rings.

extern "C" int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                              void *argument) {
    static const auto real = reinterpret_cast<decltype(&pthread_create)>(dlsym(RTLD_NEXT, "pthread_create"));
    return none_left(threads_to_come) ? EAGAIN : real(thread, attributes, run, argument);
}

extern "C" int memfd_create(const char *name, unsigned flags) {
    static const auto real = reinterpret_cast<decltype(&memfd_create)>(dlsym(RTLD_NEXT, "memfd_create"));
    return none_left(rings_to_come) ? -1 : real(name, flags);
}

namespace {

using Tape = std::vector<am_insn>;

constexpr am_insn kHalt = {AM_HALT, 0, 0, 0, 0, 0};

struct Actor {
    Tape prologue, body;
    std::vector<uint32_t> ring_capacity, indices;
    uint64_t passes = 1, objects = 0;
    uint32_t coupled = 0;
};

/// A plan and all that it points to.
struct Plan {
    const void *table = &mutex_pool::table;
    std::vector<am_pool> pools;
    std::vector<am_queue> queues;
    std::vector<Actor> actors;
    bool verify = false;
    uint32_t lasting = 0;
    uint64_t stall_ns = 20'000'000'000, limit_ns = 0, layout_seed = 0;
    mutable std::vector<am_actor> rows; // of the engine that was started last

    am_engine *start(allocmark_error &error) const {
        rows.clear();
        for (const Actor &actor : actors)
            rows.push_back({actor.prologue.data(), actor.body.data(), actor.indices.data(),
                            actor.ring_capacity.data(), actor.passes, 0, actor.objects,
                            uint32_t(actor.indices.size()), actor.coupled, -1, -1, 0, 0});
        am_plan plan{};
        plan.table = table;
        plan.pools = pools.data();
        plan.n_pools = uint32_t(pools.size());
        plan.queues = queues.data();
        plan.n_queues = uint32_t(queues.size());
        plan.actors = rows.data();
        plan.n_actors = uint32_t(rows.size());
        plan.verify = verify;
        plan.stall_ns = stall_ns;
        plan.limit_ns = limit_ns;
        plan.layout_seed = layout_seed;
        plan.lasting = lasting;
        return am_engine_new(&plan, &error);
    }
    am_engine *start() const {
        allocmark_error error{};
        am_engine *engine = start(error);
        if (!engine) std::fprintf(stderr, "%s\n", error.message);
        CHECK(engine && !error.message[0]);
        return engine;
    }
    std::string refusal() const {
        const auto before = threads();
        allocmark_error error{};
        CHECK(start(error) == nullptr);
        CHECK(threads_become(before)); // none is left behind
        return error.message;
    }
};

am_pool pool(const char *name, uint64_t objects, uint64_t size = 64) {
    return {name, size, objects, 0, objects, 0, -1};
}

/// Gets and puts in every order; what it holds across passes is put in random order.
Actor loner(uint64_t passes) {
    Actor actor;
    actor.prologue = {{AM_GET, 0, 4, 2, 0, 0}, kHalt};
    actor.body = {{AM_LOOP, 0, 0, 3, 0, 0},
                  {AM_GET_WRITE, 0, 4, 2, 24, 1},
                  {AM_PUT_NEWEST, 0, 2, 2, 0, 2},
                  {AM_PUT_OLDEST, 0, 4, 1, 0, 3},
                  {AM_END, 0, 0, 1, 0, 0},
                  {AM_GET_READ, 0, 5, 1, 64, 4},
                  {AM_WRITE, 0, 3, 17, 0, 5},
                  {AM_READ, 0, 5, 64, 0, 6},
                  {AM_PUT_RANDOM, 0, 5, 0, 0, 7},
                  {AM_IDLE, 0, 50, 0, 0, 8},
                  kHalt};
    actor.indices = {12, 0, 5, 9, 3};
    actor.ring_capacity = {16};
    actor.passes = passes;
    actor.objects = 3 * 8 + 5;
    return actor;
}

/// `senders` get, write and send; `receivers` take, read and put.
Plan coupled(uint32_t senders, uint32_t receivers, bool verify) {
    const Actor sender = {{kHalt},
                          {{AM_LOOP, 0, 0, 6, 0, 0},
                           {AM_GET_WRITE, 0, 4, 1, 32, 1},
                           {AM_SEND, 0, 4, 0, 0, 2},
                           {AM_END, 0, 0, 1, 0, 0},
                           kHalt},
                          {8},
                          {},
                          receivers,
                          24,
                          1};
    const Actor receiver = {{kHalt},
                            {{AM_RECEIVE, 0, 12, 0, 0, 3},
                             {AM_READ, 0, 12, 64, 0, 4},
                             {AM_RECEIVE, 0, 12, 0, 0, 5},
                             {AM_PUT_OLDEST, 0, 8, 3, 0, 6},
                             kHalt},
                            {24},
                            {},
                            senders,
                            0,
                            1};
    Plan plan;
    plan.pools = {pool("p", 400)};
    plan.queues = {{32, senders, receivers}};
    plan.actors.assign(senders, sender);
    plan.actors.insert(plan.actors.end(), receivers, receiver);
    plan.verify = verify;
    return plan;
}

/// Runs a phase that must go well.
std::vector<am_actor_sample> run(am_engine *engine, am_phase phase, size_t actors, uint64_t units = 0) {
    std::vector<am_actor_sample> samples(actors);
    am_trouble trouble{};
    const int code = am_engine_run(engine, phase, units, samples.data(), &trouble);
    if (code)
        std::fprintf(stderr, "trouble %u, step %u, actor %d\n", trouble.kind, trouble.step, trouble.actor);
    CHECK(code == 0 && trouble.kind == AM_NONE);
    return samples;
}

void drain_and_free(am_engine *engine, size_t actors, size_t pools, bool counts = true) {
    run(engine, AM_DRAIN, actors);
    if (counts) {
        const std::vector<uint8_t> unbounded(pools, 0);
        std::vector<uint64_t> stranded(pools, 99);
        am_trouble trouble{};
        CHECK(am_engine_check_complete(engine, unbounded.data(), stranded.data(), &trouble) == 0);
        CHECK(stranded == std::vector<uint64_t>(pools, 0));
    }
    am_engine_free(engine);
}

bool everything_given_back() {
    return book.pools == 0 && book.entered == 0 && book.inits == book.finis;
}

void floor_counts() {
    for (const bool verify : {false, true}) {
        Plan plan;
        plan.table = am_null_table();
        plan.pools = {pool("p", 64)};
        plan.verify = verify;
        plan.actors = {{{kHalt},
                        {{AM_GET_WRITE, 0, 8, 4, 16, 0}, {AM_PUT_OLDEST, 0, 8, 4, 0, 1}, kHalt},
                        {32},
                        {},
                        10,
                        32,
                        0}};
        am_engine *engine = plan.start();
        run(engine, AM_SETTLE, 1);
        const uint64_t begun = allocmark::now_ns();
        const am_actor_sample sample = run(engine, AM_SAMPLE, 1, 5)[0];
        CHECK(sample.objects == 5 * 10 * 32 && sample.failed_gets == 0);
        CHECK(sample.ns > 0 && sample.ns < allocmark::now_ns() - begun);
        CHECK(am_engine_reference_burst(engine, 8, 32, 16, 10) > 0);
        uint64_t addresses[64];
        CHECK(am_engine_objects(engine, 0, addresses, 64) >= 32 &&
              am_engine_objects(engine, 0, addresses, 5) == 5);
        drain_and_free(engine, 1, 1, false);
    }
}

void actors_work_side_by_side() {
    const auto before = threads();
    for (const bool verify : {false, true})
        for (const uint32_t senders : {1, 2})
            for (const uint32_t receivers : {1, 2}) {
                Plan plan = coupled(senders, receivers, verify);
                plan.pools.push_back(pool("other", 100)); // used by the last one only
                for (Actor &actor : plan.actors) actor.ring_capacity.push_back(0);
                plan.actors.push_back(loner(1));
                plan.actors.back().ring_capacity = {16, 16};
                const size_t actors = plan.actors.size();
                plan.actors.back().prologue.insert(
                    plan.actors.back().prologue.begin(),
                    {{AM_GET, 1, 16, 1, 0, 9}, {AM_PUT_OLDEST, 1, 1, 9, 0, 9}});
                am_engine *engine = plan.start();
                CHECK(threads() == before + std::ptrdiff_t(actors));
                run(engine, AM_SETTLE, actors);
                for (const uint64_t units : {1, 40, 7}) {
                    const auto samples = run(engine, AM_SAMPLE, actors, units);
                    for (size_t a = 0; a + 1 < actors; ++a) // coupled: never cut short
                        CHECK(samples[a].objects == (a < senders ? units * receivers * 24 : 0));
                    CHECK(samples.back().objects % (3 * 8 + 5) == 0 && samples.back().objects > 0);
                }
                drain_and_free(engine, actors, 2);
                CHECK(threads_become(before) && everything_given_back());
            }
}

void uncoupled_actors_stop_together() {
    Plan plan;
    plan.pools = {pool("p", 100)};
    plan.actors = {loner(1), loner(100'000'000)};
    am_engine *engine = plan.start();
    run(engine, AM_SETTLE, 2);
    const auto samples = run(engine, AM_SAMPLE, 2, 10);
    CHECK(samples[0].objects == 10 * 29); // the one that may finish does
    CHECK(samples[1].objects > 0 && samples[1].objects < 100'000'000 && samples[1].objects % 29 == 0);
    drain_and_free(engine, 2, 1);
    CHECK(everything_given_back());
}

void calls_are_timed() {
    Plan plan;
    plan.pools = {pool("p", 100)};
    plan.actors = {loner(1), loner(1)};
    am_engine *engine = plan.start();
    run(engine, AM_SETTLE, 2);
    std::vector<am_actor_sample> samples(2);
    std::vector<uint64_t> counts(size_t(AM_CALLS) * AM_BUCKETS);
    am_trouble trouble{};
    const auto counted = [&](am_call call) {
        const auto first = counts.begin() + call * std::ptrdiff_t(AM_BUCKETS);
        return std::accumulate(first, first + AM_BUCKETS, uint64_t(0));
    };
    for (int round = 0; round < 2; ++round) { // each begins anew
        const uint32_t all[] = {1, 1};
        CHECK(am_engine_time_calls(engine, 50, all, samples.data(), counts.data(), &trouble) == 0);
        const uint64_t passes = (samples[0].objects + samples[1].objects) / 29;
        CHECK(counted(AM_CALL_GET) == passes * 7 && counted(AM_CALL_PUT) == passes * 10);
    }
    const uint32_t some[] = {10, 1'000'000'000};
    CHECK(am_engine_time_calls(engine, 1000, some, samples.data(), counts.data(), &trouble) == 0);
    const uint64_t gets = (samples[0].objects + samples[1].objects) / 29 * 7;
    CHECK(counted(AM_CALL_GET) > gets / 20 && counted(AM_CALL_GET) < gets / 5);
    CHECK(counted(AM_CALL_PUT) == 0);
    CHECK(am_tick_ns() > 0 && am_clock_ticks() * am_tick_ns() < 10'000 && am_clock_step() > 0);
    drain_and_free(engine, 2, 1);
    CHECK(everything_given_back());
}

/// What changed hands, by object's place in the order of first appearance: addresses differ between runs.
std::vector<std::array<uint64_t, 3>> traced(const Plan &plan, uint64_t units, uint64_t skip) {
    const size_t actors = plan.actors.size();
    am_engine *engine = plan.start();
    run(engine, AM_SETTLE, actors);
    std::vector<am_event> events(5000);
    uint64_t recorded = 0;
    am_trouble trouble{};
    CHECK(am_engine_trace(engine, units, skip, events.data(), events.size(), &recorded, &trouble) == 0);
    std::map<uint64_t, uint64_t> places;
    std::vector<std::array<uint64_t, 3>> found;
    for (uint64_t i = 0; i < recorded; ++i)
        found.push_back(
            {places.emplace(events[i].object, places.size()).first->second, events[i].actor, events[i].put});
    drain_and_free(engine, actors, 1);
    return found;
}

void traces_are_the_same_every_time() {
    for (const Plan &plan : {coupled(1, 1, false), coupled(2, 1, false), coupled(2, 2, false), [] {
                                 Plan alone;
                                 alone.pools = {pool("p", 100)};
                                 alone.actors = {loner(1), loner(2)};
                                 return alone;
                             }()}) {
        const auto first = traced(plan, 20, 0);
        uint64_t wanted = 0;
        for (const Actor &actor : plan.actors) wanted += 20 * actor.passes * actor.objects;
        const auto is_get = [](const auto &event) { return event[2] == 0; };
        CHECK(uint64_t(std::count_if(first.begin(), first.end(), is_get)) == wanted); // nobody stops early
        for (int again = 0; again < 3; ++again) CHECK(traced(plan, 20, 0) == first);
        const auto later = traced(plan, 20, wanted / 2);
        CHECK(later.size() < first.size() && later.size() > first.size() / 3);
        CHECK(traced(plan, 200, 0).size() == 5000); // as many as there is room for
    }
}

/// What am_engine_count says of a plan whose pool `p` is the only one.
struct Counted {
    am_need need{};
    std::vector<am_tally> tallies; // of each actor: gets, puts
    am_count found{};
};

Counted counted(const Plan &plan, uint64_t units, uint64_t skip) {
    const size_t actors = plan.actors.size();
    Counted counted;
    counted.tallies.resize(actors * AM_CALLS);
    std::vector<am_event> events(5000);
    counted.found = {events.data(), events.size(), 0, counted.tallies.data(), &counted.need, 0, 0, 0};
    am_engine *engine = plan.start();
    am_trouble trouble{};
    CHECK(am_engine_count(engine, units, skip, &counted.found, &trouble) == 0);
    drain_and_free(engine, actors, 1); // nothing is lost, also where it ended early
    return counted;
}

void runs_are_counted() {
    static std::atomic<uint64_t> asked; // as if each question were a trip
    allocmark_backend telling = mutex_pool::table;
    telling.trips = [](void *) -> uint64_t { return asked++; };
    telling.cached = [](void *, void *) -> uint64_t { return 0; };
    Plan plan = coupled(1, 1, false);
    plan.table = &telling;
    for (int again = 0; again < 3; ++again) {
        const Counted all = counted(plan, 20, 0);
        CHECK(all.found.knows_trips && all.found.knows_cached && all.found.failed == -1);
        const am_tally &gets = all.tallies[AM_CALL_GET], &puts = all.tallies[AM_CALLS + AM_CALL_PUT];
        CHECK(gets.calls == 120 && gets.objects == 480 && gets.trips == 120 && gets.moved == 480);
        CHECK(puts.calls == 60 && puts.objects == 480 && puts.trips == 60 && puts.moved == 480);
        CHECK(all.tallies[AM_CALL_PUT].calls == 0 && all.found.recorded == 960);
        // The queue has room for 32, the receiver holds up to 24, the sender 4.
        CHECK(all.need.most_out >= 24 && all.need.most_out <= 60);
        CHECK(all.need.most_needed == all.need.most_out);
        CHECK(counted(plan, 20, 240).tallies[AM_CALL_GET].objects == 240);

        plan.pools[0].objects = all.need.most_out;
        CHECK(counted(plan, 20, 0).found.failed == -1);
        plan.pools[0].objects = all.need.most_out - 1; // ends with objects held and in the queue
        CHECK(counted(plan, 20, 0).found.failed == 0);
        plan.pools[0].objects = 400;
    }
    plan.table = &mutex_pool::table;
    const Counted silent = counted(plan, 20, 0);
    CHECK(!silent.found.knows_trips && !silent.found.knows_cached);
    CHECK(silent.tallies[AM_CALL_GET].objects == 480 && silent.tallies[AM_CALL_GET].trips == 0);
    telling.trips = [](void *) -> uint64_t { return UINT64_MAX; }; // cannot say
    plan.table = &telling;
    const Counted unsure = counted(plan, 20, 0);
    CHECK(!unsure.found.knows_trips && unsure.tallies[AM_CALL_GET].trips == 0);
    CHECK(everything_given_back());
}

std::atomic<uint64_t> came_at_once;

/// The pool is as it was made.
void put_all(void *handle, void *) {
    auto &pool = *static_cast<mutex_pool::Pool *>(handle);
    const std::lock_guard lock(pool.mutex);
    pool.free.clear();
    for (uint64_t at = 0; at < pool.bytes; at += 64) pool.free.push_back(&pool.memory[at]);
    ++came_at_once;
}

/// By one call of a backend that has it, and by one put of another; both are one put to whoever watches.
void everything_comes_back_at_once() {
    allocmark_backend region = mutex_pool::table;
    region.put_all = put_all;
    for (const void *table :
         {static_cast<const void *>(&mutex_pool::table), static_cast<const void *>(&region)}) {
        Plan plan;
        plan.table = table;
        plan.pools = {pool("p", 100)};
        plan.actors = {
            {{{AM_GET, 0, 4, 1, 0, 0}, kHalt},
             {{AM_GET_WRITE, 0, 4, 3, 24, 1}, {AM_PUT_ALL, 0, 16, 0, 0, 2}, {AM_GET, 0, 4, 1, 0, 3}, kHalt},
             {16},
             {},
             1,
             16,
             0}};
        for (const bool verify : {false, true}) {
            plan.verify = verify;
            came_at_once = 0;
            am_engine *engine = plan.start();
            run(engine, AM_SETTLE, 1);
            CHECK(run(engine, AM_SAMPLE, 1, 30)[0].objects == 30 * 16);
            CHECK(came_at_once == (table == &region ? 30 : 0));
            drain_and_free(engine, 1, 1);
        }
        plan.verify = false;
        const auto found = traced(plan, 20, 0);
        CHECK(found.size() == 2 * 20 * 16);
        CHECK(std::count_if(found.begin(), found.end(), [](const auto &event) { return event[2]; }) ==
              20 * 16);
        const am_tally puts = counted(plan, 20, 0).tallies[AM_CALL_PUT];
        CHECK(puts.calls == 20 && puts.objects == 20 * 16);

        am_engine *engine = plan.start();
        run(engine, AM_SETTLE, 1);
        am_actor_sample sample;
        std::vector<uint64_t> counts(size_t(AM_CALLS) * AM_BUCKETS);
        am_trouble trouble{};
        const uint32_t all[] = {1, 1};
        CHECK(am_engine_time_calls(engine, 50, all, &sample, counts.data(), &trouble) == 0);
        CHECK(std::accumulate(counts.begin() + AM_CALL_PUT * std::ptrdiff_t(AM_BUCKETS), counts.end(),
                              uint64_t(0)) == 50);
        drain_and_free(engine, 1, 1);
    }
    CHECK(everything_given_back());
}

void a_backend_outlives_its_engines() {
    Plan plan = coupled(1, 1, false);
    plan.lasting = 1;
    const int inits = book.inits, finis = book.finis;
    for (const uint64_t objects : {400, 100}) {
        plan.pools[0].objects = objects;
        drain_and_free(plan.start(), 2, 1);
        CHECK(book.pools == 0 && book.inits == inits + 1 && book.finis == finis);
        book.fail_pool = book.created.load(); // a pool that is refused leaves the backend as it is
        CHECK(!plan.refusal().empty() && book.finis == finis);
        book.fail_pool = -1;
    }
    am_backend_end();
    CHECK(everything_given_back());
    am_backend_end(); // there is none
    CHECK(everything_given_back());
}

void gets_are_recorded_and_replayed() {
    Plan plan = coupled(2, 1, false);
    for (Actor &actor : plan.actors) // touches nothing: in a replay, an object may be in two hands at once
        for (am_insn &insn : actor.body) {
            if (insn.op == AM_GET_WRITE) insn.op = AM_GET;
            if (insn.op == AM_READ) insn = {AM_IDLE, 0, 0, 0, 0, 4};
        }
    am_engine *engine = plan.start();
    run(engine, AM_SETTLE, 3);
    std::vector<am_event> events(3 * 100);
    uint64_t recorded = 0;
    am_trouble trouble{};
    const auto record = [&](am_engine *from, uint64_t units, uint64_t capacity) {
        CHECK(am_engine_record(from, units, events.data(), capacity, &recorded, &trouble) == 0);
        return std::vector<am_event>(events.begin(), events.begin() + std::ptrdiff_t(recorded));
    };
    CHECK(record(engine, 10, 100).size() == 200); // as many as there is room for; the receiver gets none
    const auto all = record(engine, 2, 100);
    CHECK(all.size() == 96);
    for (size_t i = 0; i < all.size(); ++i) CHECK(all[i].actor == i / 48 && all[i].pool == 0 && !all[i].put);

    const uint64_t size = 64;
    const am_pages base = AM_BASE;
    allocmark_error error{};
    am_replay *replay =
        am_replay_new(all.data(), all.size(), &plan.pools[0].name, &size, &base, 1, 3, &error);
    Plan again = plan;
    again.table = am_replay_table(replay);
    am_engine *second = again.start();
    run(second, AM_SETTLE, 3);
    const auto replayed = record(second, 2, 100);
    CHECK(replayed.size() == all.size());
    for (size_t i = 0; i < all.size(); ++i) {
        CHECK(replayed[i].actor == all[i].actor);
        CHECK(replayed[i].object - replayed[0].object == all[i].object - all[0].object);
    }
    run(second, AM_SAMPLE, 3, 7);
    am_engine_free(second); // nothing has to be drained
    am_replay_free(replay);
    run(engine, AM_SAMPLE, 3, 7);
    drain_and_free(engine, 3, 1); // the pool has all its objects
    CHECK(everything_given_back());
}

void a_long_sample_is_ended() {
    Plan plan;
    plan.pools = {pool("p", 100)};
    plan.actors = {loner(1), loner(1)};
    plan.limit_ns = 20'000'000;
    am_engine *engine = plan.start();
    run(engine, AM_SETTLE, 2);
    const uint64_t begun = allocmark::now_ns();
    const auto samples = run(engine, AM_SAMPLE, 2, uint64_t(1) << 40);
    CHECK(allocmark::now_ns() - begun < 10'000'000'000);
    CHECK(samples[0].ns + samples[0].idle_ns >= 10'000'000 && samples[0].objects > 0 &&
          samples[0].objects % 29 == 0);
    CHECK(run(engine, AM_SAMPLE, 2, 1)[0].objects == 29); // the next one is not
    drain_and_free(engine, 2, 1);
}

void backend_is_asked() {
    Plan plan;
    plan.pools = {pool("p", 32, 128)};
    plan.actors = {loner(1)};
    am_engine *engine = plan.start();
    char text[64];
    const auto facts = [&](int32_t which, size_t capacity) {
        return std::string(text, am_engine_facts(engine, which, text, capacity));
    };
    CHECK(facts(0, sizeof text) == "about=a pool\n" && facts(-1, sizeof text) == "about=the process\n");
    CHECK(facts(0, 5) == "about");
    allocmark_region region{};
    CHECK(am_engine_regions(engine, 0, &region, 1) == 1 && region.length == 32 * 128);
    drain_and_free(engine, 1, 1);
}

/// Threads and pools stay as they are until the process ends; here someone must know of them until then.
std::vector<am_engine *> abandoned;

am_trouble goes_wrong(const Plan &plan) {
    const int finis = book.finis;
    am_engine *engine = plan.start();
    std::vector<am_actor_sample> samples(plan.actors.size());
    am_trouble trouble{};
    if (am_engine_run(engine, AM_SETTLE, 0, samples.data(), &trouble) == 0)
        CHECK(am_engine_run(engine, AM_SAMPLE, 100, samples.data(), &trouble) == -1);
    am_engine_abandon(engine);
    am_engine_abandon(engine); // what was given back is not given back again
    CHECK(book.finis == finis + 1);
    abandoned.push_back(engine);
    return trouble;
}

void pools_are_created_in_any_order() {
    Plan plan = coupled(2, 1, true);
    plan.pools = {pool("a", 400, 64), pool("b", 100, 24), pool("c", 10, 8)};
    plan.actors.push_back(loner(1));
    for (Actor &actor : plan.actors) actor.ring_capacity.resize(3);
    plan.actors.back().ring_capacity = {16, 16, 0};
    std::map<std::vector<std::string>, uint64_t> orders; // and a seed that draws it
    for (uint64_t seed = 0; orders.size() < 6; ++seed) {
        CHECK(seed < 200);
        plan.layout_seed = seed;
        book.names.clear();
        book.destroyed.clear();
        am_engine *engine = plan.start();
        run(engine, AM_SETTLE, 4);
        run(engine, AM_SAMPLE, 4, 10);
        for (uint32_t p = 0; p < 3; ++p) {
            allocmark_region region{};
            CHECK(am_engine_regions(engine, p, &region, 1) == 1);
            CHECK(region.length == plan.pools[p].object_size * plan.pools[p].objects);
        }
        drain_and_free(engine, 4, 3);
        CHECK(everything_given_back());
        if (orders.emplace(book.names, seed).second && seed == 0)
            CHECK((book.names == std::vector<std::string>{"a", "b", "c"}));
        std::reverse(book.destroyed.begin(), book.destroyed.end());
        CHECK(book.destroyed == book.names);
    }
    for (const auto &[order, seed] : orders) {
        plan.layout_seed = seed;
        book.names.clear();
        drain_and_free(plan.start(), 4, 3);
        CHECK(book.names == order);
    }
}

void an_engine_moves() {
    am_trouble trouble{};
    allocmark_error error{};
    for (const bool verify : {false, true}) {
        Plan plan = coupled(2, 1, verify);
        plan.actors.push_back(loner(3));
        plan.layout_seed = 5;
        am_engine *engine = plan.start();
        run(engine, AM_SETTLE, 4);
        const auto running = threads();
        const int entered = book.entered;
        for (const uint64_t seed : {6, 7, 0}) {
            run(engine, AM_SAMPLE, 4, 10);
            CHECK(am_engine_move(engine, seed, &trouble, &error) == 0 && !error.message[0]);
            CHECK(threads_become(running) && book.entered == entered && book.pools == 1);
            run(engine, AM_SETTLE, 4);
        }
        CHECK(run(engine, AM_SAMPLE, 4, 10)[0].objects == 10 * 24);
        drain_and_free(engine, 4, 1);
        CHECK(everything_given_back());
    }
    for (const int started : {0, 1}) {
        const Plan plan = coupled(1, 1, false);
        am_engine *engine = plan.start();
        run(engine, AM_SETTLE, 2);
        threads_to_come = started;
        CHECK(am_engine_move(engine, 6, &trouble, &error) == -EAGAIN);
        threads_to_come = -1;
        CHECK(std::string(error.message).starts_with("the engine could not be set up: "));
        am_engine_free(engine);
        CHECK(everything_given_back());
    }
}

void trouble_ends_the_run() {
    for (const bool verify : {false, true}) {
        Plan plan = coupled(2, 1, verify);
        plan.stall_ns = 20'000'000;
        plan.pools[0].objects = 3;
        const am_trouble trouble =
            goes_wrong(plan); // the receiver waits for what will never come, and leaves
        CHECK(trouble.kind == AM_EXHAUSTED || trouble.kind == AM_BLOCKED);
        CHECK(trouble.kind == AM_BLOCKED ? trouble.actor == 2 && trouble.figure == 12
                                         : trouble.actor < 2 && trouble.figure == 4 && trouble.step == 1);
    }
    Plan alone;
    alone.pools = {pool("p", 10)};
    alone.actors = {loner(1)};
    alone.stall_ns = 1'000'000;
    const am_trouble exhausted = goes_wrong(alone);
    CHECK(exhausted.kind == AM_EXHAUSTED && exhausted.actor == 0 && exhausted.step == 1 &&
          exhausted.pool == 0);
    CHECK(exhausted.figure == 4 && exhausted.other_actor == -1);

    Plan one_sided = coupled(1, 1, false);
    one_sided.actors[1].body = {kHalt};
    one_sided.stall_ns = 1'000'000;
    const am_trouble blocked = goes_wrong(one_sided);
    CHECK(blocked.kind == AM_BLOCKED && blocked.actor == 0 && blocked.step == 2 && blocked.figure == 4);

    book.double_next = true;
    const am_trouble twice = goes_wrong(coupled(1, 1, true));
    CHECK(twice.kind == AM_TWICE && twice.object == twice.other_object && twice.other_actor >= 0);
}

void completeness_is_checked() {
    const auto ends = [](bool lose, bool closed) {
        Plan plan = coupled(1, 1, false);
        plan.actors[0].ring_capacity.push_back(0);
        plan.actors[1].ring_capacity.push_back(8);
        plan.pools.push_back(pool("of the second actor", 10));
        am_engine *engine = plan.start();
        run(engine, AM_SETTLE, 2);
        book.lose_next = lose;
        run(engine, AM_SAMPLE, 2, 3);
        run(engine, AM_DRAIN, 2);
        book.fail_enter_silently = closed;
        const uint8_t unbounded[2] = {0, 0};
        uint64_t stranded[2];
        am_trouble trouble{};
        const int code = am_engine_check_complete(engine, unbounded, stranded, &trouble);
        CHECK((code != 0) == (trouble.kind != AM_NONE));
        book.fail_enter_silently = false;
        am_engine_free(engine);
        CHECK(everything_given_back());
        return trouble;
    };
    CHECK(ends(false, false).kind == AM_NONE);
    const am_trouble lost = ends(true, false);
    CHECK(lost.kind == AM_LOST && lost.pool == 0 && lost.figure == 1);
    const am_trouble closed = ends(false, true);
    CHECK(closed.kind == AM_CLOSED && closed.pool == 1);
}

void failures_leave_nothing_behind() {
    Plan plan = coupled(2, 2, true);
    plan.pools.push_back(pool("q", 10));
    for (Actor &actor : plan.actors) actor.ring_capacity.push_back(4);

    book.fail_init = true;
    CHECK(plan.refusal() == "the licence has run out" && everything_given_back());
    book.fail_init = false;

    for (int which = 0; which < 2; ++which) {
        book.created = 0;
        book.fail_pool = which;
        CHECK(plan.refusal() == "pool_create failed: Cannot allocate memory" && everything_given_back());
    }
    book.fail_pool = -1;

    for (int slot = 0; slot < 4; ++slot) {
        book.fail_slot = slot;
        CHECK(plan.refusal() == "thread_enter of pool p failed: error -11" && everything_given_back());
    }
    book.fail_slot = -1;

    for (int started = 0; started < 4; ++started) {
        threads_to_come = started;
        CHECK(plan.refusal().starts_with("the engine could not be set up: ") && everything_given_back());
    }
    threads_to_come = -1;

    for (int made = 0; made < 8; ++made) { // four actors, two pools
        rings_to_come = made;
        CHECK(plan.refusal().starts_with("the engine could not be set up: ") && everything_given_back());
    }
    rings_to_come = -1;
    const int inits = book.inits;

    am_engine *engine = plan.start(); // and then it can be done
    drain_and_free(engine, 4, 2);
    CHECK(book.inits == inits + 1 && everything_given_back());
}

void tables_of_other_sizes() {
    struct {
        allocmark_backend known = mutex_pool::table;
        void *unknown[4] = {&book, &book, &book, &book};
    } later;
    later.known.size = sizeof later;
    allocmark_backend least = mutex_pool::table;
    least.size = offsetof(allocmark_backend, fini);
    for (const void *table : {static_cast<const void *>(&later), static_cast<const void *>(&least)}) {
        CHECK(am_table_problem(table) == nullptr);
        const int finis = book.finis;
        Plan plan = coupled(1, 1, true);
        plan.table = table;
        am_engine *engine = plan.start();
        run(engine, AM_SETTLE, 2);
        run(engine, AM_SAMPLE, 2, 3);
        drain_and_free(engine, 2, 1);
        CHECK(book.finis == finis + (table == &later)); // the least has none that we may read
        book.finis = int(book.inits);
    }
    allocmark_backend bad = mutex_pool::table;
    bad.size = offsetof(allocmark_backend, put_bulk);
    CHECK(std::strstr(am_table_problem(&bad), "too small"));
    bad = mutex_pool::table;
    bad.abi = ALLOCMARK_ABI_VERSION + 1;
    CHECK(std::strstr(am_table_problem(&bad), "rebuild the plugin"));
    bad = mutex_pool::table;
    bad.thread_leave = nullptr;
    CHECK(std::strstr(am_table_problem(&bad), "lacks the required operation thread_leave"));
}

} // namespace

int main() {
    floor_counts();
    actors_work_side_by_side();
    uncoupled_actors_stop_together();
    calls_are_timed();
    traces_are_the_same_every_time();
    runs_are_counted();
    everything_comes_back_at_once();
    a_backend_outlives_its_engines();
    gets_are_recorded_and_replayed();
    a_long_sample_is_ended();
    backend_is_asked();
    pools_are_created_in_any_order();
    completeness_is_checked();
    failures_leave_nothing_behind();
    tables_of_other_sizes();
    an_engine_moves();
    trouble_ends_the_run(); // last: engines that are abandoned keep their threads
}

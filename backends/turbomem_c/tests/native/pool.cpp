// SPDX-License-Identifier: BSD-3-Clause
/// The pool and its policies.
#include "turbomem/pool.hpp"

#include "check.hpp"
#include "refusals.hpp"
#include "turbomem/per_thread.hpp"

#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <barrier>
#include <cerrno>
#include <cstdarg>
#include <cstdint>
#include <memory>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

using namespace turbomem;

/// Sees how memory is named, on kernels without names, too.
namespace {
std::vector<std::string> names_of_memory;
}
extern "C" int prctl(int option, ...) {
    std::va_list rest;
    va_start(rest, option);
    std::array<unsigned long, 4> a{};
    for (unsigned long &each : a) each = va_arg(rest, unsigned long);
    va_end(rest);
    if (option == 0x53564d41) names_of_memory.emplace_back(reinterpret_cast<const char *>(a[3]));
    return static_cast<int>(::syscall(SYS_prctl, option, a[0], a[1], a[2], a[3]));
}

// A pool can be compiled once, with all of its functions, for others that declare it extern. Not by clang,
// which (14) compiles even those whose constraints do not hold.
#if !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) // once is enough
template class turbomem::pool<std::string>;
template class turbomem::pool<void, threads::single, numa::by_node>;
template class turbomem::pool<int, threads::per_thread, checking::checked<>>;
#endif

namespace {

const pool_options small{
    .objects = 600, .magazine = 16, .max_threads = 4, .pages = {.kind = page_kind::base}};

/// Counts the living; throws when told to.
struct thing {
    static inline std::atomic<int> alive{0};
    int value;
    explicit thing(int v) : value(v) {
        if (v < 0) throw std::invalid_argument("negative");
        ++alive;
    }
    ~thing() { --alive; }
};

struct plain {
    int a, b;
};
struct alignas(256) wide {
    char bytes[300];
};

void defaults_are_what_the_documentation_says() {
    using p = pool<thing>;
    static_assert(std::is_same_v<p::threading_policy, threads::slots>);
    static_assert(std::is_same_v<p::numa_policy, numa::any_node>);
    static_assert(std::is_same_v<p::checking_policy, checking::none>);
    static_assert(!p::checked);
    // Nothing but what they need: a handle is a pool and a cache, an owner an object and a pool.
    static_assert(sizeof(p::local) == 2 * sizeof(void *) && sizeof(p::owner) == 2 * sizeof(void *));
}

void policies_are_taken_in_any_order() {
    using a = pool<plain, threads::single, numa::by_node, checking::checked<checking::leaks>>;
    using b = pool<plain, checking::checked<checking::leaks>, numa::by_node, threads::single>;
    static_assert(std::is_same_v<a::threading_policy, b::threading_policy>);
    static_assert(std::is_same_v<a::numa_policy, b::numa_policy>);
    static_assert(std::is_same_v<a::checking_policy, b::checking_policy>);
    a p({.objects = 10, .pages = {.kind = page_kind::base, .require = true}});
    CHECK(p.memory().kind() == page_kind::base && p.options().pages.require);
}

/// Everything that `operations` offers, through a pool or a handle.
template <class Door> void every_operation_works(Door &door) {
    using T = std::remove_pointer_t<decltype(door.allocate())>;
    T *one = door.try_allocate();
    CHECK(one != nullptr);
    door.deallocate(one);
    one = door.allocate();
    door.deallocate(one);

    std::vector<T *> some(100);
    CHECK(door.try_allocate(some));
    CHECK((std::set<T *>(some.begin(), some.end()).size() == some.size()));
    door.deallocate(some);

    std::array<T *, 32> fixed{};
    CHECK(door.try_allocate(fixed));
    door.deallocate(fixed);
    T *c_array[8];
    CHECK(door.try_allocate(c_array));
    door.deallocate(c_array);
    CHECK((door.try_allocate(std::span<T *, 32>(fixed))));
    door.deallocate(std::span<T *const, 32>(fixed));
    CHECK(door.try_allocate(std::span<T *>()));

    // All or nothing, and best effort, at the end of the pool.
    std::vector<T *> all(601);
    CHECK(!door.try_allocate(all));
    CHECK(door.allocate_up_to(all) == 600);
    CHECK(door.try_allocate() == nullptr && door.allocate_up_to(std::span(all).last(1)) == 0);
    bool thrown = false;
    try {
        (void)door.allocate();
    } catch (const std::bad_alloc &e) {
        thrown = std::string(e.what()) == "the pool has no object left";
    }
    CHECK(thrown);
    door.deallocate(std::span(all).first(600));
}

void operations_are_the_same_everywhere() {
    pool<plain> p(small);
    every_operation_works(p); // as a thread that has not entered
    {
        auto mine = p.enter();
        every_operation_works(mine);
        decltype(p)::session burst(mine);
        every_operation_works(burst);
    }
    CHECK(p.available() == 600);
    pool<plain, threads::per_thread> implicit(small);
    every_operation_works(implicit);
    pool<plain, threads::single> alone(small);
    every_operation_works(alone);
    pool_options options = small;
    options.caching = false;
    pool<plain> uncached(options);
    auto mine = uncached.enter();
    every_operation_works(mine);
    CHECK(uncached.statistics().cached == 0 && uncached.statistics().cache_limit == 0);
    pool_options o = small;
    o.object_size = 100;
    pool<void> untyped(o);
    every_operation_works(untyped);
}

void objects_live_and_die() {
    pool<thing> things({.objects = 3, .max_threads = 2, .pages = {.kind = page_kind::base}});
    {
        auto mine = things.enter();
        thing *a = mine.create(1);
        CHECK(a->value == 1 && thing::alive == 1);
        mine.destroy(a);
        CHECK(thing::alive == 0);
        bool thrown = false;
        try {
            (void)mine.create(-1);
        } catch (const std::invalid_argument &) {
            thrown = true;
        }
        CHECK(thrown && things.available() == 3);
        thing *three[] = {mine.create(1), mine.create(2), mine.create(3)};
        CHECK(mine.try_create(4) == nullptr);
        for (thing *t : three) mine.destroy(t);
    }
    {
        auto a = things.make(5), b = std::move(a);
        CHECK(!a && b->value == 5);
        auto c = things.adopt(b.release());
        std::thread([&] { c.reset(); }).join(); // ends elsewhere
        CHECK(thing::alive == 0);
        auto d = things.try_make(6), e = things.make(7), f = things.make(8), g = things.try_make(9);
        CHECK(d && e && f && !g);
    }
    CHECK(thing::alive == 0 && things.available() == 3);

    pool<plain> aggregates({.objects = 10});
    plain *p = aggregates.create(1, 2), *q = aggregates.create(7);
    CHECK(p->a == 1 && p->b == 2 && q->a == 7 && q->b == 0);
    aggregates.destroy(p);
    aggregates.destroy(q);

    pool<wide> aligned({.objects = 10, .pages = {.kind = page_kind::base}});
    wide *w = aligned.allocate();
    CHECK(reinterpret_cast<std::uintptr_t>(w) % 256 == 0 && aligned.layout().stride == 512);
    aligned.deallocate(w);
}

pool<thing, threads::per_thread>
    global_things({.objects = 100, .magazine = 4, .pages = {.kind = page_kind::base}});

void an_owner_of_a_global_pool_is_one_pointer() {
    using owner = std::unique_ptr<thing, static_deleter<global_things>>;
    static_assert(sizeof(owner) == sizeof(void *));
    {
        const owner p(global_things.create(3));
        CHECK(p->value == 3 && thing::alive == 1);
    }
    CHECK(thing::alive == 0 && global_things.available() == 100);
}

void handles_move_and_leave() {
    pool<plain> p(small);
    auto a = p.enter(1);
    CHECK(refusal([&] { (void)p.enter(1); }).first == EBUSY);
    CHECK(refusal([&] { (void)p.enter(4); }).first == EINVAL);
    auto b = std::move(a);
    plain *object = b.allocate();
    b.deallocate(object);
    a = p.enter(2);
    b = std::move(a); // leaves slot 1
    auto again = p.enter(1);
    auto three = p.enter(), four = p.enter();
    auto guest = p.enter(); // all four slots are in use
    object = guest.allocate();
    guest.deallocate(object);
    CHECK(p.statistics().cached == 0);
    {
        auto moved = std::move(guest);
        object = moved.allocate();
    }
    guest = p.enter();
    guest.deallocate(object);

    auto &bare = three.release();
    auto resumed = p.resume(bare);
    object = resumed.allocate();
    resumed.deallocate(object);
}

/// Four times as many threads as CPUs, in the pool at the same time, take all there is and give it back.
template <class... Policies> void any_number_of_threads_enters(const pool_options &options) {
    pool<plain, Policies...> p(options);
    const std::uint32_t threads_n = 4 * detail::cpus();
    std::barrier together(threads_n);
    std::atomic<std::uint64_t> taken{0};
    std::vector<std::thread> threads;
    for (std::uint32_t t = 0; t < threads_n; ++t)
        threads.emplace_back([&] {
            auto mine = p.enter();
            together.arrive_and_wait();
            for (int round = 0; round < 20; ++round) {
                std::vector<plain *> held;
                std::array<plain *, 7> some{};
                while (mine.try_allocate(some)) {
                    for (plain *o : some) *o = {round, round};
                    held.insert(held.end(), some.begin(), some.end());
                }
                while (plain *const one = mine.try_allocate()) held.push_back(one);
                taken += held.size();
                together.arrive_and_wait(); // nobody gives back before all have what they can get
                CHECK(taken == options.objects * (round + std::uint64_t{1}));
                together.arrive_and_wait();
                mine.deallocate(held);
                together.arrive_and_wait();
            }
        });
    for (std::thread &t : threads) t.join();
    CHECK(p.available() == options.objects && p.statistics().cached == 0);
    auto mine = p.enter();
    std::vector<plain *> all(options.objects);
    CHECK(mine.try_allocate(all));
    CHECK((std::set<plain *>(all.begin(), all.end()).size() == all.size()));
    mine.deallocate(all);
}

void threads_find_their_caches() {
    auto p = std::make_unique<pool<plain, threads::per_thread>>(small);
    // More pools than a thread remembers at a glance, more threads than slots.
    std::vector<std::unique_ptr<pool<plain, threads::per_thread>>> others;
    for (int i = 0; i < 20; ++i) others.push_back(std::make_unique<pool<plain, threads::per_thread>>(small));
    std::vector<std::thread> threads;
    for (int t = 0; t < 7; ++t) {
        threads.emplace_back([&] {
            for (int i = 0; i < 300; ++i) {
                for (auto &q : others) {
                    std::array<plain *, 8> objects{};
                    CHECK(p->try_allocate(objects));
                    for (plain *o : objects) *o = {i, i};
                    plain *const one = q->create(i, i);
                    q->destroy(one);
                    p->deallocate(objects);
                }
            }
        });
    }
    for (std::thread &t : threads) t.join();
    // All have left: nothing is cached but by this thread, which has not called.
    CHECK(p->available() == 600 && p->statistics().cached == 0);
    for (auto &q : others) CHECK(q->available() == 600 && q->statistics().cached == 0);

    plain *const mine = p->allocate();
    p->deallocate(mine);
    CHECK(p->statistics().cached != 0);
    p->detach();
    CHECK(p->statistics().cached == 0 && p->available() == 600);
    plain *const again = p->allocate();
    p->deallocate(again);
    CHECK(p->statistics().cached != 0);
}

void threads_and_pools_end_in_any_order() {
    std::atomic<int> step{0};
    std::thread late;
    {
        pool<plain, threads::per_thread> p(small);
        late = std::thread([&] {
            plain *const object = p.allocate();
            p.deallocate(object);
            step = 1;
            while (step != 2) std::this_thread::yield();
            // Ends after the pool; and sees that its entry is of no use when it calls another.
            pool<plain, threads::per_thread> q(small);
            plain *const other = q.allocate();
            q.deallocate(other);
        });
        while (step != 1) std::this_thread::yield();
    }
    step = 2;
    late.join();
}

/// A thread-local object that is destroyed after the thread's caches are gone.
void a_thread_that_ends_is_still_served() {
    static pool<plain, threads::per_thread> *p = nullptr;
    pool<plain, threads::per_thread> here(small);
    p = &here;
    struct late {
        plain *held = nullptr;
        ~late() {
            p->deallocate(held);
            plain *const object = p->allocate();
            p->deallocate(object);
        }
    };
    std::thread([&] {
        thread_local late l; // made before the caches, so destroyed after them
        l.held = p->allocate();
    }).join();
    CHECK(here.available() == 600 && here.statistics().cached == 0);
}

void statistics_add_up() {
    pool<plain> p(small);
    auto mine = p.enter(0);
    std::array<plain *, 40> held{};
    CHECK(mine.try_allocate(held));
    pool_statistics s = p.statistics();
    CHECK(s.objects == 600 && s.available == 560 && s.object_stride == 64 && s.magazine == 16);
    CHECK(s.cache_limit == 32 && s.exchanges >= 3 && s.nodes == 1 && s.fallback_gets + s.foreign_puts == 0);
    CHECK(s.region_bytes == p.memory().size() && s.region_bytes >= 600 * 64 && s.cached <= 32);
    mine.deallocate(held);
    s = p.statistics();
    CHECK(s.available == 600 && s.cached != 0);
    const page_report report = p.memory().report();
    CHECK(report.bytes == s.region_bytes && report.huge() == 0);
    CHECK(emulated || report.base == s.region_bytes);
    plain *const one = mine.allocate();
    int elsewhere = 0;
    CHECK(p.owns(one) && !p.owns(&elsewhere) && !p.owns(nullptr));
    mine.deallocate(one);
}

/// Of which this machine knows nothing: CPU 0 is the first's.
pool_options two_nodes(pool_options o) {
    o.nodes =
        std::make_shared<const topology>(topology::pretend({{.id = 0, .cpus = {0}}, {.id = 1, .cpus = {1}}}));
    return o;
}

/// What each kind of caller does is counted once.
template <class Pool> void calls_are_counted(Pool &p, auto &door, bool caches) {
    std::vector<plain *> held(600), too_many(601);
    for (int i = 0; i < 100; ++i) {
        CHECK(door.try_allocate(std::span(held).first(4)));
        door.deallocate(std::span(held).first(4));
    }
    pool_statistics s = p.statistics();
    CHECK(s.gets == 100 && s.got == 400 && s.puts == 100 && s.put == 400);
    CHECK(s.get_burst() == 4 && s.put_burst() == 4);
    CHECK(caches ? s.get_hits() == 99 && s.put_hits() == 100 && s.guest_calls == 0
                 : s.get_hits() == 0 && s.put_hits() == 0 && s.guest_calls == 200);
    CHECK(s.in_use == 0 && s.failed_gets == 0 && s.least_available >= 600 - 2 * 16);
    CHECK(!door.try_allocate(too_many) && door.allocate_up_to(held) == 600);
    CHECK(door.try_allocate() == nullptr);
    s = p.statistics();
    CHECK(s.gets == 101 && s.got == 1000 && s.failed_gets == 2 && s.in_use == 600 && s.least_available == 0);
    door.deallocate(held);
    s = p.statistics();
    CHECK(s.in_use == 0 && s.least_available == 0 && s.put_misses != 0);
}

void every_kind_of_caller_is_counted() {
    {
        pool<plain, metering::calls> p(small);
        auto mine = p.enter();
        calls_are_counted(p, mine, true);
    }
    {
        pool<plain, metering::calls> p(small);
        auto mine = p.enter();
        decltype(p)::session burst(mine);
        for (int i = 0; i < 100; ++i) burst.deallocate(burst.allocate());
        CHECK(p.statistics().gets == 100 && p.statistics().put == 100);
    }
    {
        pool<plain, metering::calls> p(small);
        calls_are_counted(p, p, false);
    }
    {
        pool<plain, metering::calls, threads::per_thread> p(small);
        calls_are_counted(p, p, true);
    }
    {
        pool<plain, metering::calls, threads::single, checking::checked<>> p(small);
        calls_are_counted(p, p, true);
    }
    pool_options o = two_nodes(small);
    o.node = 0;
    pool<plain, metering::calls, numa::by_node> p(o);
    auto mine = p.enter();
    calls_are_counted(p, mine, true);
    // Without the policy, what the slow paths saw.
    pool<plain> q(small);
    auto guest = q.enter_as_guest();
    guest.deallocate(guest.allocate());
    q.deallocate(q.allocate());
    const pool_statistics s = q.statistics();
    CHECK(s.guest_calls == 4 && s.gets == 0 && s.get_hits() == 0 && s.get_burst() == 0);
}

/// A low that nobody asked about.
void lows_are_seen() {
    pool<plain> p(small);
    auto mine = p.enter();
    std::vector<plain *> held(200);
    CHECK(mine.try_allocate(held)); // the first look of all
    mine.deallocate(held);
    CHECK(p.statistics().least_available == 400);
}

void objects_go_home(numa_mode mode) {
    pool_options o = two_nodes(small);
    o.numa = mode;
    pool<plain, numa::by_node> p(o);
    CHECK(p.memory().regions() == 2 && p.statistics().nodes == 2 && p.available() == 600);
    const pin here(0);
    auto mine = p.enter();
    std::vector<plain *> held(600);
    CHECK(mine.try_allocate(std::span(held).first(300)));
    for (std::size_t i = 0; i < 300; ++i) CHECK(p.memory().region_of(held[i]) == 0);
    const bool more = mine.try_allocate(std::span(held).last(300));
    CHECK(more == (mode == numa_mode::preferred));
    CHECK(p.statistics().fallback_gets == (more ? 300 : 0));
    mine.deallocate(std::span(held).first(more ? 600 : 300));
    CHECK(p.statistics().foreign_puts == (more ? 300 : 0) && p.available() == 600);

    o.node = 1;
    pool<plain, numa::by_node> one(o);
    CHECK(one.memory().regions() == 1 && one.available() == 600);
    o.node = 7;
    CHECK(refusal([&] { pool<plain, numa::by_node> none(o); }).first == ENODEV);
}

void impossible_options_are_refused() {
    auto refused = [](auto change, int code, const char *says) {
        pool_options o = small;
        o.object_size = 24;
        change(o);
        const auto [found, text] = refusal([&] { pool<void> p(o); });
        return found == code && has(text, says) && !has(text, "\n");
    };
    constexpr std::uint64_t most = UINT64_MAX;
    CHECK(refused([](auto &o) { o.object_size = 0; }, EINVAL, "object_size is 0"));
    CHECK(refused([](auto &o) { o.object_size = most; }, EINVAL, "object_size"));
    CHECK(refused([](auto &o) { o.objects = 0; }, EINVAL, "objects is 0"));
    CHECK(refused([](auto &o) { o.objects = most; }, EINVAL, "objects"));
    CHECK(refused([](auto &o) { o.objects = most / 64; }, EINVAL, "objects"));
    CHECK(refused([](auto &o) { o.alignment = 0; }, EINVAL, "alignment is 0"));
    CHECK(refused([](auto &o) { o.alignment = 48; }, EINVAL, "alignment is 48"));
    CHECK(refused([](auto &o) { o.alignment = huge_page * 2; }, EINVAL, "alignment"));
    CHECK(refused([](auto &o) { o.max_threads = 65537; }, EINVAL, "max_threads is 65537"));
    CHECK(refused([](auto &o) { o.node = 4711; }, ENODEV, "4711"));
    // An emulator keeps books of addresses, page by page.
    CHECK(emulated || refused([](auto &o) { o.objects = std::uint64_t{1} << 22, o.object_size = 1 << 16; },
                              ENOMEM, "available"));
    pool_options o = small;
    o.object_size = 7;
    const auto [code, text] = refusal([&] { pool<plain> p(o); });
    CHECK(code == EINVAL && has(text, "object_size is 7"));
    o.object_size = 0;
    o.numa = numa_mode::any_node;
    CHECK(refusal([&] { pool<plain, numa::by_node> p(o); }).first == EINVAL);
}

void a_name_is_told() {
    pool_options o = small;
    o.name = "rx packets";
    names_of_memory.clear();
    pool<plain, checking::checked<>> p([&] {
        pool_options checked = o;
        checked.on_misuse = [](const misuse &found) { throw found; };
        return checked;
    }());
    CHECK(names_of_memory == std::vector<std::string>{"turbomem:rx packets"});
    CHECK(p.statistics().name.text() == o.name && p.options().name == o.name);
    auto told = [](auto body) {
        try {
            body();
        } catch (const std::exception &e) {
            return std::string(e.what());
        }
        return std::string();
    };
    auto mine = p.enter(0);
    CHECK(told([&] { (void)p.enter(0); }) == "pool 'rx packets': slot 0 is in use by another thread");
    plain *const one = mine.allocate();
    CHECK(has(told([&] { p.report_leaks(); }), "pool 'rx packets' ends while 1 of its objects"));
    mine.deallocate(one);
    CHECK(has(told([&] { mine.deallocate(one); }), "was put twice (pool 'rx packets' of 600"));
    std::vector<plain *> all(600);
    CHECK(mine.allocate_up_to(all) == 600);
    CHECK(told([&] { (void)mine.allocate(); }) == "pool 'rx packets' has no object left");
    mine.deallocate(all);

    o.alignment = 48;
    CHECK(has(told([&] { pool<plain> q(o); }), "pool 'rx packets': alignment is 48"));
    o.alignment = 64;
    for (const std::string &bad : {std::string(64, 'x'), std::string("a[b"), std::string("a\nb")}) {
        o.name = bad;
        CHECK(has(told([&] { pool<plain> q(o); }), "not at most 63 printable ones"));
    }
}

void what_fails_leaves_nothing() {
    const std::size_t before = mappings();
    for (int i = 0; i < 50; ++i) {
        pool_options o = small;
        o.max_threads = 65537; // refused after the memory of the objects was mapped
        CHECK(refusal([&] { pool<plain, threads::per_thread> p(o); }).first == EINVAL);
    }
    CHECK(mappings() < before + 10); // what malloc kept
}

} // namespace

int main() {
    defaults_are_what_the_documentation_says();
    policies_are_taken_in_any_order();
    operations_are_the_same_everywhere();
    objects_live_and_die();
    an_owner_of_a_global_pool_is_one_pointer();
    handles_move_and_leave();
    pool_options few = small;
    few.max_threads = 0; // one per CPU
    any_number_of_threads_enters<>(few);
    any_number_of_threads_enters<numa::by_node>(two_nodes(few));
    any_number_of_threads_enters<checking::checked<>>(few);
    threads_find_their_caches();
    threads_and_pools_end_in_any_order();
    a_thread_that_ends_is_still_served();
    statistics_add_up();
    every_kind_of_caller_is_counted();
    lows_are_seen();
    objects_go_home(numa_mode::preferred);
    objects_go_home(numa_mode::strict);
    impossible_options_are_refused();
    a_name_is_told();
    what_fails_leaves_nothing();
}

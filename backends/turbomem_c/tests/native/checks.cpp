// SPDX-License-Identifier: BSD-3-Clause
/// Every kind of misuse, planted and found; and what follows from it.
#include "check.hpp"
#include "refusals.hpp"
#include "turbomem/checking.hpp"
#include "turbomem/hardened.hpp"
#include "turbomem/per_thread.hpp"
#include "turbomem/pool.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace turbomem;

namespace {

/// A write that the tools let pass, as one of a device or of code that they do not see. What they say about
/// writes that they see is tested in faults.cpp.
void unseen_write(void *at, std::size_t bytes) {
    instrument::permit(at, bytes);
    // Guards differ from place to place: a fixed byte would now and then be the one that is there.
    for (std::size_t i = 0; i < bytes; ++i) static_cast<unsigned char *>(at)[i] ^= 0xff;
}

struct item {
    static inline int destroyed = 0;
    char bytes[40];
    ~item() { ++destroyed; }
};

pool_options few() {
    return {.objects = 50, .magazine = 4, .max_threads = 4, .pages = {.kind = page_kind::base}};
}

/// What a call threw.
template <class Body> std::optional<misuse> found(Body &&body) {
    try {
        body();
    } catch (const misuse &m) {
        CHECK(!has(m.what(), "\n"));
        return m;
    }
    return std::nullopt;
}
template <class Body>
bool finds(misuse_kind kind, int code, const void *object, const char *says, Body &&body) {
    const std::optional<misuse> m = found(body);
    return m && m->kind() == kind && m->code() == code && m->object() == object && has(m->what(), says);
}

using checked_pool = pool<item, checking::checked<>>;

void proper_use_is_silent() {
    checked_pool p(few());
    auto mine = p.enter();
    for (int i = 0; i < 200; ++i) {
        std::array<item *, 10> some{};
        CHECK(mine.try_allocate(some));
        for (item *o : some) std::memset(o->bytes, i, sizeof o->bytes);
        mine.deallocate(some);
        auto owner = p.make();
        std::memset(owner->bytes, i, sizeof owner->bytes);
    }
    std::vector<item *> all(51);
    CHECK(mine.allocate_up_to(all) == 50 && mine.try_allocate() == nullptr);
    mine.deallocate(std::span(all).first(50));
    CHECK(p.audit() == 0);
}

void an_object_put_twice() {
    checked_pool p(few());
    auto mine = p.enter();
    item *const o = mine.create();
    mine.destroy(o);
    const int before = item::destroyed;
    CHECK(finds(misuse_kind::double_free, EALREADY, o, "put twice", [&] { mine.deallocate(o); }));
    CHECK(finds(misuse_kind::double_free, EALREADY, o, "put twice", [&] { p.deallocate(o); }));
    // Found before the destructor runs on what is somebody else's.
    CHECK(finds(misuse_kind::double_free, EALREADY, o, "put twice", [&] { mine.destroy(o); }));
    CHECK(item::destroyed == before && p.available() == 50);
}

void two_threads_put_one_object_at_once() {
    checked_pool p(few());
    for (int round = 0; round < 200; ++round) {
        item *const o = p.create();
        std::atomic<int> ready{0}, twice{0};
        auto put = [&] {
            ++ready;
            while (ready != 2) {
            }
            twice += found([&] { p.deallocate(o); }).has_value();
        };
        std::thread other(put);
        put();
        other.join();
        CHECK(twice == 1);
    }
    CHECK(p.available() == 50);
}

void pointers_that_are_no_objects() {
    checked_pool p(few()), q(few());
    auto mine = p.enter();
    item elsewhere;
    item *const foreign = &elsewhere;
    CHECK(finds(misuse_kind::foreign_pointer, EFAULT, foreign, "no object of this pool",
                [&] { mine.deallocate(foreign); }));
    CHECK(finds(misuse_kind::foreign_pointer, EFAULT, nullptr, "no object", [&] { mine.destroy(nullptr); }));
    item *const o = mine.create();
    auto *const inside = reinterpret_cast<item *>(o->bytes + 8);
    CHECK(finds(misuse_kind::misaligned_pointer, EFAULT, inside, "no object's start",
                [&] { mine.deallocate(inside); }));
    item *const others = q.create();
    CHECK(finds(misuse_kind::other_pool, EXDEV, others, "another pool, of objects of 40 bytes",
                [&] { mine.deallocate(others); }));
    // Behind the last object, where the page is not full.
    auto *const behind = reinterpret_cast<item *>(p.memory().data() + 50 * p.layout().stride);
    CHECK(p.owns(behind));
    CHECK(finds(misuse_kind::misaligned_pointer, EFAULT, behind, "no object's start",
                [&] { mine.deallocate(behind); }));
    mine.destroy(o);
    q.destroy(others);
}

void bytes_around_an_object() {
    for (const int offset : {-8, -1, 40, 47}) {
        checked_pool p(few());
        auto mine = p.enter();
        item *first = mine.allocate(), *o = mine.allocate();
        if (o < first)
            std::swap(first, o); // not the first of the region, before which nothing can be written
        unseen_write(reinterpret_cast<char *>(o) + offset, 1);
        CHECK(finds(misuse_kind::overwritten, EOVERFLOW, o, "before or behind", [&] { mine.deallocate(o); }));
        mine.deallocate(first);
        mine.deallocate(o); // mended
        CHECK(p.audit() == 0);
    }
}

void an_audit_looks_at_every_object() {
    std::vector<const void *> reported;
    pool_options options = few();
    options.on_misuse = [&](const misuse &m) { reported.push_back(m.object()); };
    checked_pool p(options);
    item *const o = p.allocate();
    unseen_write(o->bytes + 40, 8);
    CHECK(p.audit() == 1 && reported == std::vector<const void *>{o});
    CHECK(p.audit() == 0);
    p.deallocate(o);
}

void writes_after_a_put() {
    checked_pool p(few());
    auto mine = p.enter();
    item *const o = mine.allocate();
    mine.deallocate(o);
    unseen_write(o->bytes + 20, 1);
    CHECK(
        finds(misuse_kind::use_after_free, EUCLEAN, o, "written after", [&] { (void)mine.try_allocate(); }));
    CHECK(p.available() == 50);  // the get that threw took nothing
    CHECK(mine.allocate() == o); // reported once
    mine.deallocate(o);
}

void a_bulk_with_a_wrong_one() {
    std::vector<misuse_kind> kinds;
    pool_options options = few();
    options.on_misuse = [&](const misuse &m) { kinds.push_back(m.kind()); };
    checked_pool p(options), strict(few());
    item elsewhere;
    for (checked_pool *q : {&p, &strict}) {
        auto mine = q->enter();
        std::array<item *, 6> objects{};
        CHECK(mine.try_allocate(objects));
        item *const kept = std::exchange(objects[3], &elsewhere);
        const auto m = found([&] { mine.deallocate(objects); });
        // Told and gone on; or thrown, with those before it put.
        CHECK(m.has_value() == (q == &strict) && q->available() == (q == &strict ? 47 : 49));
        if (q == &strict) mine.deallocate(std::span(objects).last(2));
        mine.deallocate(kept);
        CHECK(q->available() == 50);
    }
    CHECK(kinds == std::vector<misuse_kind>{misuse_kind::foreign_pointer});
}

void objects_still_out_at_the_end() {
    std::vector<std::string> told;
    pool_options options = few();
    options.on_misuse = [&](const misuse &m) { told.push_back(m.what()); };
    {
        checked_pool p(options);
        (void)p.allocate();
        (void)p.allocate();
        CHECK(told.empty());
    }
    CHECK(told.size() == 1 && has(told[0], "2 of its objects of 40 bytes are out"));
    try { // an exception on its way is not replaced
        checked_pool p(few());
        (void)p.allocate();
        throw 1;
    } catch (int) {
    }
}

void handles_and_owners_that_outlive_their_pool() {
    auto p = std::make_unique<checked_pool>(few());
    auto mine = p->enter();
    p.reset();
    CHECK(finds(misuse_kind::pool_gone, ESTALE, nullptr, "gone", [&] { (void)mine.try_allocate(); }));
    CHECK(finds(misuse_kind::pool_gone, ESTALE, nullptr, "gone",
                [&] { mine.deallocate(static_cast<item *>(nullptr)); }));
    // and its destructor leaves nothing that is not there
}

template <checking::kinds Kinds> void only_what_was_asked_for_is_checked() {
    pool<item, checking::checked<Kinds>> p(few());
    item *const o = p.allocate();
    item elsewhere;
    CHECK(found([&] { p.deallocate(&elsewhere); }).has_value()); // always
    if constexpr (!(Kinds & checking::overwrite)) {
        CHECK(p.layout().stride == 64);
    } else {
        unseen_write(o->bytes + 40, 1);
        CHECK(found([&] { p.deallocate(o); })->kind() == misuse_kind::overwritten);
    }
    p.deallocate(o);
    CHECK(found([&] { p.deallocate(o); }).has_value() == ((Kinds & checking::double_free) != 0));
}

/// Regions of two nodes: the same checks in each.
void sub_pools_are_checked_alike() {
    pool_options o = few();
    o.nodes =
        std::make_shared<const topology>(topology::pretend({{.id = 0, .cpus = {0}}, {.id = 1, .cpus = {1}}}));
    pool<item, checking::checked<>, numa::by_node> p(o);
    auto mine = p.enter();
    std::array<item *, 50> all{};
    CHECK(mine.try_allocate(all));
    mine.deallocate(all);
    for (item *object : all)
        CHECK(finds(misuse_kind::double_free, EALREADY, object, "twice", [&] { mine.deallocate(object); }));
    CHECK(p.audit() == 0 && p.available() == 50);
}

/// Nothing but pointers that are no objects is found, by every kind of caller; the others are put.
template <class... Policies> void a_hardened_pool_takes_its_objects_only() {
    std::vector<misuse> found;
    pool_options o = few();
    o.name = "hard";
    o.on_misuse = [&](const misuse &m) { found.push_back(m); };
    pool<std::array<char, 24>, checking::hardened, Policies...> p(o);
    static_assert(!p.checked && noexcept(p.deallocate(std::declval<std::array<char, 24> *>())));
    auto mine = p.enter();
    std::vector<std::array<char, 24> *> all(50);
    CHECK(mine.try_allocate(all));
    std::array<char, 24> elsewhere{};
    const auto off = [&](auto *object, std::ptrdiff_t bytes) {
        return reinterpret_cast<std::array<char, 24> *>(reinterpret_cast<char *>(object) + bytes);
    };
    const auto stride = static_cast<std::ptrdiff_t>(p.layout().stride);
    auto *const first = *std::min_element(all.begin(), all.end()), *const last = *std::max_element(
                                                                       all.begin(), all.end());
    std::array bad{&elsewhere,        off(first, 8), off(first, -stride),
                   off(last, stride), off(last, 1),  off(first, 1 << 30)};
    std::vector<std::array<char, 24> *> mixed(all);
    mixed.insert(mixed.begin() + 20, bad.begin(), bad.end());
    mine.deallocate(mixed);
    CHECK(found.size() == bad.size() && p.available() == 50);
    for (std::size_t i = 0; i < bad.size(); ++i) CHECK(found[i].object() == bad[i]);
    CHECK(found[0].kind() == misuse_kind::foreign_pointer &&
          found[1].kind() == misuse_kind::misaligned_pointer);
    CHECK(std::string(found[0].what()).starts_with("pool 'hard': 0x"));
    p.destroy(&elsewhere);
    mine.destroy(off(first, 8));
    CHECK(found.size() == bad.size() + 2);
}

void a_hardened_pool_aborts_when_nobody_is_told() {
    pool_options o = few();
    o.name = "hard";
    pool<item, checking::hardened, threads::per_thread> p(o);
    int ends[2], status = 0;
    CHECK(::pipe(ends) == 0);
    const pid_t child = ::fork();
    if (child == 0) {
        ::dup2(ends[1], 2);
        item foreign{};
        p.deallocate(&foreign);
        ::_exit(0);
    }
    ::close(ends[1]);
    char said[256] = "";
    CHECK(::read(ends[0], said, sizeof said - 1) > 0);
    CHECK(std::string(said).starts_with("turbomem: pool 'hard': 0x"));
    CHECK(std::string(said).find("is no object of this pool") != std::string::npos);
    CHECK(::waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    ::close(ends[0]);
}

} // namespace

int main() {
    proper_use_is_silent();
    an_object_put_twice();
    two_threads_put_one_object_at_once();
    pointers_that_are_no_objects();
    bytes_around_an_object();
    an_audit_looks_at_every_object();
    writes_after_a_put();
    a_bulk_with_a_wrong_one();
    objects_still_out_at_the_end();
    handles_and_owners_that_outlive_their_pool();
    only_what_was_asked_for_is_checked<checking::pointers>();
    only_what_was_asked_for_is_checked<checking::double_free>();
    only_what_was_asked_for_is_checked<checking::overwrite>();
    sub_pools_are_checked_alike();
    a_hardened_pool_takes_its_objects_only<>();
    a_hardened_pool_takes_its_objects_only<numa::by_node>();
    a_hardened_pool_takes_its_objects_only<metering::calls>();
    a_hardened_pool_aborts_when_nobody_is_told();
}

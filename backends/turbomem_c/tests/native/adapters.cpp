// SPDX-License-Identifier: BSD-3-Clause
/// Size classes, and what the standard library sees of pools.
#include "check.hpp"
#include "refusals.hpp"
#include "turbomem/allocator.hpp"
#include "turbomem/size_classes.hpp"

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <list>
#include <map>
#include <memory_resource>
#include <new>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

using namespace turbomem;

namespace {

const pool_options on_base_pages{.pages = {.kind = page_kind::base}};

using classes = std::vector<size_class>;

/// What is served upstream, and that it comes back.
class counting_resource : public std::pmr::memory_resource {
  public:
    std::size_t served = 0, out = 0;

  private:
    void *do_allocate(std::size_t bytes, std::size_t alignment) override {
        ++served;
        ++out;
        return std::pmr::new_delete_resource()->allocate(bytes, alignment);
    }
    void do_deallocate(void *p, std::size_t bytes, std::size_t alignment) override {
        --out;
        std::pmr::new_delete_resource()->deallocate(p, bytes, alignment);
    }
    bool do_is_equal(const std::pmr::memory_resource &other) const noexcept override {
        return this == &other;
    }
};

void classes_grow_geometrically() {
    CHECK((geometric_classes(64, 512, 2, 4096) == classes{{64, 64}, {128, 32}, {256, 16}, {512, 8}}));
    CHECK((geometric_classes(100, 150, 1.25, 10) == classes{{100, 1}, {125, 1}, {150, 1}}));
    CHECK((geometric_classes(7, 7, 2, 70) == classes{{7, 10}}));
    struct {
        std::uint64_t from, to;
        double ratio;
    } const wrong[] = {{0, 8, 2}, {9, 8, 2}, {8, 64, 1}, {8, 64, 0.0 / 0.0}};
    for (const auto &w : wrong)
        CHECK(refusal([&] { (void)geometric_classes(w.from, w.to, w.ratio, 1); }).first == EINVAL);
}

void the_smallest_class_that_fits_serves() {
    size_classes<> s({{2000, 10}, {64, 10}, {300, 10}}, on_base_pages);
    CHECK((s.classes() == classes{{64, 10}, {320, 10}, {2048, 10}})); // sorted, rounded up to the alignment
    CHECK(s.largest() == 2048);
    for (std::size_t bytes = 0; bytes <= 2048; ++bytes) {
        const std::uint64_t expected = bytes <= 64 ? 64 : bytes <= 320 ? 320 : 2048;
        CHECK(s.of(bytes).options().object_size == expected);
    }
    CHECK(s.try_allocate(2049) == nullptr && s.try_allocate(SIZE_MAX) == nullptr);

    void *held[10];
    for (void *&p : held) {
        p = s.allocate(300);
        std::memset(p, 0x33, 320);
        CHECK(s.owns(p, 300) && !s.owns(p, 64) && !s.owns(p, 4000));
    }
    CHECK(s.try_allocate(300) == nullptr); // and no larger one instead
    bool thrown = false;
    try {
        (void)s.allocate(65);
    } catch (const exhausted &) {
        thrown = true;
    }
    CHECK(thrown);
    for (int i = 0; i < 10; ++i) {
        if (i % 2 == 0)
            s.deallocate(held[i], 300);
        else
            s.deallocate(held[i]); // nobody knows how large
    }
    CHECK(s.of(300).available() == 10);

    pool_options dense = on_base_pages;
    dense.alignment = 8;
    size_classes<threads::single> small({{8, 5}, {24, 5}}, dense);
    CHECK(small.of(9).layout().stride == 24 && small.of(8).layout().stride == 8);
}

void impossible_classes_are_refused() {
    auto refused = [](classes c, const char *says, pool_options o = on_base_pages) {
        const auto [code, text] = refusal([&] { size_classes<> s(c, o); });
        return code == EINVAL && has(text, says);
    };
    CHECK(refused({}, "0 size classes"));
    CHECK(refused(classes(256, {64, 1}), "256 size classes"));
    CHECK(refused({{100, 1}, {128, 1}}, "two size classes of 128 bytes"));
    CHECK(refused({{0, 1}}, "object_size is 0"));
    CHECK(refused({{64, 0}}, "objects is 0"));
    CHECK(refused({{std::uint64_t{1} << 30, 1}}, "take a larger alignment"));
    pool_options o = on_base_pages;
    o.alignment = 24;
    CHECK(refused({{64, 1}}, "alignment is 24", o));
}

void classes_are_shared_by_threads() {
    size_classes<> s(geometric_classes(64, 1024, 2, 1 << 16), on_base_pages);
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&s, t] {
            dice d(static_cast<std::uint64_t>(t));
            for (int i = 0; i < 2000; ++i) {
                const std::size_t bytes = d.roll(1, 1024);
                if (void *const p = s.try_allocate(bytes)) {
                    std::memset(p, t, bytes);
                    s.deallocate(p, bytes);
                }
            }
        });
    }
    for (std::thread &t : threads) t.join();
    for (const size_class &c : s.classes()) CHECK(s.of(c.size).available() == c.objects);
}

void a_memory_resource_serves_what_fits() {
    counting_resource upstream;
    size_classes<> s({{64, 100}, {256, 3}}, on_base_pages);
    memory_resource resource(s, &upstream);
    {
        std::pmr::map<int, int> m(&resource);
        for (int i = 0; i < 100; ++i) m[i] = i;
        CHECK(upstream.served == 0 && s.of(64).available() == 0);
        m[100] = 1; // the class is empty
        CHECK(upstream.served == 1);
        m.erase(5);
        m[101] = 1;
        CHECK(upstream.served == 1);
    }
    CHECK(upstream.out == 0 && s.of(64).available() == 100);

    const std::size_t before = upstream.served;
    void *large = resource.allocate(257), *aligned = resource.allocate(64, 128),
         *fits = resource.allocate(256, 64);
    CHECK(upstream.served == before + 2 && s.of(256).available() == 2);
    resource.deallocate(large, 257);
    resource.deallocate(aligned, 64, 128);
    resource.deallocate(fits, 256, 64);
    CHECK(upstream.out == 0 && s.of(256).available() == 3);

    memory_resource same(s, &upstream), other(s);
    CHECK(resource == same && !(resource == other) && !(resource == upstream));

    memory_resource strict(s, std::pmr::null_memory_resource());
    bool thrown = false;
    try {
        (void)strict.allocate(10'000);
    } catch (const std::bad_alloc &) {
        thrown = true;
    }
    CHECK(thrown);

    pool<void, threads::single> one({.object_size = 128, .objects = 2, .pages = {.kind = page_kind::base}});
    memory_resource simple(one, &upstream);
    {
        const std::pmr::string text(100, 'x', &simple);
        CHECK(one.available() == 1);
    }
    CHECK(one.available() == 2);
}

void an_allocator_serves_containers() {
    pool<void, threads::per_thread> nodes(
        {.object_size = 64, .objects = 50, .pages = {.kind = page_kind::base}});
    {
        std::list<int, allocator<int, decltype(nodes)>> l(nodes);
        for (int i = 0; i < 50; ++i) l.push_back(i);
        bool thrown = false;
        try {
            l.push_back(50);
        } catch (const exhausted &) {
            thrown = true;
        }
        CHECK(thrown && l.size() == 50 && nodes.available() == 0);
        l.pop_front();
        auto copy = std::list<int, allocator<int, decltype(nodes)>>(nodes);
        copy.splice(copy.begin(), l);
        CHECK(copy.size() == 49 && copy.get_allocator() == l.get_allocator());
    }
    CHECK(nodes.available() == 50);

    size_classes<> s(geometric_classes(64, 65536, 2, 1 << 20), on_base_pages);
    {
        using pair = std::pair<const int, std::string>;
        std::unordered_map<int, std::string, std::hash<int>, std::equal_to<int>, allocator<pair, decltype(s)>>
            m(s);
        for (int i = 0; i < 1000; ++i) m.emplace(i, "value");
        std::vector<int, allocator<int, decltype(s)>> v(s);
        for (int i = 0; i < 10'000; ++i) v.push_back(i);
        CHECK(m.size() == 1000 && v[9'999] == 9'999);
    }
    for (const size_class &c : s.classes()) CHECK(s.of(c.size).available() == c.objects);

    allocator<std::uint64_t, decltype(s)> a(s);
    bool thrown = false;
    try {
        (void)a.allocate(SIZE_MAX / 4);
    } catch (const std::bad_array_new_length &) {
        thrown = true;
    }
    CHECK(thrown);
}

} // namespace

int main() {
    classes_grow_geometrically();
    the_smallest_class_that_fits_serves();
    impossible_classes_are_refused();
    classes_are_shared_by_threads();
    a_memory_resource_serves_what_fits();
    an_allocator_serves_containers();
}

// SPDX-License-Identifier: BSD-3-Clause
/// The only process of a virtual machine with two NUMA nodes: checks what can be seen nowhere else, prints a
/// line per check, and powers off. Lines: "check NAME: ok" or "check NAME: FAILED: why", and "done" at the
/// end.
#include "turbomem/exchange/numa_exchange.hpp"
#include "turbomem/memory/mapping.hpp"

#include "../native/node_of.hpp"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstring>
#include <exception>
#include <fstream>
#include <functional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace turbomem;

namespace {

#define STRING(x) #x
#define TEXT(x) STRING(x)
#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) throw std::runtime_error(TEXT(__LINE__) ": " #condition);                          \
    } while (false)

void check(const char *name, const std::function<void()> &body) {
    try {
        body();
        std::printf("check %s: ok\n", name);
    } catch (const std::exception &e) {
        std::printf("check %s: FAILED: %s\n", name, e.what());
    }
    std::fflush(stdout);
}

void say(const char *key, const std::string &value) {
    std::printf("%s: %s\n", key, value.c_str());
    std::fflush(stdout);
}

void write_file(const std::string &path, const std::string &text) {
    std::ofstream file(path);
    file << text << std::flush;
    if (!file) throw std::runtime_error("cannot write " + path);
}

/// What creating the mapping throws when it must.
template <class Error = unmet_requirement, class Make> std::string refusal(Make make) {
    try {
        make();
    } catch (const Error &e) {
        say("error", e.what());
        return e.what();
    }
    throw std::runtime_error("was not refused");
}

constexpr std::size_t MB = std::size_t{1} << 20;
constexpr std::size_t stride = 2176;
constexpr std::uint64_t objects = 4001; // odd: one more on node 0

struct fixture {
    topology nodes = topology::system();
    mapping memory;
    numa_exchange pool;
    fixture(numa_mode mode, std::uint32_t threads, page_kind kind = page_kind::thp)
        : memory(numa_exchange::region_bytes(objects, stride, 2), {.kind = kind}, nodes, mode),
          pool({.objects = objects, .magazine = 64, .max_threads = threads}, mode, memory, stride, nodes) {}
    std::uint64_t home(std::uint32_t node) const { return objects_on_node(objects, node, 2); }
    bool all_home() const { return pool.on(0).available() == home(0) && pool.on(1).available() == home(1); }
};

void two_nodes_with_their_processors() {
    const topology t = topology::system();
    CHECK(t.real() && t.size() == 2 && t[0].id == 0 && t[1].id == 1);
    CHECK((t[0].cpus == std::vector<int>{0, 1}) && (t[1].cpus == std::vector<int>{2, 3}));
    CHECK((t.by_distance(1) == std::vector<std::uint32_t>{1, 0}));
    CHECK((t[0].distances == std::vector<int>{10, 20}));
    const std::vector<int> before = pin::allowed();
    for (int cpu : {0, 3}) {
        const pin here(cpu);
        CHECK(t.current_node() == (cpu == 0 ? 0u : 1u));
    }
    CHECK(pin::allowed() == before);
    CHECK(t.only(1).size() == 1 && t.only(1)[0].id == 1);
}

void every_page_is_on_its_node(page_kind kind, numa_mode mode) {
    const topology t = topology::system();
    for (int cpu : {0, 2}) { // whoever creates it
        const pin here(cpu);
        const mapping m(8 * MB, {.kind = kind}, t, mode);
        CHECK(m.regions() == 2 && m.kind() == kind);
        for (std::uint32_t node : {0u, 1u}) {
            CHECK(m.report(node).only_on(static_cast<int>(node)));
            for (std::size_t at = 0; at < m.size(); at += 4096) {
                CHECK(node_of(m.region(node) + at) == static_cast<int>(node));
                CHECK(m.region_of(m.region(node) + at) == node);
            }
        }
    }
    const mapping one(4 * MB, {.kind = kind}, t.only(1), mode); // a pool for one node
    CHECK(one.regions() == 1 && one.report().only_on(1));
}

/// A sandbox that forbids mbind leaves first touch, and that must do.
void first_touch_is_made_on_the_node() {
    std::byte *memory = static_cast<std::byte *>(
        ::mmap(nullptr, 8 * MB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    CHECK(memory != MAP_FAILED && ::madvise(memory, 8 * MB, MADV_NOHUGEPAGE) == 0);
    const pin here(0);
    const std::vector<detail::piece> pieces{{memory, 4 * MB, {0, 1}}, {memory + 4 * MB, 4 * MB, {2, 3}}};
    CHECK(detail::populate(pieces, 4096, 2) == 0);
    for (std::size_t at = 0; at < 8 * MB; at += 4096) CHECK(node_of(memory + at) == (at < 4 * MB ? 0 : 1));
    ::munmap(memory, 8 * MB);
}

void bookkeeping_is_near_its_node() {
    const pin here(0);
    void *before = ::mmap(nullptr, MB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void *during = ::mmap(nullptr, MB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    {
        const allocate_near node(1);
        std::memset(during, 1, MB);
    }
    std::memset(before, 1, MB);
    CHECK(node_of(during) == 1 && node_of(before) == 0);
    ::munmap(before, MB);
    ::munmap(during, MB);
}

void threads_get_what_is_near() {
    fixture f(numa_mode::preferred, 4);
    std::vector<std::thread> threads;
    std::atomic<int> wrong{0};
    for (int cpu = 0; cpu < 4; ++cpu) {
        threads.emplace_back([&, cpu] {
            const pin here(cpu);
            numa_cache &c = f.pool.enter(static_cast<std::uint32_t>(cpu));
            void *held[100];
            for (int round = 0; round < 200; ++round) {
                if (!c.get_bulk(held, 100)) ++wrong;
                for (void *o : held) wrong += node_of(o) != cpu / 2;
                c.put_bulk(held, 100);
                if (round > 20) round += 20; // node_of is a system call
            }
            f.pool.leave(c);
        });
    }
    for (auto &t : threads) t.join();
    CHECK(wrong == 0);
    CHECK(f.pool.counters().fallback_gets == 0 && f.pool.counters().foreign_puts == 0);
    CHECK(f.all_home());
}

/// Node 0 receives, node 1 frees: many times the pool, so what is freed must have come home.
void remote_frees_go_home(numa_mode mode) {
    fixture f(mode, 2);
    struct {
        std::vector<void *> slots = std::vector<void *>(1024);
        std::atomic<std::uint64_t> head{0}, tail{0};
    } wire;
    constexpr std::uint64_t total = 40'000;
    std::uint64_t failed = 0, wrong = 0;
    std::thread transmit([&] {
        const pin here(2);
        numa_cache &c = f.pool.enter(1);
        for (std::uint64_t n = 0; n < total;) {
            const std::uint64_t ready = wire.head.load(std::memory_order_acquire);
            if (ready == n) std::this_thread::yield();
            for (; n < ready; ++n) {
                c.put_bulk(&wire.slots[n % 1024], 1);
                wire.tail.store(n + 1, std::memory_order_release);
            }
        }
        f.pool.leave(c);
    });
    {
        const pin here(0);
        numa_cache &c = f.pool.enter(0);
        for (std::uint64_t n = 0; n < total; ++n) {
            while (n - wire.tail.load(std::memory_order_acquire) == 1024) std::this_thread::yield();
            void *&slot = wire.slots[n % 1024];
            while (!c.get_bulk(&slot, 1)) ++failed;
            wrong += f.memory.region_of(slot) != 0;
            wire.head.store(n + 1, std::memory_order_release);
        }
        transmit.join();
        f.pool.leave(c);
    }
    say("failed gets", std::to_string(failed));
    CHECK(failed == 0); // 1,024 on the wire and what two threads cache are fewer than node 0 has
    CHECK(wrong == 0 && f.pool.counters().fallback_gets == 0);
    CHECK(f.pool.counters().foreign_puts == total);
    CHECK(f.all_home());
}

void a_node_that_is_used_up() {
    for (numa_mode mode : {numa_mode::strict, numa_mode::preferred}) {
        fixture f(mode, 2);
        const pin here(0);
        numa_cache &c = f.pool.enter(0);
        std::vector<void *> held(objects);
        const auto near = static_cast<std::uint32_t>(f.home(0)), rest = static_cast<std::uint32_t>(f.home(1));
        CHECK(c.get_bulk(held.data(), near));
        for (std::uint32_t i = 0; i < near; i += 64) CHECK(node_of(held[i]) == 0);
        if (mode == numa_mode::strict) {
            CHECK(!c.get_bulk(&held[near], 1) && c.get_up_to(&held[near], rest) == 0);
            CHECK(f.pool.available() == rest && f.pool.counters().fallback_gets == 0);
            c.put_bulk(held.data(), near);
        } else {
            CHECK(c.get_bulk(&held[near], rest));
            for (std::uint32_t i = 0; i < rest; i += 64) CHECK(node_of(held[near + i]) == 1);
            CHECK(f.pool.available() == 0 && f.pool.counters().fallback_gets == rest);
            void *none = nullptr;
            CHECK(!c.get_bulk(&none, 1));
            c.put_bulk(held.data(), objects);
            CHECK(f.pool.counters().foreign_puts == rest);
        }
        f.pool.leave(c);
        CHECK(f.all_home());
    }
}

/// More than a node has, less than the machine has.
void a_node_that_is_too_small() {
    const topology t = topology::system().only(0);
    const std::size_t much = memory_left_on(0) + 64 * MB;
    CHECK(much < memory_left() * 3 / 4);
    const std::string said =
        refusal([&] { mapping m(much, {.kind = page_kind::thp}, t, numa_mode::strict); });
    CHECK(said.find("node 0") != std::string::npos && said.find("preferred") != std::string::npos);
    const mapping m(much, {.kind = page_kind::thp}, t, numa_mode::preferred);
    const page_report r = m.report();
    say("report", r.text());
    CHECK(r.nodes.size() == 2 && r.nodes[0].bytes > much / 2 && r.nodes[1].bytes > 0);
    CHECK(r.nodes[0].bytes + r.nodes[1].bytes == r.bytes && r.resident() == r.bytes);
}

/// Linux 6.1 collapses on request in every mode; only fault-in obeys the mode.
void huge_pages_in_this_mode() {
    std::ifstream file("/sys/kernel/mm/transparent_hugepage/enabled");
    std::string mode;
    std::getline(file, mode);
    say("mode", mode);
    const mapping thp(32 * MB, {.kind = page_kind::thp, .require = true});
    CHECK(thp.kind() == page_kind::thp && thp.fallback().empty());
    CHECK(thp.report().wholly(page_kind::thp) && thp.huge_bytes() == 32 * MB);
    const mapping base(32 * MB, {.kind = page_kind::base, .require = true});
    CHECK(base.report().wholly(page_kind::base)); // in mode always, too

    // Two nodes, required and strict at once.
    const mapping both(16 * MB, {.kind = page_kind::thp, .require = true}, topology::system(),
                       numa_mode::strict);
    for (std::uint32_t node : {0u, 1u})
        CHECK(both.report(node).wholly(page_kind::thp) && both.report(node).only_on(static_cast<int>(node)));
}

void no_huge_pages_at_all() {
    CHECK(::prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) == 0);
    const std::string said = refusal([] { mapping m(8 * MB, {.kind = page_kind::thp, .require = true}); });
    const mapping m(8 * MB, page_kind::thp);
    CHECK(::prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0) == 0);
    CHECK(said.find("THP_DISABLE") != std::string::npos);
    CHECK(m.kind() == page_kind::base && m.fallback() == said && m.report().wholly(page_kind::base));
}

void split_pages_are_merged_again() {
    const mapping m(16 * MB, {.kind = page_kind::thp, .require = true});
    CHECK(m.remerge().before == m.size());
    std::memset(m.data(), 7, m.size());
    for (int i = 0; i < 3; ++i)
        CHECK(::madvise(m.data() + i * 4 * MB + 4096, 4096, MADV_DONTNEED) ==
              0); // splits, and one page is gone
    CHECK(m.huge_bytes() == 10 * MB);
    const merge_result r = m.remerge();
    CHECK(r.before == 10 * MB && r.after == 16 * MB && r.code == 0);
    CHECK(m.data()[0] == std::byte{7} && m.data()[4096] == std::byte{0} && m.data()[8192] == std::byte{7});
    CHECK(m.remerge().before == m.size());
}

std::string hugepages(int node, page_kind kind) {
    return "/sys/devices/system/node/node" + std::to_string(node) + "/hugepages/hugepages-" +
           std::to_string(page_bytes(kind) / 1024) + "kB/nr_hugepages";
}

void hugetlb_of_2_mb() {
    constexpr page_kind kind = page_kind::hugetlb_2m;
    const topology t = topology::system();
    std::string said = refusal([&] { mapping m(8 * MB, {.kind = kind, .require = true}); });
    CHECK(said.find("echo 4 > /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages") != std::string::npos);
    {
        const mapping m(8 * MB, kind);
        CHECK(m.kind() == page_kind::thp && m.report().wholly(page_kind::thp) && m.fallback() == said);
    }
    write_file(hugepages(0, kind), "4");
    {
        const mapping m(8 * MB, {.kind = kind, .require = true});
        CHECK(m.kind() == kind && m.fallback().empty() && m.report().wholly(kind) && m.report().only_on(0));
        said = refusal([&] { mapping more(2 * MB, {.kind = kind, .require = true}); });
        CHECK(said.find("echo 5 >") != std::string::npos && said.find("0 free") != std::string::npos);
    }
    // Enough on the machine, not on node 1.
    const auto strict = [&] {
        return mapping(4 * MB, {.kind = kind, .require = true}, t, numa_mode::strict);
    };
    CHECK(refusal(strict).find("on node 1") != std::string::npos);
    {
        const mapping m(4 * MB, {.kind = kind, .require = true}, t, numa_mode::preferred);
        CHECK(m.report(0).only_on(0) && m.report(1).only_on(0) && m.report(1).wholly(kind));
    }
    write_file(hugepages(1, kind), "2");
    {
        const mapping m = strict();
        CHECK(m.report(0).only_on(0) && m.report(1).only_on(1) && m.report().wholly(kind));
    }
    // A reservation that a strict binding cannot keep: what is free elsewhere does not help.
    write_file(hugepages(0, kind), "6");
    const mapping rest(4 * MB, {.kind = kind, .require = true}, t.only(1), numa_mode::strict);
    CHECK(refusal(strict).find("on node 1") != std::string::npos);
    const auto pages = hugetlb_pages::of(kind);
    CHECK(pages && pages->total == 8 && pages->free == 6); // what failed kept nothing
    CHECK(pages->promised == 0);
}

/// The kernel promises pages that it may make, and makes them near the thread that asks. Touching them bound
/// to the other node fails then; that must be an error and no signal.
void hugetlb_made_on_demand() {
    constexpr page_kind kind = page_kind::hugetlb_2m;
    for (int node : {0, 1}) write_file(hugepages(node, kind), "0");
    write_file("/proc/sys/vm/nr_overcommit_hugepages", "2");
    const pin here(0);
    {
        CHECK(mapping(4 * MB, {.kind = kind, .require = true}).report().wholly(kind));
    }
    const topology other = topology::system().only(1);
    const page_options options{.kind = kind, .require = true};
    CHECK(refusal([&] { mapping m(4 * MB, options, other, numa_mode::strict); }).find("2 MB") !=
          std::string::npos);
    const mapping m(4 * MB, {.kind = kind}, other, numa_mode::strict);
    CHECK(m.kind() == page_kind::thp && m.report().only_on(1) && m.report().wholly(page_kind::thp));
    write_file("/proc/sys/vm/nr_overcommit_hugepages", "0");
}

void hugetlb_of_1_gb() {
    constexpr page_kind kind = page_kind::hugetlb_1g;
    const mapping m(5 * MB, {.kind = kind, .require = true});
    CHECK(m.size() == gigantic_page && m.report().wholly(kind));
    CHECK(reinterpret_cast<std::uintptr_t>(m.data()) % gigantic_page == 0);
    const std::string said =
        refusal([] { mapping more(1, {.kind = page_kind::hugetlb_1g, .require = true}); });
    CHECK(said.find("hugepages-1048576kB/nr_hugepages") != std::string::npos);
    CHECK(said.find("hugepagesz=1G") != std::string::npos);
}

void set_up() {
    for (const char *folder : {"/proc", "/sys", "/dev"}) ::mkdir(folder, 0755);
    ::mount("proc", "/proc", "proc", 0, nullptr);
    ::mount("sysfs", "/sys", "sysfs", 0, nullptr);
    write_file("/proc/sys/kernel/printk", "1"); // the kernel's own lines would mix with these
}

} // namespace

int main() {
    set_up();
    check("two nodes with their processors", two_nodes_with_their_processors);
    for (auto [kind, name] : {std::pair{page_kind::base, "base"}, {page_kind::thp, "thp"}}) {
        check((std::string("every page is on its node, preferred, ") + name).c_str(),
              [kind = kind] { every_page_is_on_its_node(kind, numa_mode::preferred); });
        check((std::string("every page is on its node, strict, ") + name).c_str(),
              [kind = kind] { every_page_is_on_its_node(kind, numa_mode::strict); });
    }
    check("first touch is made on the node", first_touch_is_made_on_the_node);
    check("bookkeeping is near its node", bookkeeping_is_near_its_node);
    check("threads get what is near", threads_get_what_is_near);
    check("remote frees go home, preferred", [] { remote_frees_go_home(numa_mode::preferred); });
    check("remote frees go home, strict", [] { remote_frees_go_home(numa_mode::strict); });
    check("a node that is used up", a_node_that_is_used_up);
    check("a node that is too small", a_node_that_is_too_small);
    check("huge pages in this mode", huge_pages_in_this_mode);
    check("no huge pages at all", no_huge_pages_at_all);
    check("split pages are merged again", split_pages_are_merged_again);
    check("hugetlb of 2 MB", hugetlb_of_2_mb);
    check("hugetlb made on demand", hugetlb_made_on_demand);
    if (const auto pages = hugetlb_pages::of(page_kind::hugetlb_1g); pages && pages->total != 0)
        check("hugetlb of 1 GB", hugetlb_of_1_gb);
    std::puts("done");
    std::fflush(stdout);
    ::reboot(RB_POWER_OFF);
}

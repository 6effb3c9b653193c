// SPDX-License-Identifier: BSD-3-Clause
/// Memory, pages and topology on this machine, whatever it has; two real nodes are in ../vm.
#include "check.hpp"
#include "node_of.hpp"
#include "turbomem/memory/mapping.hpp"
#include "turbomem/memory/numa_binding.hpp"
#include "turbomem/system/topology.hpp"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

using namespace turbomem;
namespace fs = std::filesystem;

namespace {

constexpr std::size_t MB = std::size_t{1} << 20;

/// A folder that goes away.
struct folder {
    fs::path path;
    folder() {
        std::string name = (fs::temp_directory_path() / "turbomem-XXXXXX").string();
        CHECK(::mkdtemp(name.data()) != nullptr);
        path = name;
    }
    ~folder() { fs::remove_all(path); }
    void write(const std::string &name, const std::string &text) const {
        fs::create_directories((path / name).parent_path());
        std::ofstream(path / name) << text << '\n';
    }
    std::string operator/(const std::string &name) const { return (path / name).string(); }
};

template <class Error, class Make> std::string refusal(Make make) {
    try {
        make();
    } catch (const Error &e) {
        return e.what();
    }
    return "accepted";
}

bool says(const std::string &text, const std::string &part) {
    return text.find(part) != std::string::npos;
}

std::size_t areas() {
    std::ifstream maps("/proc/self/maps");
    std::size_t n = 0;
    for (std::string line; std::getline(maps, line);) ++n;
    return n;
}

bool thp_works() {
    return detail::no_thp_advice().empty() && !detail::thp_is_off();
}

/// How a child that runs `body` ends: 0, its exit status, or minus the signal.
template <class Body> int in_child(Body body) {
    const pid_t child = ::fork();
    CHECK(child >= 0);
    if (child == 0) {
        ::signal(SIGSEGV, SIG_DFL); // a sanitizer would report it
        ::signal(SIGBUS, SIG_DFL);
        body();
        ::_exit(0);
    }
    int status = 0;
    CHECK(::waitpid(child, &status, 0) == child);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

void lists_are_read_as_the_kernel_writes_them() {
    using list = std::vector<int>;
    CHECK((detail::parse_list("0-2,5,7-8\n") == list{0, 1, 2, 5, 7, 8}));
    CHECK((detail::parse_list("3") == list{3}) && detail::parse_list("").empty());
    CHECK(detail::parse_list("(null)").empty() && (detail::parse_list("1-x") == list{}));
    const folder f;
    f.write("number", "42 and more");
    f.write("max", "max");
    f.write("meminfo", "Node 1 MemTotal:  100 kB\nNode 1 MemFree:   7 kB\nNode 1 Active(file): 3 kB");
    CHECK(detail::number_in(f / "number") == 42u && !detail::number_in(f / "max") &&
          !detail::number_in(f / "no"));
    CHECK(detail::bytes_of(f / "meminfo", "MemFree:") == 7u * 1024);
    CHECK(detail::bytes_of(f / "meminfo", "Active(file):") == 3u * 1024 &&
          !detail::bytes_of(f / "meminfo", "Free:"));
    CHECK(!detail::list_in(f / "no"));
}

/// Node 0: CPUs and memory. 2: CPUs alone, nearest to 4. 4: both. 5: memory alone. 7: both, but not ours.
void every_processor_has_a_home_with_memory() {
    const folder f;
    f.write("online", "0,2,4-5,7");
    f.write("has_memory", "0,4-5,7");
    for (auto [node, cpus] : {std::pair{0, "0-1"}, {2, "2"}, {4, "3,5"}, {5, ""}, {7, "8"}})
        f.write("node" + std::to_string(node) + "/cpulist", cpus);
    f.write("node0/distance", "10 30 20 40 20");
    f.write("node2/distance", "30 10 15 40 50");
    f.write("node4/distance", "20 15 10 40 50");
    f.write("status", "Name:\tx\nMems_allowed:\t1f\nMems_allowed_list:\t0-5");
    const topology t = topology::read(f.path.string(), f / "status");
    CHECK(t.real() && t.size() == 2 && t[0].id == 0 && t[1].id == 4);
    CHECK((t[0].cpus == std::vector<int>{0, 1, 8}) && (t[1].cpus == std::vector<int>{3, 5, 2}));
    CHECK((t[1].distances == std::vector<int>{20, 10}));
    CHECK(t.node_of_cpu(2) == 1 && t.node_of_cpu(1) == 0 && t.node_of_cpu(4000) == 0 &&
          t.node_of_cpu(-1) == 0);
    CHECK((t.by_distance(1) == std::vector<std::uint32_t>{1, 0}));
    CHECK(t.only(4).size() == 1 && t.only(4)[0].id == 4 && t.only(4).real());
    CHECK(refusal<error>([&] { (void)t.only(5); }) ==
          "NUMA node 5 has no CPU or no memory for this process: take one of 0, 4");

    f.write("status", "Mems_allowed_list:\t4");
    CHECK(topology::read(f.path.string(), f / "status").size() == 1);
    const topology none = topology::read(f / "nowhere", f / "status"); // a kernel without NUMA
    CHECK(none.size() == 1 && !none.real() && none.current_node() == 0);
    CHECK(says(refusal<invalid_options>([] { topology::pretend({}); }), "without nodes"));
    const topology far =
        topology::pretend({{0, {}, {10, 40, 20}}, {1, {}, {40, 10, 30}}, {2, {}, {20, 30, 10}}});
    CHECK((far.by_distance(1) == std::vector<std::uint32_t>{1, 2, 0}));
    CHECK((topology::pretend({{0}, {1}, {2}}).by_distance(1) == std::vector<std::uint32_t>{1, 0, 2}));
}

void a_pin_holds_and_lets_go() {
    const std::vector<int> before = pin::allowed();
    CHECK(!before.empty());
    {
        const pin here(before.back());
        CHECK(pin::allowed() == std::vector<int>{before.back()} && ::sched_getcpu() == before.back());
    }
    CHECK(pin::allowed() == before);
    const std::string said = refusal<error>([] { const pin nowhere(1 << 14); });
    CHECK(says(said, "CPU 16384") && says(said, "this process may use"));
    CHECK(says(refusal<error>([] { const pin nowhere(std::vector<int>{}); }), "(none)"));
    CHECK(pin::allowed() == before);
}

void this_machine_is_described() {
    const topology t = topology::system();
    CHECK(t.size() >= 1 && t.current_node() < t.size());
    const mapping m(3 * MB, page_kind::base);
    if (const auto node = node_of(m.data())) CHECK(m.report().nodes.at(0).bytes == 3 * MB || t.size() > 1);
    CHECK(!node_of(nullptr));
    {
        const allocate_near here(t[0].id);
    } // puts the policy back or leaves it
}

void limits_of_a_control_group_count() {
    const folder f;
    f.write("membership", "12:pids:/a\n0::/a/b");
    CHECK(detail::room_in_cgroups(f.path.string(), f / "membership") == UINT64_MAX);
    f.write("a/memory.max", "1000");
    f.write("a/memory.current", "700");
    f.write("a/b/memory.max", "max");
    f.write("a/b/memory.current", "500");
    CHECK(detail::room_in_cgroups(f.path.string(), f / "membership") == 300);
    f.write("a/memory.stat", "anon 600\ninactive_file 50\nother 1");
    CHECK(detail::room_in_cgroups(f.path.string(), f / "membership") == 350);
    f.write("memory.max", "600"); // in a container: the root of what is mounted
    f.write("memory.current", "900");
    CHECK(detail::room_in_cgroups(f.path.string(), f / "membership") == 0);

    f.write("v1", "4:cpu,memory:/x");
    f.write("memory/x/memory.limit_in_bytes", "5000");
    f.write("memory/x/memory.usage_in_bytes", "4000");
    CHECK(detail::room_in_cgroups(f.path.string(), f / "v1") == 1000);
}

void a_region_is_accounted_alone_and_fenced() {
    const mapping a(3 * huge_page, page_kind::base), b(1, page_kind::base);
    CHECK(a.size() == 3 * huge_page && b.size() == detail::base_page());
    for (const mapping *m : {&a, &b}) {
        CHECK(reinterpret_cast<std::uintptr_t>(m->data()) % huge_page == 0);
        CHECK(m->report().wholly(page_kind::base) && m->report().bytes == m->size() && m->fallback().empty());
        CHECK(m->data()[0] == std::byte{0} && m->data()[m->size() - 1] == std::byte{0});
        CHECK(m->contains(m->data()) && m->contains(m->data() + m->size() - 1));
        CHECK(!m->contains(m->data() - 1) && !m->contains(m->data() + m->size()) && !m->contains(nullptr));
    }
    if (thread_sanitizer) return; // which is not made for children that touch what they must not
    CHECK(in_child([&] { a.data()[a.size() - 1] = std::byte{1}; }) == 0);
    CHECK(in_child([&] { *static_cast<volatile std::byte *>(a.data() + a.size()) = std::byte{1}; }) != 0);
    CHECK(in_child([&] { *static_cast<volatile std::byte *>(a.data() - 1) = std::byte{1}; }) != 0);
}

void regions_are_told_apart_by_a_shift() {
    const topology three = topology::pretend({{0}, {1}, {2}});
    for (std::size_t bytes : {std::size_t{1}, 2 * MB, 5 * MB}) {
        for (page_kind kind : {page_kind::base, page_kind::thp}) {
            const mapping m(bytes, {.kind = kind, .populate_threads = 2}, three, numa_mode::strict);
            CHECK(m.regions() == 3 && m.size() >= bytes && m.report().bytes == 3 * m.size());
            CHECK(m.report().resident() == 3 * m.size());
            for (std::uint32_t i = 0; i < 3; ++i) {
                std::byte *r = m.region(i);
                CHECK(reinterpret_cast<std::uintptr_t>(r) % huge_page == 0);
                CHECK(m.region_of(r) == i && m.region_of(r + m.size() - 1) == i);
                CHECK(m.contains(r) && m.contains(r + m.size() - 1));
                CHECK(!m.contains(r - 1) && !m.contains(r + m.size())); // no two regions touch
                CHECK(m.report(i).bytes == m.size() && m.report(i).resident() == m.size());
            }
        }
    }
    const mapping one(MB, {.kind = page_kind::base}, three, numa_mode::any_node);
    CHECK(one.regions() == 1 && one.region_of(one.data() + MB - 1) == 0);
}

void sizes_that_cannot_be_are_refused() {
    const topology two = topology::pretend({{0}, {1}});
    const std::size_t before = areas();
    for (page_kind kind : {page_kind::base, page_kind::thp, page_kind::hugetlb_2m, page_kind::hugetlb_1g}) {
        for (bool require : {false, true}) {
            const page_options o{.kind = kind, .require = require};
            for (std::size_t bytes : {std::size_t{0}, SIZE_MAX, SIZE_MAX / 2, SIZE_MAX / 4})
                CHECK(refusal<invalid_options>([&] { mapping m(bytes, o); }) != "accepted");
            CHECK(refusal<error>([&] { mapping m(SIZE_MAX / 8, o); }) != "accepted"); // beyond any address
            CHECK(refusal<error>([&] { mapping m(1024 * gigantic_page, o); }) != "accepted");
            CHECK(refusal<error>([&] { mapping m(1024 * gigantic_page, o, two, numa_mode::strict); }) !=
                  "accepted");
        }
    }
    CHECK(says(refusal<out_of_memory>([] { mapping m(1024 * gigantic_page, page_kind::thp); }), "available"));
    CHECK(areas() <= before + 3); // malloc's own
}

void hugetlb_says_how_to_reserve() {
    struct {
        page_kind kind;
        const char *path, *fallback;
    } const kinds[] = {
        {page_kind::hugetlb_2m, "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "thp"},
        {page_kind::hugetlb_1g, "hugepages-1048576kB/nr_hugepages", "hugetlb_2m"}};
    for (const auto &k : kinds) {
        const std::string said = refusal<unmet_requirement>(
            [&] { mapping m(1024 * gigantic_page, {.kind = k.kind, .require = true}); });
        if (hugetlb_pages::of(k.kind))
            CHECK(says(said, k.path) && says(said, "as root, echo") && says(said, name_of(k.kind)));
        else
            CHECK(says(said, "has no hugetlb pages"));
        // One page: reserved on some machines, not on others.
        const mapping m(5 * MB, k.kind);
        const page_report r = m.report();
        CHECK(r.bytes == m.size() && r.resident() == m.size() && m.size() % page_bytes(m.kind()) == 0);
        if (m.kind() == k.kind) {
            CHECK(r.wholly(k.kind) && m.fallback().empty());
        } else {
            CHECK(r.of(k.kind) == 0 && m.fallback().starts_with(name_of(k.kind)) &&
                  says(m.fallback(), "take thp"));
            CHECK(m.size() == 6 * MB || m.kind() == page_kind::base); // no more than the pages it got need
        }
    }
}

void huge_pages_are_had_or_refused() {
    CHECK(::prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) == 0);
    const std::string said =
        refusal<unmet_requirement>([] { mapping m(5 * MB, {.kind = page_kind::thp, .require = true}); });
    const mapping base(5 * MB, page_kind::thp);
    CHECK(::prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0) == 0);
    CHECK(said.starts_with("thp: ") && base.kind() == page_kind::base && base.fallback() == said);
    CHECK(base.report().wholly(page_kind::base));

    if (!thp_works()) return;
    for (unsigned threads : {0u, 1u, 3u, 1000u}) {
        const mapping m(9 * MB, {.kind = page_kind::thp, .require = true, .populate_threads = threads});
        CHECK(m.size() == 10 * MB && m.report().wholly(page_kind::thp) && m.fallback().empty());
    }
}

void little_memory_lies_on_base_pages() {
    if (!thp_works()) return;
    const mapping few(MB - 1, page_kind::thp), enough(MB, page_kind::thp);
    CHECK(few.kind() == page_kind::base && few.size() == MB && enough.kind() == page_kind::thp);
    CHECK(says(few.fallback(), "1048575 bytes are less than pages.huge_from, 1048576"));
    CHECK(mapping(1, {.kind = page_kind::thp, .require = true}).kind() == page_kind::thp);
    CHECK(mapping(1, {.kind = page_kind::thp, .huge_from = 0}).kind() == page_kind::thp);
}

void what_was_split_is_merged_again() {
    if (!thp_works()) return;
    const mapping m(16 * MB, {.kind = page_kind::thp, .require = true});
    std::memset(m.data(), 7, m.size());
    for (int i = 0; i < 3; ++i) CHECK(::madvise(m.data() + (4 * i + 1) * MB, 4096, MADV_DONTNEED) == 0);
    CHECK(m.huge_bytes() == 10 * MB && m.report().resident() == 16 * MB - 3 * 4096);
    const merge_result r = m.remerge();
    CHECK(r.before == 10 * MB && r.after == 16 * MB && r.code == 0 && m.report().wholly(page_kind::thp));
    CHECK(m.data()[0] == std::byte{7} && m.data()[MB] == std::byte{0} && m.data()[MB + 4096] == std::byte{7});
    CHECK(m.remerge().before == 16 * MB);

    const mapping base(MB, page_kind::base);
    CHECK(base.remerge().after == 0 && base.remerge().code == 0);
}

void a_fork_splits_unless_it_does_not_inherit() {
    if (!thp_works() || thread_sanitizer) return;
    for (bool inherit : {true, false}) {
        const mapping m(8 * MB, {.kind = page_kind::thp, .require = true, .inherit = inherit});
        std::memset(m.data(), 7, m.size());
        int go[2];
        CHECK(::pipe(go) == 0);
        const pid_t child = ::fork();
        CHECK(child >= 0);
        if (child == 0) {
            char c = 0;
            if (::read(go[0], &c, 1) != 1) ::_exit(2);
            ::signal(SIGSEGV, SIG_DFL);
            ::_exit(m.data()[4096] == std::byte{7} ? 0 : 1);
        }
        for (std::size_t at = 0; at < m.size(); at += 4096) m.data()[at] = std::byte{8};
        CHECK((m.huge_bytes() == m.size()) == !inherit);
        CHECK(::write(go[1], "x", 1) == 1);
        int status = 0;
        CHECK(::waitpid(child, &status, 0) == child);
        CHECK(inherit ? WIFEXITED(status) && WEXITSTATUS(status) == 0 // its copy is as it was
                      : WIFSIGNALED(status) || WEXITSTATUS(status) > 2);
        ::close(go[0]);
        ::close(go[1]);
        const merge_result r = m.remerge();
        CHECK(r.after == m.size() && r.code == 0 && m.data()[0] == std::byte{8} &&
              m.data()[1] == std::byte{7});
    }
}

} // namespace

int main() {
    lists_are_read_as_the_kernel_writes_them();
    every_processor_has_a_home_with_memory();
    a_pin_holds_and_lets_go();
    limits_of_a_control_group_count();
    if (emulated) return 0; // what follows reads smaps, and asks for more addresses than an emulator can keep
    this_machine_is_described();
    a_region_is_accounted_alone_and_fenced();
    regions_are_told_apart_by_a_shift();
    if (!thread_sanitizer) { // which leaves room for a terabyte of addresses only at times
        sizes_that_cannot_be_are_refused();
        hugetlb_says_how_to_reserve();
    }
    huge_pages_are_had_or_refused();
    little_memory_lies_on_base_pages();
    what_was_split_is_merged_again();
    a_fork_splits_unless_it_does_not_inherit();
}

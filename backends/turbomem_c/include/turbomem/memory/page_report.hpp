// SPDX-License-Identifier: BSD-3-Clause
/// What memory really lies on, read back from the kernel.
#pragma once

#include "turbomem/error.hpp"
#include "turbomem/memory/page_kind.hpp"

#include <algorithm>
#include <cinttypes>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace turbomem {

/// What a range of memory lies on. All figures in bytes.
struct page_report {
    struct on_node {
        int node; ///< the kernel's number
        std::uint64_t bytes;
        bool operator==(const on_node &) const = default;
    };

    std::uint64_t bytes = 0; ///< of the range; what the kinds lack of it is not resident
    std::uint64_t base = 0;
    std::uint64_t thp = 0;
    std::uint64_t hugetlb_2m = 0;
    std::uint64_t hugetlb_1g = 0;
    std::vector<on_node> nodes{}; ///< by number, those that hold some; empty when the kernel does not say

    std::uint64_t of(page_kind kind) const noexcept {
        switch (kind) {
        case page_kind::base:
            return base;
        case page_kind::thp:
            return thp;
        case page_kind::hugetlb_2m:
            return hugetlb_2m;
        case page_kind::hugetlb_1g:
            return hugetlb_1g;
        }
        return 0;
    }
    std::uint64_t huge() const noexcept { return thp + hugetlb_2m + hugetlb_1g; }
    std::uint64_t resident() const noexcept { return base + huge(); }
    bool wholly(page_kind kind) const noexcept { return of(kind) == bytes; }
    /// Every page that is there lies on that node; false too when the kernel does not say.
    bool only_on(int node) const noexcept { return nodes.size() == 1 && nodes[0].node == node; }

    /// Keeps `nodes` in order.
    void add(on_node more) {
        auto at = std::lower_bound(nodes.begin(), nodes.end(), more.node,
                                   [](const on_node &n, int node) { return n.node < node; });
        if (at == nodes.end() || at->node != more.node) at = nodes.insert(at, {more.node, 0});
        at->bytes += more.bytes;
    }
    page_report &operator+=(const page_report &other) {
        bytes += other.bytes;
        base += other.base;
        thp += other.thp;
        hugetlb_2m += other.hugetlb_2m;
        hugetlb_1g += other.hugetlb_1g;
        for (const on_node &n : other.nodes) add(n);
        return *this;
    }

    /// Such as "1048576 of 2097152 bytes on huge pages, node 0: 2097152".
    std::string text() const {
        std::string s = std::to_string(huge()) + " of " + std::to_string(bytes) + " bytes on huge pages";
        for (const on_node &n : nodes)
            s += ", node " + std::to_string(n.node) + ": " + std::to_string(n.bytes);
        return s;
    }
};

namespace detail {

/// Kinds of page, from /proc/self/smaps. Throws error (EIO) when no area of it lies in the range.
inline void read_kinds(page_report &r, std::uintptr_t begin, std::uintptr_t end) {
    std::ifstream file("/proc/self/smaps");
    bool seen = false, inside = false;
    std::uint64_t page = 0, rss = 0, thp = 0, hugetlb = 0;
    const auto add_area = [&] {
        if (!inside) return;
        r.thp += thp;
        r.base += rss - std::min(rss, thp);
        (page == gigantic_page / 1024 ? r.hugetlb_1g : r.hugetlb_2m) += hugetlb;
    };
    for (std::string line; std::getline(file, line);) {
        std::uintptr_t from = 0, to = 0;
        std::uint64_t kib = 0;
        const auto field = [&](const char *format) { return std::sscanf(line.c_str(), format, &kib) == 1; };
        // A field such as "AnonHugePages:" cannot match: its name is no pair of hexadecimal numbers.
        if (std::sscanf(line.c_str(), "%" SCNxPTR "-%" SCNxPTR " ", &from, &to) == 2) {
            add_area();
            inside = from >= begin && to <= end;
            seen = seen || inside;
            page = rss = thp = hugetlb = 0;
        } else if (!inside) {
            continue;
        } else if (field("KernelPageSize: %" SCNu64)) {
            page = kib;
        } else if (field("Rss: %" SCNu64)) {
            rss = kib;
        } else if (field("AnonHugePages: %" SCNu64)) {
            thp = kib;
        } else if (field("Private_Hugetlb: %" SCNu64) || field("Shared_Hugetlb: %" SCNu64)) {
            hugetlb += kib;
        }
    }
    add_area();
    if (!seen) throw error(EIO, "the memory is not listed in /proc/self/smaps");
    for (std::uint64_t *n : {&r.base, &r.thp, &r.hugetlb_2m, &r.hugetlb_1g}) *n *= 1024;
}

/// Nodes, from /proc/self/numa_maps: unlike move_pages it asks for no privilege in a sandbox.
inline void read_nodes(page_report &r, std::uintptr_t begin, std::uintptr_t end) {
    std::ifstream file("/proc/self/numa_maps");
    for (std::string line; std::getline(file, line);) {
        std::istringstream words(line);
        std::uintptr_t from = 0;
        if (!(words >> std::hex >> from) || from < begin || from >= end) continue;
        words >> std::dec;
        std::vector<page_report::on_node> pages;
        std::uint64_t page = 0;
        for (std::string word; words >> word;) {
            int node = 0;
            std::uint64_t n = 0;
            if (std::sscanf(word.c_str(), "N%d=%" SCNu64, &node, &n) == 2)
                pages.push_back({node, n});
            else
                std::sscanf(word.c_str(), "kernelpagesize_kB=%" SCNu64, &page);
        }
        for (const auto &p : pages) r.add({p.node, p.bytes * page * 1024});
    }
}

} // namespace detail

/// What lies in [start, start + bytes), whose ends are the ends of areas of memory. Reads what the kernel
/// writes about every area of the process: some microseconds an area, and more where there are many base
/// pages. Throws error (EIO) where the kernel does not tell: an unknown coverage is not a coverage of 0.
inline page_report report_pages(const void *start, std::size_t bytes) {
    const auto begin = reinterpret_cast<std::uintptr_t>(start);
    page_report r{.bytes = bytes};
    detail::read_kinds(r, begin, begin + bytes);
    detail::read_nodes(r, begin, begin + bytes);
    return r;
}

} // namespace turbomem

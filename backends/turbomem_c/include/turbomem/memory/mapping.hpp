// SPDX-License-Identifier: BSD-3-Clause
/// Memory for objects, on the kind of page and the NUMA nodes that were asked for, populated.
#pragma once

#include "turbomem/error.hpp"
#include "turbomem/memory/advice.hpp"
#include "turbomem/memory/numa_binding.hpp"
#include "turbomem/memory/page_kind.hpp"
#include "turbomem/memory/page_report.hpp"
#include "turbomem/memory/populate.hpp"
#include "turbomem/memory/room.hpp"
#include "turbomem/system/topology.hpp"

#include <sys/mman.h>
#include <sys/prctl.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

namespace turbomem {

/// What memory is to lie on.
struct page_options {
    page_kind kind = page_kind::thp;
    /// Fail rather than degrade: every byte lies on that kind after creation, or creation throws
    /// unmet_requirement. Else the next best is taken, hugetlb_1g, hugetlb_2m, thp, base, and fallback() says
    /// so.
    bool require = false;
    /// thp: regions of fewer bytes lie on base pages, which fallback() says. With `require` there is no such
    /// bound.
    std::size_t huge_from = worth_a_huge_page;
    /// A child of fork gets a copy of the memory, as of any other. Copying on write splits transparent huge
    /// pages in whichever process writes first (remerge() mends it), and needs as many hugetlb pages again:
    /// the kernel kills a child for whose write there is none. false: the child has nothing at these
    /// addresses, a touch there is SIGSEGV, and the parent's pages stay whole.
    bool inherit = true;
    /// Threads that populate a region, for as long as creation takes. 0: one for each 256 MB, as far as the
    /// calling thread may use CPUs, at most 4.
    unsigned populate_threads = 0;
};

/// What remerge() came to, in bytes on huge pages.
struct merge_result {
    std::uint64_t before, after;
    int code; ///< 0, or the errno of what the kernel could not merge: ENOMEM, EAGAIN (busy, pinned), EINVAL
};

namespace detail {
struct unmapper {
    std::size_t length = 0;
    void operator()(void *start) const noexcept { ::munmap(start, length); }
};
} // namespace detail

/// Private anonymous memory: one region, or one per NUMA node, in one reservation of addresses, with
/// inaccessible pages before, between and behind, so that running over an end faults and the kernel accounts
/// each region apart. Owns the memory; movable. Const calls may run concurrently.
class mapping {
  public:
    /// One region of `bytes`, rounded up to whole pages of its kind, wherever the kernel puts it.
    /// Throws invalid_options, out_of_memory, unmet_requirement, or error with the kernel's errno; nothing
    /// stays behind.
    mapping(std::size_t bytes, const page_options &options)
        : mapping(bytes, options, topology::pretend({{.id = 0}}), numa_mode::any_node) {}
    mapping(std::size_t bytes, page_kind kind) : mapping(bytes, page_options{.kind = kind}) {}

    /// One region of `bytes` per node. Each is bound to its node, first touched from that node's CPUs, and
    /// looked up afterwards. strict: throws unmet_requirement when one cannot lie wholly on its node.
    /// preferred: what lies elsewhere is in the report, and a binding that the kernel refuses in fallback().
    mapping(std::size_t bytes, const page_options &options, const topology &nodes, numa_mode mode)
        : options_(options), kind_(options.kind), bytes_(bytes) {
        constexpr std::size_t most = PTRDIFF_MAX / 4; // leaves room for rounding, gaps and guards
        if (bytes == 0 || bytes > most / nodes.size())
            throw invalid_options("a mapping of " + std::to_string(nodes.size()) + " x " +
                                  std::to_string(bytes) + " bytes");
        regions_ = mode == numa_mode::any_node ? 1 : nodes.size();
        if (kind_ == page_kind::thp && !options.require && bytes < options.huge_from) {
            kind_ = page_kind::base;
            note("thp: " + std::to_string(bytes) + " bytes are less than pages.huge_from, " +
                 std::to_string(options.huge_from) + ": base");
        }
        for (reserve(); !attempt(nodes, mode); reserve()) kind_ = next_best(kind_);
    }

    std::byte *data() const noexcept { return data_; }
    /// Bytes of a region.
    std::size_t size() const noexcept { return length_; }
    std::uint32_t regions() const noexcept { return regions_; }
    std::byte *region(std::uint32_t i) const noexcept { return data_ + (std::uint64_t{i} << shift_); }
    /// The region an address of this mapping lies in. Arithmetic alone: a subtraction and a shift.
    std::uint32_t region_of(const void *address) const noexcept {
        return static_cast<std::uint32_t>(offset(address) >> shift_);
    }
    /// Whether an address lies in one of the regions.
    bool contains(const void *address) const noexcept {
        return offset(address) >> shift_ < regions_ &&
               (offset(address) & ((std::uint64_t{1} << shift_) - 1)) < length_;
    }
    /// log2 of the distance from one region to the next.
    unsigned shift() const noexcept { return shift_; }

    /// How the regions are called in /proc/PID/maps, at most 79 characters. Nothing where the kernel lacks
    /// that (before 5.17, or built without CONFIG_ANON_VMA_NAME).
    void name(const char *text) const noexcept {
        constexpr int set_vma = 0x53564d41, anon_name = 0; // PR_SET_VMA, which older headers lack
        for (std::uint32_t i = 0; i < regions_; ++i) ::prctl(set_vma, anon_name, region(i), length_, text);
    }

    /// What it lies on, which is what was asked for unless fallback() says otherwise. Of thp, some or all may
    /// be base pages for want of memory: report() tells.
    page_kind kind() const noexcept { return kind_; }
    const page_options &options() const noexcept { return options_; }
    /// Empty, or why something else than what was asked for was taken, and what to do about it.
    const std::string &fallback() const noexcept { return fallback_; }

    /// What a region lies on now, as the kernel accounts it. Throws error (EIO): it does not tell.
    page_report report(std::uint32_t region_index) const {
        return report_pages(region(region_index), length_);
    }
    /// All regions together.
    page_report report() const {
        page_report sum;
        for (std::uint32_t i = 0; i < regions_; ++i) sum += report(i);
        return sum;
    }
    std::uint64_t huge_bytes() const { return report().huge(); }

    /// Put what something split since (a fork, reclaim, mprotect) on huge pages again. Only for thp; hugetlb
    /// cannot split. Objects stay where they are and may be in use: a thread that touches one just being
    /// copied waits in a page fault, tens of microseconds a huge page. Not for the measured path. Throws
    /// error (EIO) where the coverage cannot be read.
    merge_result remerge() const {
        const std::uint64_t before = huge_bytes();
        if (kind_ != page_kind::thp || before == length_ * regions_) return {before, before, 0};
        const int code = collapse();
        return {before, huge_bytes(), code};
    }

  private:
    static constexpr page_kind next_best(page_kind kind) noexcept {
        return static_cast<page_kind>(static_cast<std::uint8_t>(kind) - 1); // in the order of the enumeration
    }

    std::uint64_t offset(const void *address) const noexcept {
        return reinterpret_cast<std::uintptr_t>(address) - reinterpret_cast<std::uintptr_t>(data_);
    }

    /// Addresses, no memory yet. The distance between regions is a power of two, so that a shift tells them
    /// apart.
    void reserve() {
        const std::size_t guard = detail::base_page();
        const std::size_t alignment = std::max(page_bytes(kind_), huge_page);
        length_ = (bytes_ + page_bytes(kind_) - 1) / page_bytes(kind_) * page_bytes(kind_);
        if (regions_ > 1)
            shift_ = static_cast<unsigned>(std::bit_width(std::max(length_ + guard, alignment) - 1));
        const std::size_t span = (std::size_t{regions_ - 1} << shift_) + length_;
        const std::size_t reserved = span + alignment + 2 * guard;
        void *start =
            ::mmap(nullptr, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (start == MAP_FAILED) refuse(errno);
        reservation_ = {start, detail::unmapper{reserved}};
        const auto first = reinterpret_cast<std::uintptr_t>(start) + guard;
        data_ = reinterpret_cast<std::byte *>((first + alignment - 1) / alignment * alignment);
    }

    /// True: the regions lie on pages of kind_. False: those are not to be had, fallback_ says why; what was
    /// mapped goes with the reservation. Throws when that is not wanted, or there is nothing to fall back to.
    bool attempt(const topology &nodes, numa_mode mode) {
        if (const std::string reason = out_of_reach(nodes, mode); !reason.empty()) return degrade(reason);
        if (!is_hugetlb(kind_)) require_room(nodes, mode);
        for (std::uint32_t i = 0; i < regions_; ++i) {
            if (const int code = open(region(i)); code != 0) {
                if (is_hugetlb(kind_)) abandon(i);
                return degrade_or_refuse(code);
            }
            if (mode != numa_mode::any_node && nodes.real()) bind(i, nodes[i].id, mode);
        }
        const bool collapse_only = kind_ == page_kind::thp && detail::thp_is_off();
        const int code = detail::populate(pieces(nodes, mode), page_bytes(kind_), threads_a_region(),
                                          collapse_only ? detail::touch_and_collapse : detail::touch_all);
        if (code != 0) return degrade_or_refuse(code);
        if (kind_ == page_kind::thp) merge_new();
        if (mode == numa_mode::strict && nodes.real()) verify_nodes(nodes);
        return true;
    }

    /// Why this kind need not be tried; empty when it may.
    std::string out_of_reach(const topology &nodes, numa_mode mode) const {
        if (kind_ == page_kind::thp) return detail::no_thp_advice();
        if (!is_hugetlb(kind_)) return "";
        // Asked by a mapping that is not kept: one that is refused at a fixed address leaves a hole there.
        void *probe = ::mmap(nullptr, length_ * regions_, PROT_NONE, hugetlb_flags(), -1, 0);
        if (probe == MAP_FAILED) return detail::hugetlb_advice(kind_, length_ * regions_);
        ::munmap(probe, length_ * regions_);
        if (mode != numa_mode::strict || !nodes.real()) return "";
        for (std::uint32_t i = 0; i < regions_; ++i) {
            const auto all = hugetlb_pages::of(kind_), there = hugetlb_pages::of(kind_, nodes[i].id);
            // What the kernel may yet make on demand is not counted per node: that is tried.
            if (all && all->overcommit == 0 && there && there->free < length_ / page_bytes(kind_))
                return detail::hugetlb_advice(kind_, length_, nodes[i].id);
        }
        return "";
    }

    /// To be asked before populating: a binding for which there is no room kills the process.
    void require_room(const topology &nodes, numa_mode mode) const {
        require_memory(length_ * regions_);
        if (mode != numa_mode::strict || !nodes.real()) return;
        for (std::uint32_t i = 0; i < regions_; ++i) {
            if (const std::uint64_t room = memory_left_on(nodes[i].id); length_ > room)
                throw unmet_requirement(ENOMEM, "node " + std::to_string(nodes[i].id) + " is to hold " +
                                                    std::to_string(length_) + " bytes and has " +
                                                    std::to_string(room) +
                                                    ": take fewer or smaller objects, or numa preferred");
        }
    }

    bool degrade(const std::string &reason, int code = ENOMEM) {
        const std::string what = std::string(name_of(kind_)) + ": " + reason;
        if (options_.require) throw unmet_requirement(code, what);
        note(what);
        return false;
    }

    /// Pages of kind_ were refused when they were to be mapped or populated.
    bool degrade_or_refuse(int code) {
        if (is_hugetlb(kind_))
            degrade(detail::hugetlb_advice(kind_, length_ * regions_), ENOMEM);
        else if (kind_ == page_kind::thp && code == EINVAL)
            degrade("this kernel gives no transparent huge pages", code);
        else
            refuse(code);
        return false;
    }

    [[noreturn]] void refuse(int code) const {
        const std::string what = std::to_string(regions_) + " x " + std::to_string(length_) + " bytes of " +
                                 name_of(kind_) + " pages: " + std::strerror(code);
        if (code == ENOMEM) throw out_of_memory(what);
        throw error(code, what);
    }

    void note(const std::string &what) {
        if (fallback_.find(what) == std::string::npos) fallback_ += (fallback_.empty() ? "" : "; ") + what;
    }

    int hugetlb_flags() const noexcept {
        constexpr int size_shift = 26; // MAP_HUGE_SHIFT: the log2 of the page size lies above it
        return MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | std::countr_zero(page_bytes(kind_)) << size_shift;
    }

    /// Make a region accessible. 0 or errno.
    int open(std::byte *at) const noexcept {
        if (is_hugetlb(kind_)) {
            if (::mmap(at, length_, PROT_READ | PROT_WRITE, hugetlb_flags() | MAP_FIXED, -1, 0) == MAP_FAILED)
                return errno;
        } else {
            if (::mprotect(at, length_, PROT_READ | PROT_WRITE) != 0) return errno;
            // A kernel without transparent huge pages refuses both, and has base pages alone.
            const bool thp = kind_ == page_kind::thp;
            if (::madvise(at, length_, thp ? MADV_HUGEPAGE : MADV_NOHUGEPAGE) != 0 && thp) return errno;
        }
        return options_.inherit || ::madvise(at, length_, MADV_DONTFORK) == 0 ? 0 : errno;
    }

    /// Mapping region `refused` at its address failed and left a hole, which may be another thread's memory
    /// by now. So the reservation is not unmapped: its addresses are lost, without memory behind them.
    void abandon(std::uint32_t refused) noexcept {
        for (std::uint32_t i = 0; i < refused; ++i) ::munmap(region(i), length_);
        (void)reservation_.release();
    }

    void bind(std::uint32_t i, int node, numa_mode mode) {
        const int code = bind_memory(region(i), length_, node, mode);
        if (code == 0) return;
        const std::string what =
            "memory cannot be bound to node " + std::to_string(node) + ": " + std::strerror(code) +
            (code == EPERM ? " (a sandbox forbids mbind; in a container allow SYS_NICE)" : "");
        if (mode == numa_mode::strict) throw unmet_requirement(code, what);
        note(what); // the first touch decides then, and the report says
    }

    /// The regions, each with the CPUs of its node; without, where the thread is on that node anyway.
    std::vector<detail::piece> pieces(const topology &nodes, numa_mode mode) const {
        std::vector<detail::piece> all;
        const std::vector<int> allowed = pin::allowed();
        for (std::uint32_t i = 0; i < regions_; ++i) {
            all.push_back({region(i), length_, {}});
            const bool here = std::all_of(allowed.begin(), allowed.end(), [&](int cpu) {
                return nodes.size() == 1 && nodes.node_of_cpu(cpu) == 0;
            });
            if (mode != numa_mode::any_node && !here) all.back().cpus = nodes[i].cpus;
        }
        return all;
    }

    unsigned threads_a_region() const {
        if (options_.populate_threads != 0) return options_.populate_threads;
        constexpr std::size_t worth_a_thread = std::size_t{256} << 20, most = 4;
        return static_cast<unsigned>(std::min({length_ / worth_a_thread, pin::allowed().size(), most}));
    }

    /// Do not wait for khugepaged: it takes minutes. Only where something is missing, for it drains the lists
    /// of every CPU.
    void merge_new() {
        const std::uint64_t all = length_ * regions_;
        try {
            if (huge_bytes() == all) return;
        } catch (const error &) {
            if (options_.require) throw; // else unknown: merge, to be on the safe side
            collapse();
            return;
        }
        const int code = collapse();
        const std::uint64_t reached = huge_bytes();
        if (reached != all)
            degrade(std::to_string(reached) + " of " + std::to_string(all) +
                        " bytes came to lie on huge pages: " + detail::thp_advice(code),
                    code == 0 ? ENOMEM : code);
    }

    /// 0, or the errno of the last region that could not be merged whole.
    int collapse() const noexcept {
        int code = 0;
        for (std::uint32_t i = 0; i < regions_; ++i) {
            int tries = 3; // EAGAIN: something held a page just then
            while (::madvise(region(i), length_, detail::madv_collapse) != 0) {
                if (errno == EAGAIN && --tries != 0) continue;
                code = errno;
                break;
            }
        }
        return code;
    }

    void verify_nodes(const topology &nodes) const {
        for (std::uint32_t i = 0; i < regions_; ++i) {
            const page_report r = report(i);
            if (!r.only_on(nodes[i].id))
                throw unmet_requirement(ENOMEM, "not all memory came to lie on node " +
                                                    std::to_string(nodes[i].id) + ": " + r.text());
        }
    }

    page_options options_;
    page_kind kind_;
    std::size_t bytes_;      ///< of a region, as asked for
    std::size_t length_ = 0; ///< in whole pages
    std::uint32_t regions_ = 1;
    unsigned shift_ = 63;
    std::byte *data_ = nullptr;
    std::string fallback_;
    std::unique_ptr<void, detail::unmapper> reservation_;
};

} // namespace turbomem

// SPDX-License-Identifier: BSD-3-Clause
#include "mirror.hpp"

#include <allocmark/huge_pages.h>

#include <linux/mempolicy.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <stdexcept>
#include <utility>

#ifndef MAP_HUGE_2MB
#define MAP_HUGE_2MB (21 << 26)
#endif

namespace allocmark {

namespace {

constexpr unsigned kBlockBits = 21, kPageBits = 12;
constexpr uint64_t kBlock = uint64_t(1) << kBlockBits;
constexpr uint64_t kShare = 3; // at most one part in so many of the memory that is available

uint64_t last_byte(const Original &object) {
    return object.address + object.bytes - 1;
}

/** Has `memory` come from the NUMA node of `original`, where the kernel knows of nodes. */
void place_like(uint64_t original, char *memory, uint64_t bytes) {
    int node = -1;
    if (syscall(SYS_get_mempolicy, &node, nullptr, 0UL, original, MPOL_F_NODE | MPOL_F_ADDR) != 0) return;
    if (node < 0 || node >= 64) return;
    const uint64_t nodes = uint64_t(1) << node;
    syscall(SYS_mbind, memory, bytes, MPOL_PREFERRED, &nodes, 65UL, 0UL);
}

} // namespace

uint64_t Mirror::Run::bytes() const {
    return (last - first + 1) << kBlockBits;
}

Mirror::Mirror(std::vector<Original> originals) {
    std::sort(originals.begin(), originals.end(),
              [](const Original &a, const Original &b) { return a.address < b.address; });
    find_runs(originals);
    check_size(originals);
    for (const am_pages pages : {AM_HUGETLB, AM_THP, AM_BASE}) map_runs(pages);
    for (const Run &run : runs_) place_like(run.original, run.memory, run.bytes());
    each_stretch(originals, [](const Run &run, uint64_t page, uint64_t behind) {
        for (; page < behind; ++page) // a write: to be read, all pages could be one of zeros
            *const_cast<volatile char *>(run.memory + ((page << kPageBits) - (run.first << kBlockBits))) = 0;
    });
}

void *Mirror::at(uint64_t address) const {
    const Run &run = run_of(address);
    return run.memory + (address - (run.first << kBlockBits));
}

std::vector<allocmark_region> Mirror::regions() const {
    std::vector<allocmark_region> regions;
    for (const Run &run : runs_) regions.push_back({reinterpret_cast<uintptr_t>(run.memory), run.bytes()});
    return regions;
}

void Mirror::find_runs(const std::vector<Original> &originals) {
    uint64_t before = 0;
    for (const Original &object : originals) {
        objects_ += object.address != std::exchange(before, object.address);
        const uint64_t first = object.address >> kBlockBits, last = last_byte(object) >> kBlockBits;
        if (runs_.empty() || first > runs_.back().last + 1)
            runs_.push_back({first, last, object.address, object.pages, nullptr});
        else // one run has one page kind: its blocks must stay neighbours
            runs_.back().last = std::max(runs_.back().last, last);
    }
}

const Mirror::Run &Mirror::run_of(uint64_t address) const {
    const auto behind = std::upper_bound(runs_.begin(), runs_.end(), address >> kBlockBits,
                                         [](uint64_t block, const Run &run) { return block < run.first; });
    return *std::prev(behind);
}

/** Does `what(run, first, behind)` for stretches of the pages of 4 KB that hold objects, each page once. */
template <class What> void Mirror::each_stretch(const std::vector<Original> &originals, What what) const {
    uint64_t done = 0;
    for (const Original &object : originals) {
        const uint64_t first = std::max(done, object.address >> kPageBits);
        const uint64_t behind = (last_byte(object) >> kPageBits) + 1;
        if (first >= behind) continue;
        what(run_of(object.address), first, behind);
        done = behind;
    }
}

void Mirror::check_size(const std::vector<Original> &originals) const {
    uint64_t bytes = 0;
    for (const Run &run : runs_)
        if (run.pages != AM_BASE) bytes += run.bytes();
    each_stretch(originals, [&](const Run &run, uint64_t first, uint64_t behind) {
        if (run.pages == AM_BASE) bytes += (behind - first) << kPageBits;
    });
    const uint64_t available = allocmark_available_memory();
    if (available != 0 && bytes > available / kShare)
        throw std::runtime_error(std::to_string(bytes >> 20) +
                                 " MB are needed to lay the objects out again, more than a third of the " +
                                 std::to_string(available >> 20) +
                                 " MB of memory that are available: ask for a smaller pool");
}

/** All runs of one kind in one mapping, in the order of their originals. */
void Mirror::map_runs(am_pages pages) {
    uint64_t bytes = 0;
    for (const Run &run : runs_)
        if (run.pages == pages) bytes += run.bytes();
    if (bytes == 0) return;
    mappings_.push_back(map(pages, bytes));
    const uintptr_t mapped = reinterpret_cast<uintptr_t>(mappings_.back().get());
    char *next = mappings_.back().get() + (kBlock - mapped % kBlock) % kBlock;
    for (Run &run : runs_) {
        if (run.pages != pages) continue;
        run.memory = next;
        next += run.bytes();
    }
}

/** A mapping with room for `bytes` from the first boundary of a block in it. */
Mirror::Mapping Mirror::map(am_pages pages, uint64_t bytes) {
    constexpr int kAccess = PROT_READ | PROT_WRITE, kAnonymous = MAP_PRIVATE | MAP_ANONYMOUS;
    if (pages == AM_HUGETLB) {
        allocmark_huge_window window;
        allocmark_error error;
        if (allocmark_huge_window_open(&window, bytes, &error) == 0) {
            // Reserves the pages, so that touching them cannot fail.
            void *memory = mmap(nullptr, bytes, kAccess, kAnonymous | MAP_HUGETLB | MAP_HUGE_2MB, -1, 0);
            if (memory == MAP_FAILED) allocmark_say(&error, "mmap of huge pages: %s", strerror(errno));
            allocmark_huge_window_close(&window);
            if (memory != MAP_FAILED) return Mapping(static_cast<char *>(memory), {bytes});
        }
        note_ = error.message;
    }
    const uint64_t with_ends = bytes + kBlock;
    void *memory = mmap(nullptr, with_ends, kAccess, kAnonymous | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        throw std::runtime_error("mmap of " + std::to_string(with_ends >> 20) + " MB: " + strerror(errno));
    // A kernel that knows no huge pages refuses both, and gives base pages.
    madvise(memory, with_ends, pages == AM_BASE ? MADV_NOHUGEPAGE : MADV_HUGEPAGE);
    return Mapping(static_cast<char *>(memory), {with_ends});
}

} // namespace allocmark

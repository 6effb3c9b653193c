// SPDX-License-Identifier: BSD-3-Clause
#include "arena.hpp"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace allocmark {

namespace {

constexpr size_t kMB = size_t(1) << 20;
constexpr size_t kHalf = kMB / 2;         // of a window
constexpr size_t kEvery = 32 * kMB;       // windows are at the same place in every 32 MB: bit 24 is 0
constexpr size_t kStack = 8 * kMB;        // as threads have by default; its cold part lies below the window
constexpr size_t kStackInside = kMB / 16; // its hot part: the window's first pages
constexpr size_t kL1 = kMB / 32;          // what is larger cannot stay there, wherever it lies
constexpr size_t kHugePage = 2 * kMB;

uintptr_t up(uintptr_t address, size_t multiple) {
    return (address + multiple - 1) / multiple * multiple;
}

char *at(uintptr_t address) {
    return reinterpret_cast<char *>(address);
}

std::span<char> map(size_t bytes, int protection) {
    void *const mapped = mmap(nullptr, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED) throw std::bad_alloc();
    return {static_cast<char *>(mapped), bytes};
}

void unmap(std::span<char> range) {
    if (range.empty()) return;
#ifdef __SANITIZE_THREAD__
    // Its own munmap sometimes fails on ranges that were never used, and ends the process.
    syscall(SYS_munmap, range.data(), range.size());
#else
    munmap(range.data(), range.size());
#endif
}

} // namespace

thread_local Arena *Arena::mine = nullptr;

Arena::Arena(Half half, const Draws &draws) : page_(size_t(sysconf(_SC_PAGESIZE))), draws_(draws) {
    const std::span<char> all = map(2 * kEvery, PROT_NONE);
    const uintptr_t first = reinterpret_cast<uintptr_t>(all.data());
    const uintptr_t window = up(first, kEvery) + kStack;
    const bool actor = half == Half::kActor;
    const uintptr_t from = actor ? window - kStack - page_ : window + kHalf;
    end_ = actor ? window + kHalf : window + kMB;
    unmap(all.first(from - first));
    unmap(all.subspan(end_ - first));
    reserved_ = {at(from), end_ - from};
    madvise(reserved_.data(), reserved_.size(), MADV_NOHUGEPAGE); // a huge page for a few lines is a waste

    next_ = from;
    bool usable = true;
    if (actor) {
        const uintptr_t bottom = from + page_, top = window + kStackInside;
        usable = mprotect(at(bottom), top - bottom, PROT_READ | PROT_WRITE) == 0;
        const size_t lines = draws_.any() ? draws_.below(uint32_t(page_ / kLine)) : 0;
        stack_ = {at(bottom), top - bottom - lines * kLine};
        note("stack", 0, stack_.data(), stack_.size());
        next_ = top + page_; // behind a guard page
    }
    if (!usable || mprotect(at(next_), end_ - next_, PROT_READ | PROT_WRITE) != 0) {
        unmap(reserved_);
        throw std::bad_alloc();
    }
}

Arena::~Arena() {
    for (const std::span<char> range : elsewhere_) unmap(range);
    unmap(reserved_);
}

char *Arena::place(const char *what, uint32_t index, size_t bytes, size_t alignment, size_t mapped) {
    const bool drawn = draws_.any(), new_page = drawn || mapped > 0;
    const size_t offset = drawn ? draws_.below(uint32_t(page_ / kLine)) * kLine : next_ % page_;
    const uintptr_t begin = up(new_page ? up(next_, page_) + offset : next_, std::max(alignment, kLine));
    const uintptr_t end = up(mapped > 0 ? begin / page_ * page_ + mapped : begin + bytes, kLine);
    if (bytes > kL1 || end > end_) return elsewhere(what, index, bytes, alignment, mapped, offset);
    // The next piece has other sets than this one, also where it begins on a page of its own.
    next_ = mapped > 0 && !drawn ? up(end, page_) + up(begin + bytes, kLine) % page_ : end;
    note(what, index, at(begin), bytes);
    return at(begin);
}

char *Arena::elsewhere(const char *what, uint32_t index, size_t bytes, size_t alignment, size_t mapped,
                       size_t offset) {
    const bool huge = mapped == 0 && bytes >= kHugePage; // so that the harness needs few TLB entries
    const size_t multiple = std::max({page_, alignment, huge ? kHugePage : 0});
    const std::span<char> range =
        map(2 * multiple + up(std::max(bytes, mapped) + page_, page_), PROT_READ | PROT_WRITE);
    elsewhere_.push_back(range);
    const uintptr_t first = up(reinterpret_cast<uintptr_t>(range.data()), multiple);
    const uintptr_t begin = up(first + offset, std::max(alignment, kLine));
    if (huge) madvise(at(first), up(bytes + page_, kHugePage), MADV_HUGEPAGE);
    note(what, index, at(begin), bytes);
    return at(begin);
}

} // namespace allocmark

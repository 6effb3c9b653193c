// SPDX-License-Identifier: BSD-3-Clause
/** What an actor holds: a ring of object pointers, oldest first, of one pool. */
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <new>

#include "arena.hpp"

namespace allocmark {

/**
 * The slots are mapped twice, one copy right behind the other, so that any run of up to `capacity` slots is
 * contiguous: a bulk never has to be split, and no branch asks for it. They may begin anywhere in their first
 * page, which for that is mapped a third time. The arena owns them.
 *
 * Invariant: size() == tail - head <= capacity, in wrapping 32-bit arithmetic.
 */
class Ring {
  public:
    Ring() = default;
    /** For at least `wanted` objects of pool `index`. */
    Ring(Arena &arena, uint32_t index, uint32_t wanted) {
        const size_t page = size_t(sysconf(_SC_PAGESIZE));
        size_t bytes = page;
        while (bytes < size_t(wanted) * sizeof(void *)) bytes *= 2;
        const size_t all = 2 * bytes + page;
        char *const first = arena.take_pages("ring", index, wanted * sizeof(void *), all);
        char *const pages = first - reinterpret_cast<uintptr_t>(first) % page;
        const int fd = memfd_create("allocmark-ring", MFD_CLOEXEC);
        if (fd < 0) throw std::bad_alloc();
        bool mapped = ftruncate(fd, off_t(bytes)) == 0;
        for (size_t done = 0; mapped && done < all; done += bytes)
            mapped = mmap(pages + done, std::min(bytes, all - done), PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_FIXED | MAP_POPULATE, fd, 0) != MAP_FAILED;
        close(fd);
        if (!mapped) throw std::bad_alloc();
        slots_ = reinterpret_cast<void **>(first);
        mask_ = uint32_t(bytes / sizeof(void *)) - 1;
    }

    size_t capacity() const { return slots_ ? size_t(mask_) + 1 : 0; }
    uint32_t size() const { return tail_ - head_; }

    /** Room for the next n objects; they count once `grow` is called. */
    void **room() { return slots_ + (tail_ & mask_); }
    void grow(uint32_t n) { tail_ += n; }

    void **oldest() { return slots_ + (head_ & mask_); }
    void drop_oldest(uint32_t n) {
        head_ += n;
        restart_when_empty();
    }

    void **newest(uint32_t n) { return slots_ + ((tail_ - n) & mask_); }
    void drop_newest(uint32_t n) {
        tail_ -= n;
        restart_when_empty();
    }

    /** Any slot, held or not: even old pointers tell a probe where objects lie. */
    void *slot(size_t i) const { return slots_[i]; }

  private:
    /** Uses the same few slots again, as a hand-written loop would, instead of walking round the whole ring.
     */
    void restart_when_empty() {
        if (head_ == tail_) head_ = tail_ = 0;
    }

    void **slots_ = nullptr;
    uint32_t head_ = 0, tail_ = 0; // one aligned word: both are cleared at once
    uint32_t mask_ = 0;
};

} // namespace allocmark

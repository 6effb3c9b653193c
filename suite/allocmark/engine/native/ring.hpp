// SPDX-License-Identifier: BSD-3-Clause
/** What an actor holds: a ring of object pointers, oldest first, of one pool. */
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>

namespace allocmark {

/**
 * The slots are mapped twice, one copy right behind the other, so that any run of up to `capacity` slots is
 * contiguous: a bulk never has to be split, and no branch asks for it.
 *
 * Invariant: size() == tail - head <= capacity, in wrapping 32-bit arithmetic.
 */
class Ring {
  public:
    Ring() = default;
    explicit Ring(uint32_t wanted) {
        const size_t page = size_t(sysconf(_SC_PAGESIZE));
        size_t bytes = page;
        while (bytes < size_t(wanted) * sizeof(void *)) bytes *= 2;
        const int fd = memfd_create("allocmark-ring", MFD_CLOEXEC);
        if (fd < 0) throw std::bad_alloc();
        void *twice = MAP_FAILED;
        if (ftruncate(fd, off_t(bytes)) == 0)
            twice = mmap(nullptr, 2 * bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        bool mapped = twice != MAP_FAILED;
        for (size_t copy = 0; mapped && copy < 2; ++copy)
            mapped = mmap(static_cast<char *>(twice) + copy * bytes, bytes, PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_FIXED | MAP_POPULATE, fd, 0) != MAP_FAILED;
        close(fd);
        if (!mapped) {
            if (twice != MAP_FAILED) munmap(twice, 2 * bytes);
            throw std::bad_alloc();
        }
        slots_ = static_cast<void **>(twice);
        mask_ = uint32_t(bytes / sizeof(void *)) - 1;
    }
    ~Ring() {
        if (slots_) munmap(slots_, 2 * capacity() * sizeof(void *));
    }
    Ring(Ring &&other) noexcept { *this = std::move(other); }
    Ring &operator=(Ring &&other) noexcept {
        std::swap(slots_, other.slots_);
        std::swap(mask_, other.mask_);
        std::swap(head_, other.head_);
        std::swap(tail_, other.tail_);
        return *this;
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
    uint32_t mask_ = 0;
    uint32_t head_ = 0, tail_ = 0;
};

} // namespace allocmark

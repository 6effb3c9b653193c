// SPDX-License-Identifier: BSD-3-Clause
/** An array of object pointers in which every write is seen: what a get is given when it is checked. */
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

namespace allocmark {

class GuardedArray {
  public:
    /** Room for n pointers, of which none is written yet. */
    void **room(uint32_t n) {
        n_ = n;
        if (slots_.size() < n + 2 * kGuard) slots_.resize(n + 2 * kGuard);
        std::fill_n(slots_.data(), n + 2 * kGuard, unwritten());
        return slots_.data() + kGuard;
    }

    /** Whether a slot before or behind the room was written; `index` says which, counted from the first. */
    bool written_outside(int64_t &index) const {
        for (uint32_t i = 0; i < kGuard; ++i) {
            if (slots_[kGuard + n_ + i] != unwritten()) return found(index, int64_t(n_) + i);
            if (slots_[kGuard - 1 - i] != unwritten()) return found(index, -1 - int64_t(i));
        }
        return false;
    }

    /** Whether a slot of the room was not written; `index` says which. */
    bool left_out(int64_t &index) const {
        for (uint32_t i = 0; i < n_; ++i)
            if (slots_[kGuard + i] == unwritten()) return found(index, i);
        return false;
    }

  private:
    static constexpr uint32_t kGuard = 4;
    static void *unwritten() { return reinterpret_cast<void *>(uintptr_t(0x5a5a5a5a5a5a5a5a)); }
    static bool found(int64_t &index, int64_t which) {
        index = which;
        return true;
    }

    std::vector<void *> slots_;
    uint32_t n_ = 0;
};

/** A copy of what a put was given, to see that it was only read. */
class ArrayCopy {
  public:
    void of(void *const *objects, uint32_t n) { copy_.assign(objects, objects + n); }
    /** Whether `objects` are no longer the same; `index` says which. */
    bool changed(void *const *objects, int64_t &index) const {
        const auto [mine, theirs] = std::mismatch(copy_.begin(), copy_.end(), objects);
        index = mine - copy_.begin();
        return mine != copy_.end();
    }

  private:
    std::vector<void *> copy_;
};

} // namespace allocmark

// SPDX-License-Identifier: BSD-3-Clause
/// Marks on objects that are out, by plain writes, so that ThreadSanitizer sees a hand-over that was left
/// unordered.
#pragma once

#include "check.hpp"

#include <array>
#include <atomic>
#include <cstdint>

inline constexpr std::uint64_t stamped_size = 40;

struct stamp {
    std::uint64_t first, between[3], last;
};
static_assert(sizeof(stamp) == stamped_size);

/// Mark an object that was got.
inline void hold(void *object) {
    auto *s = static_cast<stamp *>(object);
    CHECK(s->first == 0 && s->last == 0); // else it is out already, or overlaps one that is
    s->first = s->last = reinterpret_cast<std::uintptr_t>(object);
}

/// Unmark an object before it is put.
inline void release(void *object) {
    auto *s = static_cast<stamp *>(object);
    CHECK(s->first == reinterpret_cast<std::uintptr_t>(object) && s->last == s->first);
    s->first = s->last = 0;
}

/// Where threads swap objects with each other, so that most are put by another thread than got them.
class swap_board {
  public:
    void *swap(std::uint32_t place, void *object) {
        return places_[place % places_.size()].exchange(object, std::memory_order_acq_rel);
    }
    std::array<std::atomic<void *>, 64> &places() { return places_; }

  private:
    std::array<std::atomic<void *>, 64> places_{};
};

// SPDX-License-Identifier: BSD-3-Clause
/** What one actor got in a sample, in order, as far as there is room. */
#pragma once

#include <cstdint>

#include "engine.h"

namespace allocmark {

class Recorder {
  public:
    void start(am_event *room, uint64_t capacity) {
        next_ = room;
        end_ = room + capacity;
    }

    void got(uint32_t actor, uint32_t pool, void *const *objects, uint32_t n) {
        for (uint32_t i = 0; i < n && next_ != end_; ++i)
            *next_++ = {reinterpret_cast<uintptr_t>(objects[i]), uint16_t(actor), uint16_t(pool), 0};
    }

    /** Behind the last one that was written. */
    const am_event *end() const { return next_; }

  private:
    am_event *next_ = nullptr, *end_ = nullptr;
};

} // namespace allocmark

// SPDX-License-Identifier: BSD-3-Clause
/** Plays calls on the malloc functions of a backend. */
#pragma once

#include "allocmark/backend.h"
#include "played_call.hpp"

namespace allocmark {

class OnMalloc {
  public:
    /** What a thread needs: nothing. */
    struct Own {};

    explicit OnMalloc(const allocmark_any_size &functions) : to_(functions) {}

    bool begin(allocmark_error &) { return true; }
    bool enter(Own &, uint32_t, int32_t, allocmark_error &) { return true; }
    void leave(Own &) {}

    /** Nothing, or why it failed. What objects had is still in their slots. */
    const char *play(Own &, Bulk calls, Slot *slots) {
        for (const Call &call : calls)
            if (const char *why = play(call, slots[call.slot])) return why;
        return nullptr;
    }
    void give_back(Own &, Slot &slot) { to_.free(slot.object); }

  private:
    const char *play(const Call &call, Slot &slot) {
        switch (TraceOp(call.op)) {
        case TraceOp::kMalloc:
            slot.object = to_.malloc(call.size);
            break;
        case TraceOp::kCalloc:
            slot.object = to_.calloc(1, call.size);
            break;
        case TraceOp::kAligned:
            slot.object = to_.aligned(size_t(1) << call.place, call.size);
            break;
        case TraceOp::kRealloc: {
            void *const moved = to_.realloc(slot.object, call.size);
            if (!moved) return "it had no memory for a realloc";
            slot.object = moved;
            return nullptr;
        }
        default:
            to_.free(slot.object);
            slot.object = nullptr;
            return nullptr;
        }
        return slot.object ? nullptr : "it had no memory for an object";
    }

    const allocmark_any_size to_;
};

} // namespace allocmark

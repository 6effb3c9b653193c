// SPDX-License-Identifier: BSD-3-Clause
/** Plays calls on the pools of a backend, one for each size class or for each pool that the program had. */
#pragma once

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "allocmark/backend.h"
#include "played_call.hpp"

namespace allocmark {

class OnPools {
  public:
    /** What a thread needs. */
    struct Own {
        std::vector<void *> handles;
        std::vector<void *> objects; // of a bulk
    };

    OnPools(const allocmark_backend &table, const am_play_plan &plan) : to_(table), plan_(plan) {}

    /** Makes the pools; false: `error`. */
    bool begin(allocmark_error &error) {
        for (uint32_t i = 0; i < plan_.n_pools; ++i) {
            const am_trace_pool &pool = plan_.pools[i];
            allocmark_pool_spec spec{};
            spec.size = sizeof spec;
            spec.cache = pool.cache;
            spec.name = pool.name;
            spec.object_size = pool.object_size;
            spec.objects = pool.objects;
            spec.working_set = pool.working_set;
            spec.alignment = pool.alignment ? uint64_t(1) << pool.alignment : 0;
            spec.node = -1;
            spec.max_threads = plan_.max_threads + 1; // and the main one, which puts back what is left
            pools_.push_back(nullptr);
            if (to_.pool_create(&spec, &pools_[i], &error) != 0) return false;
            empty_.push_back(std::string("pool '") + pool.name + "' of " + std::to_string(pool.objects) +
                             " objects had none left");
        }
        return true;
    }

    /** The calling thread uses all pools from now on; `place` is nobody else's. False: `error`. */
    bool enter(Own &own, uint32_t place, int32_t cpu, allocmark_error &error) {
        const allocmark_thread thread{sizeof thread, place, cpu, -1};
        for (void *pool : pools_) {
            void *handle = nullptr;
            if (to_.thread_enter(pool, &thread, &handle, &error) != 0) return false;
            own.handles.push_back(handle);
        }
        own.objects.resize(1);
        return true;
    }
    void leave(Own &own) {
        for (size_t i = own.handles.size(); i > 0; --i) to_.thread_leave(pools_[i - 1], own.handles[i - 1]);
        own.handles.clear();
    }

    /** Nothing, or why it failed. What objects had is still in their slots. */
    const char *play(Own &own, Bulk calls, Slot *slots) {
        const Call &first = calls[0];
        if (first.op == uint64_t(TraceOp::kRealloc)) return resize(own, first, slots[first.slot]);
        if (own.objects.size() < calls.size()) own.objects.resize(calls.size());
        void **const objects = own.objects.data();
        const auto n = uint32_t(calls.size());
        if (first.op == uint64_t(TraceOp::kFree)) {
            for (uint32_t i = 0; i < n; ++i) objects[i] = std::exchange(slots[calls[i].slot].object, nullptr);
            put(own, slots[first.slot].pool, objects, n);
            return nullptr;
        }
        const auto pool = uint32_t(first.place);
        if (to_.get_bulk(pools_[pool], own.handles[pool], objects, n) != 0) return empty_[pool].c_str();
        for (uint32_t i = 0; i < n; ++i) {
            Slot &slot = slots[calls[i].slot];
            slot.object = objects[i];
            slot.pool = pool;
        }
        if (first.op == uint64_t(TraceOp::kCalloc)) std::memset(objects[0], 0, first.size);
        return nullptr;
    }
    void give_back(Own &own, Slot &slot) { put(own, slot.pool, &slot.object, 1); }

  private:
    void put(Own &own, uint32_t pool, void *const *objects, uint32_t n) {
        to_.put_bulk(pools_[pool], own.handles[pool], objects, n);
    }

    /** Within its class an object stays where it is. */
    const char *resize(Own &own, const Call &call, Slot &slot) {
        const auto pool = uint32_t(call.place);
        if (pool == slot.pool) return nullptr;
        void *moved;
        if (to_.get_bulk(pools_[pool], own.handles[pool], &moved, 1) != 0) return empty_[pool].c_str();
        std::memcpy(moved, slot.object, std::min<uint64_t>(slot.size, call.size));
        put(own, slot.pool, &slot.object, 1);
        slot.object = moved;
        slot.pool = pool;
        return nullptr;
    }

    const allocmark_backend to_;
    const am_play_plan &plan_;
    std::vector<void *> pools_;
    std::vector<std::string> empty_; // by pool: what is said then
};

} // namespace allocmark

// SPDX-License-Identifier: BSD-3-Clause
#include "size_classes.hpp"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <unordered_map>

#include "trace_order.hpp"

namespace allocmark {
namespace {

constexpr uint64_t kMostCached = 256, kMostCachedBytes = 1 << 16; // of a size class, by a thread

/**
 * How many objects of each pool may be out at once, in whatever order threads run between two points: those
 * that are out at the first one, and the most that each thread can add. Nor more than the pool has slots.
 */
class Needs {
  public:
    void get(uint32_t slot, uint32_t thread, uint16_t pool) {
        if (slot >= pools_.size()) pools_.resize(std::max<size_t>(slot + 1, 2 * pools_.size()), kNone);
        slots_[pool] += pools_[slot] != pool; // more than there are, when a slot changes its pool
        pools_[slot] = pool;
        Run &run = runs_[uint64_t(thread) << 16 | pool];
        run.most = std::max(run.most, ++run.now);
    }
    void put(uint32_t slot, uint32_t thread) { --runs_[uint64_t(thread) << 16 | pools_[slot]].now; }
    /** An object moves to another pool: for a moment there are two. */
    void move(uint32_t slot, uint32_t thread, uint16_t pool) {
        const uint16_t before = pools_[slot];
        if (pool == before) return;
        get(slot, thread, pool);
        --runs_[uint64_t(thread) << 16 | before].now;
    }
    void point() {
        std::array<int64_t, AM_MOST_POOLS> most{};
        for (const auto &[key, run] : runs_) most[key & 0xffff] += run.most;
        for (size_t pool = 0; pool < out_.size(); ++pool)
            need_[pool] = std::max(need_[pool], out_[pool] + most[pool]);
        for (const auto &[key, run] : runs_) out_[key & 0xffff] += run.now;
        runs_.clear();
    }
    /** After the last point; 0: the pool was not used. */
    uint64_t of(uint16_t pool) const { return uint64_t(std::min(need_[pool], slots_[pool])); }

  private:
    static constexpr uint16_t kNone = ~uint16_t(0);

    struct Run {
        int64_t now = 0, most = 0; // gets less puts since the point
    };
    std::vector<uint16_t> pools_; // by slot
    std::unordered_map<uint64_t, Run> runs_;
    std::array<int64_t, AM_MOST_POOLS> out_{}, need_{}, slots_{};
};

/** Numbers the classes that occur, with the pools that serve them. */
class Found {
  public:
    explicit Found(std::vector<am_trace_pool> &pools) : pools_(pools), by_(SizeClasses::kClasses) {
        for (auto &each : by_) each.fill(kNone);
    }
    uint16_t pool_of(const TraceEvent &event) {
        const uint32_t size_class = SizeClasses::class_of(event.size);
        const uint32_t alignment = SizeClasses::alignment_of(event);
        uint16_t &pool = by_[size_class][alignment];
        if (pool != kNone) return pool;
        pool = uint16_t(pools_.size());
        am_trace_pool made{};
        made.object_size = SizeClasses::bytes(size_class);
        made.alignment = alignment;
        const auto size = (unsigned long long)made.object_size;
        if (alignment == SizeClasses::kUsual)
            std::snprintf(made.name, sizeof made.name, "c%llu", size);
        else
            std::snprintf(made.name, sizeof made.name, "c%llu_by_%llu", size, 1ull << alignment);
        pools_.push_back(made);
        return pool;
    }

  private:
    static constexpr uint16_t kNone = ~uint16_t(0);
    std::vector<am_trace_pool> &pools_;
    std::vector<std::array<uint16_t, 41>> by_;
};

} // namespace

bool pools_of(const TraceFile &file, std::vector<am_trace_pool> &pools, Damage &damage) {
    pools = file.pools;
    Found classes(pools);
    auto needs = std::make_unique<Needs>();
    TraceOrder order(file);
    TraceEvent event;
    uint32_t thread, point = 0;
    while (order.next(event, thread)) {
        if (order.point() != point) needs->point();
        point = order.point();
        if (event.op == TraceOp::kFree) {
            needs->put(event.slot, thread);
            continue;
        }
        const uint16_t pool = file.pools.empty() ? classes.pool_of(event) : event.pool;
        if (event.op == TraceOp::kRealloc)
            needs->move(event.slot, thread, pool);
        else
            needs->get(event.slot, thread, pool);
    }
    needs->point();
    damage = order.damage;
    for (uint16_t i = 0; i < pools.size(); ++i) {
        am_trace_pool &pool = pools[i];
        const uint64_t most = pool.working_set = std::max<uint64_t>(1, needs->of(i));
        if (file.pools.empty())
            pool.cache = uint32_t(std::min({kMostCached, kMostCachedBytes / pool.object_size, most}));
        // A cache may hold twice as much as it says.
        pool.objects = std::max(pool.objects, most + 2 * uint64_t(pool.cache) * order.most_threads);
    }
    return damage.what.empty();
}

} // namespace allocmark

// SPDX-License-Identifier: BSD-3-Clause
/// One exchange per NUMA node: a thread gets from its own node, and what it frees goes home.
#pragma once

#include "turbomem/error.hpp"
#include "turbomem/exchange/exchange.hpp"
#include "turbomem/memory/mapping.hpp"
#include "turbomem/memory/numa_binding.hpp"
#include "turbomem/system/topology.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace turbomem {

/// Objects of `objects` that are at home on node i of k: as even as it goes, the first nodes have one more.
constexpr std::uint64_t objects_on_node(std::uint64_t objects, std::uint32_t i, std::uint32_t k) noexcept {
    return objects / k + (i < objects % k ? 1 : 0);
}

/// What crossed nodes since the exchange was made. In objects.
struct numa_counters {
    relaxed<std::uint64_t> fallback_gets; ///< got from another node because the thread's own had no more
    relaxed<std::uint64_t> foreign_puts; ///< put by a thread of another node than the object's, and sent home

    numa_counters &operator+=(const numa_counters &more) noexcept {
        fallback_gets += more.fallback_gets;
        foreign_puts += more.foreign_puts;
        return *this;
    }
};

namespace detail {

/// Calls `body(node, objects, n)` for each run of objects of one node.
template <class Body>
void for_each_node(const mapping &memory, void *const *objects, std::uint32_t n, Body body) {
    for (std::uint32_t i = 0; i < n;) {
        const std::uint32_t node = memory.region_of(objects[i]);
        std::uint32_t end = i + 1;
        while (end < n && memory.region_of(objects[end]) == node) ++end;
        body(node, objects + i, end - i);
        i = end;
    }
}

} // namespace detail

/// A thread's cache on its own node, and the way to those it has on the other nodes, which is where objects
/// of those nodes wait for going home together, a magazine at a time. Used as `cache` is, by one thread at a
/// time, and with its progress guarantees: wait-free within the cache, else lock-free.
///
/// Nothing is stranded: what waits in a foreign cache is what this thread caches there, so it is handed over
/// when a magazine is full, when the thread leaves, and to a get on that node that would fail otherwise.
///
/// On one node get and put are `cache`'s, instruction for instruction, until that has to visit the depot.
class numa_cache : private cache {
  public:
    /// Take n objects, all or none, from the thread's node. preferred: when that has too few, from there and
    /// from other nodes, the nearest first; while such a get collects, another's may fail for what it gives
    /// back if even that is too little. strict: false.
    [[nodiscard]] bool get_bulk(void **objects, std::uint32_t n) noexcept {
        return get_at_once(objects, n) || get_otherwise(objects, n);
    }

    /// As many as there are, up to n.
    [[nodiscard]] std::uint32_t get_up_to(void **objects, std::uint32_t n) noexcept {
        const std::uint32_t got = cache::get_up_to(objects, n);
        return got == n || !fall_back_ ? got : got + get_from_others(objects + got, n - got);
    }

    /// Give objects back, to the node that each is of.
    void put_bulk(void *const *objects, std::uint32_t n) noexcept {
        if (!put_at_once(objects, n, limit())) put_otherwise(objects, n);
    }

    /// Objects the thread holds, those in its caches on other nodes included. Exact while it is in no call.
    std::uint64_t objects() const noexcept {
        std::uint64_t n = 0;
        for (std::uint32_t i = 0; i < nodes_; ++i) n += caches_[i]->cache::objects();
        return n;
    }

    using cache::count_get, cache::count_put;

    std::uint32_t node() const noexcept { return node_; }
    /// The thread runs on another node from now on and goes on with what this returns. What it has cached
    /// stays where it is and is found there.
    [[nodiscard]] numa_cache &move_to(std::uint32_t node) noexcept { return *caches_[node]; }

    /// Of the slot since the exchange was made. Those of guests the exchange keeps.
    const numa_counters &counters() const noexcept { return crossed_; }

  private:
    template <class> friend class basic_exchange;
    friend class numa_exchange;

    /// One pass without a branch per object; compilers vectorise it.
    bool any_foreign(void *const *objects, std::uint32_t n) const noexcept {
        const auto begin = reinterpret_cast<std::uintptr_t>(begin_);
        std::uintptr_t farthest = 0;
        for (std::uint32_t i = 0; i < n; ++i)
            farthest |= reinterpret_cast<std::uintptr_t>(objects[i]) - begin; // wraps below the region
        return farthest >> shift_ != 0;
    }

    numa_cache &on(std::uint32_t node) const noexcept { return *caches_[node]; }

    /// Where there are several nodes every put comes here, see look_at_puts().
    [[gnu::noinline]] void put_otherwise(void *const *objects, std::uint32_t n) noexcept {
        if (nodes_ == 1) return put_slowly(objects, n);
        if (!any_foreign(objects, n)) return put_here(objects, n);
        std::uint64_t foreign = 0;
        detail::for_each_node(*memory_, objects, n,
                              [&](std::uint32_t node, void *const *some, std::uint32_t k) {
                                  on(node).put_here(some, k);
                                  foreign += node == node_ ? 0 : k;
                              });
        count(&numa_counters::foreign_puts, foreign);
    }

    [[gnu::noinline]] bool get_otherwise(void **objects, std::uint32_t n) noexcept {
        if (get_slowly(objects, n)) return true;
        if (!fall_back_) return false;
        const std::uint32_t here = cache::get_up_to(objects, n);
        const std::uint32_t got = here + take_from_others(objects + here, n - here);
        if (got == n) {
            count(&numa_counters::fallback_gets, got - here);
            found_elsewhere();
            return true;
        }
        detail::for_each_node(
            *memory_, objects, got,
            [&](std::uint32_t node, void *const *some, std::uint32_t k) { on(node).put_here(some, k); });
        return false;
    }

    [[gnu::noinline]] std::uint32_t get_from_others(void **objects, std::uint32_t n) noexcept {
        const std::uint32_t got = take_from_others(objects, n);
        count(&numa_counters::fallback_gets, got);
        return got;
    }

    std::uint32_t take_from_others(void **objects, std::uint32_t n) noexcept {
        std::uint32_t got = 0;
        for (std::uint32_t i = 1; i < nodes_ && got < n; ++i) // order_[0] is the node itself
            got += on(order_[i]).cache::get_up_to(objects + got, n - got);
        return got;
    }

    /// Guests have no slot in which their sums could stay.
    void count(relaxed<std::uint64_t> numa_counters::*counter, std::uint64_t more) noexcept {
        if (guests_crossed_ == nullptr)
            crossed_.*counter += more;
        else
            (guests_crossed_->*counter).add(more);
    }

    bool fall_back_ = false; ///< several nodes, and the mode is preferred
    std::uint8_t shift_ = 0;
    std::uint32_t node_ = 0;
    std::uint32_t nodes_ = 0;
    const std::byte *begin_ = nullptr; ///< of the node's region
    numa_cache **caches_ = nullptr;    ///< the thread's, one per node, this one among them
    const std::uint32_t *order_ = nullptr;
    const mapping *memory_ = nullptr;
    numa_counters crossed_;
    numa_counters *guests_crossed_ = nullptr; ///< of a guest: where all of them count
};

/// One exchange per region of `memory`, each with the objects of its node. Used as `exchange` is. The memory
/// is somebody else's and outlives it.
///
/// Create and destroy with no other thread about. Everything else runs concurrently, without a lock and
/// without waiting for another thread.
class numa_exchange {
  public:
    using cache_type = numa_cache;
    using one = basic_exchange<numa_cache>;

    /// Bytes that a region must have for its node's share of the objects, `stride` bytes apart; UINT64_MAX
    /// when those cannot be addressed.
    static constexpr std::uint64_t region_bytes(std::uint64_t objects, std::uint64_t stride,
                                                std::uint32_t nodes) noexcept {
        std::uint64_t bytes = 0;
        return __builtin_mul_overflow(objects_on_node(objects, 0, nodes), stride, &bytes) ? UINT64_MAX
                                                                                          : bytes;
    }

    /// Bytes of memory that it takes beside the objects. Throws invalid_options.
    static std::uint64_t bytes_for(const exchange_options &options, std::uint32_t nodes) {
        std::uint64_t sum = std::uint64_t{options.max_threads} * nodes * sizeof(numa_cache *);
        for (std::uint32_t i = 0; i < nodes; ++i) sum += one::bytes_for(share(options, i, nodes));
        return sum;
    }

    /// `options.objects` is the sum over all nodes, `options.max_threads` that of the threads of all nodes:
    /// each has a cache on every node. `nodes` is the topology that `memory` was made with; magazines and
    /// caches of a node lie near it where the kernel allows. Fills it with every object. Throws
    /// invalid_options, out_of_memory.
    numa_exchange(const exchange_options &options, numa_mode mode, const mapping &memory, std::size_t stride,
                  topology nodes)
        : options_(options), memory_(&memory), topology_(std::move(nodes)), nodes_(memory.regions()) {
        if (nodes_ > 1 && nodes_ != topology_.size())
            throw invalid_options("memory of " + std::to_string(nodes_) + " regions for " +
                                  std::to_string(topology_.size()) + " nodes");
        if (region_bytes(options.objects, stride, nodes_) > memory.size())
            throw invalid_options("the objects of a node do not fit into its region of " +
                                  std::to_string(memory.size()) + " bytes");
        for (std::uint32_t i = 0; i < nodes_; ++i) {
            std::optional<allocate_near> near;
            if (nodes_ > 1 && topology_.real()) near.emplace(topology_[i].id);
            exchanges_.emplace_back(share(options, i, nodes_));
            exchanges_.back().stock(memory.region(i), stride, objects_on_node(options.objects, i, nodes_));
            const std::vector<std::uint32_t> order = topology_.by_distance(i);
            orders_.emplace_back(order.begin(), order.begin() + nodes_);
        }
        options_.magazine = exchanges_.front().options().magazine;
        falls_back_ = nodes_ > 1 && mode != numa_mode::strict;
        caches_.resize(std::size_t{options.max_threads} * nodes_);
    }

    numa_exchange(const numa_exchange &) = delete;
    numa_exchange &operator=(const numa_exchange &) = delete;

    /// The calling thread takes a slot, on the node where it runs at this moment (pin it first) or on one
    /// that it names. Lock-free. Throws invalid_slot: EINVAL, EBUSY.
    [[nodiscard]] numa_cache &enter(std::uint32_t slot) { return enter(slot, current_node()); }
    [[nodiscard]] numa_cache &enter(std::uint32_t slot, std::uint32_t node) {
        if (node >= nodes_)
            throw invalid_slot(EINVAL, "node " + std::to_string(node) + " of a pool made for " +
                                           std::to_string(nodes_) + " nodes");
        return furnish_slot(exchanges_[0].enter(slot), node);
    }
    /// The first slot that is free; when none is, as a guest. Lock-free but for memory. Throws
    /// std::bad_alloc.
    [[nodiscard]] numa_cache &enter() {
        numa_cache *const first = exchanges_[0].try_enter();
        return first != nullptr ? furnish_slot(*first, current_node()) : enter_as_guest();
    }
    /// Without a slot: nothing stays with the thread between two calls, on no node. Throws std::bad_alloc.
    [[nodiscard]] numa_cache &enter_as_guest() {
        auto mine = std::make_unique<numa_cache *[]>(nodes_);
        std::uint32_t made = 0;
        try {
            for (; made < nodes_; ++made) mine[made] = &exchanges_[made].enter_as_guest();
        } catch (...) {
            while (made-- != 0) exchanges_[made].leave(*mine[made]);
            throw;
        }
        for (std::uint32_t i = 0; i < nodes_; ++i) mine[i]->guests_crossed_ = &guests_crossed_;
        return furnish(mine.release(), current_node());
    }

    /// Give a slot up, through any of the thread's caches; what it cached goes to the depots of its nodes.
    /// Lock-free. By the thread that entered, or, once that thread is gone, by one that knows so.
    void leave(numa_cache &c) noexcept {
        numa_cache **const mine = c.caches_;
        const bool guest = exchanges_[0].is_guest(*mine[0]);
        // Node 0 last: whoever has its slot has those of the others.
        for (std::uint32_t i = nodes_; i-- != 0;) exchanges_[i].leave(*mine[i]);
        if (guest) delete[] mine;
    }

    /// For threads that have not entered. A get takes all from one node: its own, or, preferred, the nearest
    /// that has as many.
    [[nodiscard]] bool get_bulk(void **objects, std::uint32_t n) noexcept {
        const std::uint32_t here = current_node();
        for (std::uint32_t node : orders_[here]) {
            if (exchanges_[node].get_bulk(objects, n)) {
                if (node != here) guests_crossed_.fallback_gets.add(n);
                return true;
            }
            if (!falls_back_) break;
        }
        return false;
    }
    [[nodiscard]] std::uint32_t get_up_to(void **objects, std::uint32_t n,
                                          std::uint32_t number = detail::thread_number()) noexcept {
        const std::uint32_t here = current_node();
        std::uint32_t got = 0, near = 0;
        for (std::uint32_t node : orders_[here]) {
            got += exchanges_[node].get_up_to(objects + got, n - got, number);
            if (node == here) near = got;
            if (got == n || !falls_back_) break;
        }
        if (got != near) guests_crossed_.fallback_gets.add(got - near);
        return got;
    }
    void put_bulk(void *const *objects, std::uint32_t n) noexcept {
        const std::uint32_t here = current_node();
        std::uint64_t foreign = 0;
        detail::for_each_node(*memory_, objects, n,
                              [&](std::uint32_t node, void *const *some, std::uint32_t k) {
                                  exchanges_[node].put_bulk(some, k);
                                  foreign += node == here ? 0 : k;
                              });
        if (foreign != 0) guests_crossed_.foreign_puts.add(foreign);
    }

    /// metering::calls, of a thread that has not entered. Wait-free.
    void count_get(std::uint32_t n) noexcept { exchanges_[current_node()].count_get(n); }
    void count_put(std::uint32_t n) noexcept { exchanges_[current_node()].count_put(n); }

    /// Objects in it, of all nodes, those in caches included. Exact while no thread is in a call.
    std::uint64_t available() const noexcept {
        std::uint64_t n = 0;
        for (const one &e : exchanges_) n += e.available();
        return n;
    }

    std::uint32_t nodes() const noexcept { return nodes_; }
    /// One node's own.
    const one &on(std::uint32_t node) const noexcept { return exchanges_[node]; }
    const topology &where() const noexcept { return topology_; }
    const exchange_options &options() const noexcept { return options_; }
    /// Of all threads, guests and past ones included. Exact while no thread is in a call.
    numa_counters counters() const noexcept {
        numa_counters sum = guests_crossed_;
        for (const one &e : exchanges_) {
            for (std::uint32_t s = 0; s < e.reached(); ++s) sum += e.in_slot(s).counters();
        }
        return sum;
    }

  private:
    static exchange_options share(exchange_options o, std::uint32_t i, std::uint32_t nodes) noexcept {
        // A node without objects has an exchange all the same: a thread may be there.
        if (o.objects != 0) o.objects = std::max<std::uint64_t>(1, objects_on_node(o.objects, i, nodes));
        o.populated /= nodes;
        return o;
    }

    std::uint32_t current_node() const noexcept { return nodes_ == 1 ? 0 : topology_.current_node(); }

    /// Whoever has a slot on node 0 has it on all.
    numa_cache &furnish_slot(numa_cache &first, std::uint32_t node) {
        const std::uint32_t slot = exchanges_[0].slot_of(first);
        numa_cache **const mine = &caches_[std::size_t{slot} * nodes_];
        for (std::uint32_t i = 0; i < nodes_; ++i) mine[i] = i == 0 ? &first : &exchanges_[i].enter(slot);
        return furnish(mine, node);
    }
    numa_cache &furnish(numa_cache **mine, std::uint32_t node) noexcept {
        for (std::uint32_t i = 0; i < nodes_; ++i) {
            numa_cache &c = *mine[i];
            if (nodes_ > 1) c.look_at_puts();
            c.fall_back_ = falls_back_;
            c.shift_ = static_cast<std::uint8_t>(memory_->shift());
            c.node_ = i;
            c.nodes_ = nodes_;
            c.begin_ = memory_->region(i);
            c.caches_ = mine;
            c.order_ = orders_[i].data();
            c.memory_ = memory_;
        }
        return *mine[node];
    }

    exchange_options options_;
    const mapping *memory_;
    topology topology_;
    std::uint32_t nodes_;
    bool falls_back_ = false;
    std::deque<one> exchanges_; // neither copied nor moved
    std::vector<std::vector<std::uint32_t>> orders_;
    std::vector<numa_cache *> caches_; ///< of each slot, one per node
    numa_counters guests_crossed_;     ///< what threads without a slot did
};

} // namespace turbomem

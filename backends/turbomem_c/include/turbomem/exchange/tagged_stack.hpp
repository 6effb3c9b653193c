// SPDX-License-Identifier: BSD-3-Clause
/// A lock-free stack (Treiber 1986) of nodes that are named by an index.
#pragma once

#include "turbomem/system/barriers.hpp"

#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>

namespace turbomem {

/// An array, by indices from 1, of nodes with an atomic link and depth. Nodes are never unmapped while a
/// stack over them is used: a stale read of a link must stay harmless.
template <class T>
concept node_array = requires(const T &nodes, std::uint32_t index) {
    { nodes[index].next } -> std::same_as<std::atomic<std::uint32_t> &>;
    { nodes[index].depth } -> std::same_as<std::atomic<std::uint32_t> &>;
};

/// Index and tag of the top in one word. The tag changes with every push and pop, so that a head which went
/// away and came back is told apart (ABA); a thread would have to sleep through exactly 2^32 changes between
/// its load and its compare-and-swap to be fooled.
///
/// push and pop are lock-free: an attempt fails only because another thread's succeeded.
class tagged_stack {
  public:
    template <node_array Nodes> void push(const Nodes &nodes, std::uint32_t index) noexcept {
        push(nodes, std::span<const std::uint32_t>(&index, 1));
    }

    /// Several at once, the last of them on top.
    template <node_array Nodes>
    void push(const Nodes &nodes, std::span<const std::uint32_t> indices) noexcept {
        // relaxed: published by the release below.
        for (std::size_t i = 1; i < indices.size(); ++i)
            nodes[indices[i]].next.store(indices[i - 1], std::memory_order_relaxed);
        TURBOMEM_POINT(look);
        // acquire: the depth of the node on top, which is read next, must be that of its push.
        std::uint64_t head = head_.load(std::memory_order_acquire);
        do {
            // relaxed: as above.
            nodes[indices.front()].next.store(top(head), std::memory_order_relaxed);
            std::uint32_t depth = depth_of(nodes, top(head));
            // release: whoever sees the depth sees that the nodes had been popped, see size().
            for (const std::uint32_t i : indices) nodes[i].depth.store(++depth, std::memory_order_release);
            TURBOMEM_POINT(push);
            // release: whoever pops a node sees its link and its contents. acquire on failure: as the load.
        } while (!head_.compare_exchange_weak(head, changed(head, indices.back()), std::memory_order_release,
                                              std::memory_order_acquire));
    }

    /// The index of the node that was on top, or 0 when there was none.
    template <node_array Nodes> std::uint32_t pop(const Nodes &nodes) noexcept {
        std::uint32_t index;
        return pop(nodes, std::span<std::uint32_t>(&index, 1)) == 0 ? 0 : index;
    }

    /// Up to as many as `out` has room for, at once, the topmost first; how many. The rest of `out` is
    /// undefined.
    template <node_array Nodes> std::size_t pop(const Nodes &nodes, std::span<std::uint32_t> out) noexcept {
        TURBOMEM_POINT(look);
        // acquire: the link read next must be at least as new as the push that put the node on top.
        std::uint64_t head = head_.load(std::memory_order_acquire);
        while (top(head) != 0) {
            std::uint32_t below = top(head);
            std::size_t n = 0;
            do {
                out[n++] = below;
                // relaxed: ordered by the acquire; when a node was popped meanwhile this is any link it ever
                // had, and the tag makes the exchange fail.
                below = nodes[below].next.load(std::memory_order_relaxed);
            } while (n < out.size() && below != 0);
            TURBOMEM_POINT(pop);
            // acquire: the node's contents. Every change of the head is a read-modify-write, so the release
            // sequence of the push that brought the node reaches here through any number of later changes.
            // acquire on failure: the new head's link is read in the next round.
            if (head_.compare_exchange_weak(head, changed(head, below), std::memory_order_acquire,
                                            std::memory_order_acquire))
                return n;
        }
        return 0;
    }

    /// How many nodes there were at an instant of the call, unless the stack changes during each of eight
    /// looks: then any number that it ever had. Wait-free.
    template <node_array Nodes> std::uint32_t size(const Nodes &nodes) const noexcept {
        for (int more = 7;; --more) {
            // acquire: the depth must be at least as new as the push of the node on top.
            const std::uint64_t head = head_.load(std::memory_order_acquire);
            TURBOMEM_POINT(size);
            // acquire: the second look comes after it. A depth from a later push is thereby seen together
            // with a head that changed.
            const std::uint32_t depth =
                top(head) == 0 ? 0 : nodes[top(head)].depth.load(std::memory_order_acquire);
            // relaxed: as above.
            if (more == 0 || head_.load(std::memory_order_relaxed) == head) return depth;
        }
    }

    /// The top's index (0: empty), for walking while nothing changes.
    std::uint32_t top() const noexcept {
        // acquire: the walker goes on to read links and contents.
        return top(head_.load(std::memory_order_acquire));
    }

    /// Changes so far, modulo 2^32.
    std::uint32_t changes() const noexcept {
        // acquire: a later look at this or another stack must not move before this one.
        return static_cast<std::uint32_t>(head_.load(std::memory_order_acquire) >> 32);
    }

  private:
    static std::uint32_t top(std::uint64_t head) noexcept { return static_cast<std::uint32_t>(head); }
    template <node_array Nodes> static std::uint32_t depth_of(const Nodes &nodes, std::uint32_t i) noexcept {
        // relaxed: written before the push that made it the top. When that was popped meanwhile this is any
        // depth it ever had, and a push fails.
        return i == 0 ? 0 : nodes[i].depth.load(std::memory_order_relaxed);
    }
    static std::uint64_t changed(std::uint64_t head, std::uint32_t index) noexcept {
        return ((head >> 32) + 1) << 32 | index;
    }

    std::atomic<std::uint64_t> head_{0};
    static_assert(std::atomic<std::uint64_t>::is_always_lock_free);
};

} // namespace turbomem

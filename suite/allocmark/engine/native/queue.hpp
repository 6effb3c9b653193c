// SPDX-License-Identifier: BSD-3-Clause
/** Bounded queues of object pointers between actors; bulk, all or nothing. */
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdint>
#include <cstring>

#include "arena.hpp"
#include "clock.hpp"

namespace allocmark {

/**
 * A ring with two ends. Positions only count up, and 64 bits never wrap, so that even an old copy of one is a
 * lower bound. 0 <= sender.tail - receiver.tail <= capacity.
 *
 * Each end keeps a copy of the other's position. It reads the other's cache line only when the copy says that
 * there is too little.
 *
 * With one thread per end, `claim` and `publish` are plain loads and stores. With several, a thread claims
 * its places by a compare-and-swap on `head`, and publishes them when all earlier claims are published. That
 * wait makes a shared end blocking, like DPDK's rings, which these queues stand for.
 *
 * The arena owns the slots.
 */
class Queue {
  public:
    Queue(uint32_t capacity, bool one_sender, bool one_receiver, Arena &arena, uint32_t index)
        : capacity_(capacity), mask_(std::bit_ceil(capacity) - 1),
          slots_(reinterpret_cast<void **>(
              arena.take("slots", index, (size_t(mask_) + 1) * sizeof(void *), kLine))),
          sender_(!one_sender), receiver_(!one_receiver) {}

    /** False when there is no room for all n. */
    bool send(void *const *objects, uint32_t n) {
        uint64_t at;
        if (!sender_.claim(n, capacity_, receiver_.tail, at)) return false;
        const uint32_t place = uint32_t(at) & mask_, first = std::min(n, mask_ - place + 1);
        std::memcpy(&slots_[place], objects, first * sizeof(void *));
        std::memcpy(&slots_[0], objects + first, (n - first) * sizeof(void *));
        sender_.publish(at, n);
        return true;
    }

    /** False when there are fewer than n. */
    bool receive(void **objects, uint32_t n) {
        uint64_t at;
        if (!receiver_.claim(n, 0, sender_.tail, at)) return false;
        const uint32_t place = uint32_t(at) & mask_, first = std::min(n, mask_ - place + 1);
        std::memcpy(objects, &slots_[place], first * sizeof(void *));
        std::memcpy(objects + first, &slots_[0], (n - first) * sizeof(void *));
        receiver_.publish(at, n);
        return true;
    }

    /** Objects in it, and room for more: as of a moment ago, for any thread. */
    uint32_t filled() const {
        // acquire: read before the senders' position, and so never above it. relaxed: nobody reads objects
        // because of this number.
        const uint64_t received = receiver_.tail.load(std::memory_order_acquire);
        return uint32_t(sender_.tail.load(std::memory_order_relaxed) - received);
    }
    uint32_t room() const { return capacity_ - std::min(filled(), capacity_); }
    uint32_t half() const { return capacity_ / 2; }

  private:
    static constexpr size_t kLine = 128; // neighbouring lines are fetched in pairs

    struct alignas(kLine) End {
        explicit End(bool shared_end) : shared(shared_end) {}

        /**
         * Reserves n positions from `at`. `lead` is how far this end may run ahead of the other's tail:
         * the capacity for senders, 0 for receivers.
         */
        bool claim(uint32_t n, uint64_t lead, const std::atomic<uint64_t> &other, uint64_t &at) {
            // relaxed: only the claims of this end order each other; data is ordered through the tails.
            at = head.load(std::memory_order_relaxed);
            for (;;) {
                // acquire: another thread of this end may have read the other's tail for us.
                uint64_t seen = other_seen.load(std::memory_order_acquire);
                if (short_of(n, seen + lead - at)) {
                    // acquire: pairs with `publish` of the other end, whose copying is then done.
                    seen = other.load(std::memory_order_acquire);
                    if (short_of(n, seen + lead - at)) return false;
                    other_seen.store(seen, std::memory_order_release);
                }
                if (!shared) {
                    head.store(at + n, std::memory_order_relaxed);
                    return true;
                }
                if (head.compare_exchange_weak(at, at + n, std::memory_order_relaxed)) return true;
            }
        }

        void publish(uint64_t at, uint32_t n) {
            if (shared) {
                Backoff backoff;
                // acquire: what earlier claims copied is handed on together with ours.
                while (tail.load(std::memory_order_acquire) != at) backoff.pause();
            }
            tail.store(at + n, std::memory_order_release);
        }

        std::atomic<uint64_t> head{0};
        std::atomic<uint64_t> other_seen{0};
        const bool shared;
        alignas(kLine) std::atomic<uint64_t> tail{0};

        /** The difference is negative when the copy lies behind our own position. */
        static bool short_of(uint32_t n, uint64_t difference) { return int64_t(difference) < int64_t(n); }
    };

    const uint32_t capacity_, mask_;
    void **const slots_;
    End sender_, receiver_;
};

} // namespace allocmark

// SPDX-License-Identifier: BSD-3-Clause
/// Who owns what is in a cache: the cache's thread, or a thread that reclaims it.
#pragma once

#include "turbomem/system/barriers.hpp"

#include <atomic>
#include <cstdint>

namespace turbomem {

/// One word per cache, beside `count`, the height of the owner's loaded magazine. The owner takes from the
/// top by lowering count before it looks here; a reclaimer takes everything from the bottom up to count.
///
///     owner, get of n              reclaimer
///     count -= n (plain store)     seen = request()           idle -> disturbed
///     light barrier                process barrier
///     if (idle) slots above count  if (top = count >= 0 && take(seen, top))   disturbed -> copying
///     else the slow path               copy slots[gone .. top), take the magazine behind
///     slots, count += n: put           if (!done(…)) the loaded magazine is its to give away, too
///
/// Either the reclaimer sees after its barrier the count of a get that did not see the disturbance, or the
/// get goes the slow way. The slow way sets count below 0, which keeps reclaimers from beginning, and then
/// settles: it withdraws a request, or accepts what is gone, or, if a reclaimer is copying, leaves it the
/// magazine. Puts only add above count, so they need not look. Nobody waits: each disagreement is one
/// compare-and-swap, and one of the two wins.
///
/// Each request that meets an idle word has a number of its own (40 bits), so a reclaimer that was stopped
/// cannot take on the strength of a later request.
class claim {
    static constexpr std::uint64_t disturbed_bit = 1ull << 63;
    static constexpr std::uint64_t copying_bit = 1ull << 62;
    static constexpr std::uint64_t behind_bit = 1ull << 61;
    static constexpr unsigned gone_bits = 21;
    static constexpr std::uint64_t gone_mask = (1ull << gone_bits) - 1;
    static constexpr std::uint64_t number_mask = (behind_bit - 1) & ~gone_mask;

  public:
    /// The highest count that can be told.
    static constexpr std::uint32_t most = gone_mask;

    /// What reclaimers made of the cache.
    struct state {
        std::uint32_t
            gone;         ///< objects at the bottom of the loaded magazine that are not the owner's any more
        bool behind_gone; ///< neither is the magazine behind
        bool copying;     ///< a reclaimer is still reading those at the bottom
    };

    /// Negative as a signed number unless all is the owner's.
    std::uint64_t word() const noexcept {
        // relaxed: idle was written by this thread, and the slow path that else follows looks again.
        return word_.load(std::memory_order_relaxed);
    }

    /// Exact while nobody acts on it.
    state look() const noexcept {
        return state_of(word_.load(std::memory_order_relaxed)); // relaxed: see above
    }

    /// The owner, in a slow call: no reclaimer can begin any more. Idle afterwards, unless one is copying.
    state settle() noexcept {
        // acquire, here and in the exchange: what reclaimers read was read before the owner writes it anew.
        std::uint64_t seen = word_.load(std::memory_order_acquire);
        while ((seen & disturbed_bit) != 0 && (seen & copying_bit) == 0) {
            TURBOMEM_POINT(settle);
            if (word_.compare_exchange_weak(seen, seen & number_mask, std::memory_order_acquire,
                                            std::memory_order_acquire))
                break;
        }
        return state_of(seen);
    }

    /// The owner, when one is copying: true: the loaded magazine is left to the reclaimer; false: it has done
    /// by now, and the magazine is the owner's. Idle afterwards.
    bool abandon() noexcept {
        std::uint64_t seen = word_.load(std::memory_order_acquire); // acquire: as in settle()
        TURBOMEM_POINT(abandon);
        // release: the owner's reading of what it had above is over before the reclaimer gives the magazine
        // away.
        while (!word_.compare_exchange_weak(seen, seen & number_mask, std::memory_order_acq_rel,
                                            std::memory_order_acquire)) {
        }
        return (seen & copying_bit) != 0;
    }

    /// A reclaimer: the word to take with, after a process barrier; 0 when another reclaimer is copying.
    std::uint64_t request() noexcept {
        // relaxed, here and below: the barrier that follows orders it, and what the cache holds is acquired
        // with its count.
        std::uint64_t seen = word_.load(std::memory_order_relaxed);
        while ((seen & disturbed_bit) == 0) {
            const std::uint64_t next = ((seen + gone_mask + 1) & number_mask) | disturbed_bit;
            TURBOMEM_POINT(request);
            if (word_.compare_exchange_weak(seen, next, std::memory_order_relaxed)) return next;
        }
        return (seen & copying_bit) == 0 ? seen : 0;
    }

    /// The reclaimer, having read count after the barrier: true: slots up to `top` are its own to copy, and
    /// the magazine behind, unless `seen` says that it is gone.
    bool take(std::uint64_t seen, std::uint32_t top) noexcept {
        TURBOMEM_POINT(take);
        // acquire: the owner's slow calls before. release: what was read of the cache was read before the
        // owner finds out and changes it. relaxed on failure: nothing was obtained.
        return word_.compare_exchange_strong(seen, copying(seen, top), std::memory_order_acq_rel,
                                             std::memory_order_relaxed);
    }

    /// The reclaimer, when it has copied: false: the owner left it the magazine.
    bool done(std::uint64_t seen, std::uint32_t top) noexcept {
        TURBOMEM_POINT(copied);
        std::uint64_t mine = copying(seen, top);
        // release: the slots were read before the owner uses them again. acquire on failure: pairs with
        // abandon(), before the magazine is given away.
        return word_.compare_exchange_strong(mine, mine & ~copying_bit, std::memory_order_release,
                                             std::memory_order_acquire);
    }

    static state state_of(std::uint64_t word) noexcept {
        return {static_cast<std::uint32_t>(word & gone_mask), (word & behind_bit) != 0,
                (word & copying_bit) != 0};
    }

  private:
    static std::uint64_t copying(std::uint64_t seen, std::uint32_t top) noexcept {
        return disturbed_bit | copying_bit | behind_bit | (seen & number_mask) | top;
    }

    std::atomic<std::uint64_t> word_{0};
};

} // namespace turbomem

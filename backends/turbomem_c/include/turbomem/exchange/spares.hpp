// SPDX-License-Identifier: BSD-3-Clause
/// Empty magazines that a thread keeps for itself.
#pragma once

#include "turbomem/exchange/depot.hpp"

#include <algorithm>
#include <array>
#include <cstdint>

namespace turbomem {

/// They hold no objects. Thanks to them, a thread whose gets and puts take turns does not visit the depot's
/// stacks of empty magazines. With one-way flow, where one thread only empties magazines and another only
/// fills them, a few change hands at a time, and the one that fills brings the lines of the next here while
/// it fills one.
///
/// Used by one thread at a time. Every function is lock-free.
class spares {
  public:
    /// An empty magazine, not far from this core; null as depot::pop_empty().
    magazine *take(depot &d, depot_visitor &v) noexcept {
        if (n_ == 0) {
            n_ = static_cast<std::uint32_t>(d.pop_empty(v, {indices_.data(), spares_moved}));
            if (n_ == 0) return nullptr;
            std::reverse(indices_.begin(), indices_.begin() + n_); // the one used last is the next to take
            expect(d, v);
        }
        magazine &m = d[indices_[--n_]];
        if (n_ != 0) expect(d, v);
        return &m;
    }

    /// Keep a magazine that was emptied. What is too much goes to the shard that the last full one came from:
    /// with one-way flow the thread that fills magazines then finds empty ones in its own shard.
    void keep(depot &d, const depot_visitor &v, magazine &m) noexcept {
        if (n_ == spares_kept) {
            d.push_empty(v.source, {indices_.data(), spares_moved});
            std::copy(indices_.begin() + spares_moved, indices_.end(), indices_.begin());
            n_ -= spares_moved;
        }
        m.count = 0;
        m.user = v.thread;
        indices_[n_++] = m.index;
    }

    bool empty() const noexcept { return n_ == 0; }

    /// All of them; at least one.
    void give_back(depot &d, const depot_visitor &v) noexcept {
        d.push_empty(v.shard, {indices_.data(), n_});
        n_ = 0;
    }

    /// Of a thread that died while it moved some.
    void forget() noexcept { n_ = 0; }

  private:
    /// The next to take.
    void expect(depot &d, const depot_visitor &v) noexcept {
        magazine &next = d[indices_[n_ - 1]];
        if (next.user != v.thread) expect_writes(next, d.capacity());
    }

    std::uint32_t n_ = 0;
    std::array<std::uint32_t, spares_kept> indices_;
};

} // namespace turbomem

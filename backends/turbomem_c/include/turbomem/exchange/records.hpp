// SPDX-License-Identifier: BSD-3-Clause
/// How much memory a pool may spend beside its objects.
#pragma once

#include "turbomem/exchange/depot.hpp"
#include "turbomem/exchange/magazine.hpp"

#include <algorithm>
#include <cstdint>

namespace turbomem {

/// What a pool of so many bytes of objects may spend on records: magazines that need not be there for the
/// objects' sake, but because threads keep some.
struct records {
    static constexpr std::uint64_t share = 4, least = 64 << 10;
    static constexpr std::uint32_t usual_magazine = 256, least_magazine = 8;

    /// Bytes of magazines that are populated when the pool is made: all of them for most pools, and few for
    /// a small one, which gets the others when threads use them.
    static constexpr std::uint64_t populated(std::uint64_t bytes) noexcept { return bytes / share; }

    /// Objects in a magazine where the options do not say: 256, or as many fewer, down to a cache line of
    /// pointers, as keep the records of all threads together within a quarter of the objects' bytes or 64 kB.
    static constexpr std::uint32_t magazine(std::uint64_t bytes, std::uint32_t threads) noexcept {
        const std::uint64_t each = std::max(least, bytes / share) / magazines_needed(0, 1, threads);
        std::uint32_t objects = usual_magazine;
        while (objects > least_magazine && magazine_array::stride(objects) > each) objects -= least_magazine;
        return objects;
    }
};

} // namespace turbomem

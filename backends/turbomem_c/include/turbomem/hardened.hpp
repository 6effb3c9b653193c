// SPDX-License-Identifier: BSD-3-Clause
/// A checking policy that is cheap enough to stay on: what is put must be an object of the pool.
#pragma once

#include "turbomem/checking.hpp"
#include "turbomem/exchange/numa_exchange.hpp"
#include "turbomem/memory/mapping.hpp"
#include "turbomem/name.hpp"
#include "turbomem/options.hpp"
#include "turbomem/policies.hpp"

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>

namespace turbomem::checking {

/// Each pointer that is put, or destroyed, is compared with the places of the pool's objects: a subtraction,
/// a multiplication and a comparison. Gets cost nothing, objects need no room, an object put twice is not
/// found.
///
/// What is no object is left out and reported to `pool_options::on_misuse` (foreign_pointer or
/// misaligned_pointer), on the thread that met it; it must not throw. Without one the report goes to stderr
/// and the process aborts. What goes to a `cache()` directly is not looked at.
struct hardened {
    using family = policy::checking;
    static constexpr bool enabled = false;
    static constexpr bool hardens = true;
    static constexpr std::uint64_t spare = 0;
    static constexpr std::uint64_t alignment = 1;
    struct lease {};

    class checker {
      public:
        /// The memory outlives it.
        checker(const mapping &memory, const object_layout &layout, const pool_options &options)
            : memory_(memory), shift_(std::countr_zero(layout.stride)),
              inverse_(inverse(layout.stride >> shift_)), objects_(layout.objects), name_(options.name),
              report_(options.on_misuse) {}

        /// Whether an object of the pool lies there; reports when not. Wait-free.
        bool is_object(const void *p) const noexcept {
            if (is_place(p)) [[likely]]
                return true;
            refuse(p);
            return false;
        }

        /// As the source's, without what is no object.
        template <class Source>
        void put_bulk(Source &source, void *const *objects, std::uint32_t n) const noexcept {
            bool all = true;
            for (std::uint32_t i = 0; i < n; ++i) all &= is_place(objects[i]);
            if (all) [[likely]]
                return source.put_bulk(objects, n);
            for (std::uint32_t i = 0; i < n; ++i) {
                if (is_object(objects[i])) source.put_bulk(objects + i, 1);
            }
        }

      private:
        /// With the stride 2^shift times an odd number, the product with that number's inverse modulo 2^64,
        /// rotated, is the quotient if there is no remainder, and else more than any quotient. So one
        /// comparison finds what lies outside, between objects, or behind the last.
        bool is_place(const void *p) const noexcept {
            const std::uint32_t regions = memory_.regions();
            const std::uint32_t region = regions == 1 ? 0 : memory_.region_of(p);
            if (region >= regions) return false;
            const std::uint64_t offset = reinterpret_cast<std::uintptr_t>(p) -
                                         reinterpret_cast<std::uintptr_t>(memory_.region(region));
            return std::rotr(offset * inverse_, shift_) < objects_on_node(objects_, region, regions);
        }

        [[gnu::cold, gnu::noinline]] void refuse(const void *p) const noexcept {
            const bool inside = memory_.contains(p);
            const misuse found(inside ? misuse_kind::misaligned_pointer : misuse_kind::foreign_pointer, p,
                               name_.subject() + ": " + detail::hexadecimal(p) +
                                   (inside ? " was put, which is inside the pool but no object's start"
                                           : " was put, which is no object of this pool"));
            if (report_) return report_(found);
            std::fprintf(stderr, "turbomem: %s\n", found.what());
            std::abort();
        }

        /// Of an odd number, modulo 2^64: each round of Newton's method doubles the bits that are right.
        static constexpr std::uint64_t inverse(std::uint64_t odd) noexcept {
            std::uint64_t x = odd; // right in three bits
            for (int bits = 3; bits < 64; bits *= 2) x *= 2 - odd * x;
            return x;
        }

        const mapping &memory_;
        int shift_;
        std::uint64_t inverse_, objects_;
        pool_name name_;
        std::function<void(const misuse &)> report_;
    };
};

} // namespace turbomem::checking

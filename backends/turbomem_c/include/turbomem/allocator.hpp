// SPDX-License-Identifier: BSD-3-Clause
/// Pools as a standard allocator.
#pragma once

#include "turbomem/sized_source.hpp"

#include <cstddef>
#include <cstdint>
#include <new>
#include <type_traits>

namespace turbomem {

/// Gives containers memory from a pool<void, …> or size_classes<…> and from nowhere else: throws exhausted
/// for what is too large there, or when nothing is left. Refers to the source, which outlives it.
///
///     turbomem::pool<void, turbomem::threads::per_thread> nodes({.object_size = 64, .objects = 10'000});
///     std::list<order, turbomem::allocator<order, decltype(nodes)>> orders(nodes);
template <class T, class Source> class allocator {
    static_assert(detail::sized_source<Source>,
                  "an allocator draws from a pool<void, …> or from size_classes<…>");

  public:
    using value_type = T;
    using propagate_on_container_copy_assignment = std::true_type;
    using propagate_on_container_move_assignment = std::true_type;
    using propagate_on_container_swap = std::true_type;
    using is_always_equal = std::false_type;

    allocator(Source &from) noexcept : from_(&from) {}
    template <class U> allocator(const allocator<U, Source> &other) noexcept : from_(other.source()) {}

    /// Throws std::bad_array_new_length, exhausted.
    [[nodiscard]] T *allocate(std::size_t n) {
        if (n > PTRDIFF_MAX / sizeof(T)) throw std::bad_array_new_length();
        if (void *const storage = detail::take_sized(*from_, n * sizeof(T), alignof(T)))
            return static_cast<T *>(storage);
        throw exhausted();
    }
    void deallocate(T *storage, std::size_t n) { detail::give_sized(*from_, storage, n * sizeof(T)); }

    Source *source() const noexcept { return from_; }

    template <class U> bool operator==(const allocator<U, Source> &other) const noexcept {
        return from_ == other.source();
    }

  private:
    Source *from_;
};

} // namespace turbomem

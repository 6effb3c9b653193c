// SPDX-License-Identifier: BSD-3-Clause
/// Objects of mixed sizes: a pool for each of a few sizes, chosen by one look into a table.
#pragma once

#include "turbomem/per_thread.hpp"
#include "turbomem/pool.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace turbomem {

/// One of the pools: objects of up to `size` bytes.
struct size_class {
    std::uint64_t size;
    std::uint64_t objects;
    bool operator==(const size_class &) const = default;
};

/// Classes from `smallest` to `largest` bytes, each `ratio` times the one before, with `bytes` of objects in
/// each (one object at least). At most 1 - 1/ratio of an object lies idle. Throws invalid_options.
inline std::vector<size_class> geometric_classes(std::uint64_t smallest, std::uint64_t largest, double ratio,
                                                 std::uint64_t bytes) {
    if (smallest == 0 || smallest > largest)
        throw invalid_options("size classes from " + std::to_string(smallest) + " to " +
                              std::to_string(largest) +
                              " bytes: the first must be at least 1, and not the larger");
    if (!(ratio >= 1.01 && ratio <= 16))
        throw invalid_options("size classes with ratio " + std::to_string(ratio) + ", not 1.01 to 16");
    std::vector<size_class> classes;
    for (std::uint64_t size = smallest;;) {
        classes.push_back({size, std::max<std::uint64_t>(1, bytes / size)});
        if (size >= largest) return classes;
        const double next = std::ceil(static_cast<double>(size) * ratio);
        // Beyond 2^53 a double may not grow by a small ratio: such sizes are refused by the pools.
        size = next >= static_cast<double>(largest) ? largest
                                                    : std::max(size + 1, static_cast<std::uint64_t>(next));
    }
}

/// Pools of objects of different sizes. A request is served by the smallest class that fits and by no other:
/// null when that one is empty.
///
///     turbomem::size_classes<> buffers({{256, 10'000}, {2'176, 60'000}});
///     void *p = buffers.allocate(300);
///     buffers.deallocate(p, 300);
///
/// Policies as pool's, but the threading default is threads::per_thread. The same options serve every class,
/// save sizes and counts. Each operation costs its pool's and a look into a table: one byte for every
/// `alignment` bytes up to the largest size.
template <class... Policies> class size_classes {
    static_assert(detail::sound<Policies...>());

  public:
    static constexpr std::size_t most_classes = 255;
    static constexpr std::size_t most_entries = std::size_t{1} << 20; ///< of the table

    using pool_type =
        std::conditional_t<detail::how_many<policy::threading, Policies...> == 0,
                           pool<void, threads::per_thread, Policies...>, pool<void, Policies...>>;
    static constexpr bool checked = pool_type::checked;

    /// Classes in any order; sizes are rounded up to the alignment. Throws as pool does.
    explicit size_classes(std::vector<size_class> classes, pool_options common = {}) {
        if (classes.empty() || classes.size() > most_classes)
            throw invalid_options(std::to_string(classes.size()) + " size classes, not 1 to " +
                                  std::to_string(most_classes));
        std::sort(classes.begin(), classes.end(),
                  [](const size_class &a, const size_class &b) { return a.size < b.size; });
        for (const size_class &c : classes) {
            common.object_size = c.size;
            common.objects = c.objects;
            const object_layout layout(common); // throws what cannot be
            const std::uint64_t size = layout.stride;
            if (size / common.alignment > most_entries)
                throw invalid_options("a size class of " + std::to_string(size) +
                                      " bytes at an alignment of " + std::to_string(common.alignment) +
                                      ": the table has " + std::to_string(most_entries) +
                                      " entries, take a larger alignment");
            if (!classes_.empty() && classes_.back().size == size)
                throw invalid_options("two size classes of " + std::to_string(size) +
                                      " bytes, rounded up to " + std::to_string(common.alignment));
            classes_.push_back({size, c.objects});
            common.object_size = size;
            pools_.push_back(std::make_unique<pool_type>(common));
        }
        alignment_ = common.alignment;
        shift_ = static_cast<unsigned>(std::countr_zero(alignment_));
        std::uint8_t index = 0;
        for (std::uint64_t entry = 0; entry << shift_ <= largest(); ++entry) {
            if (entry << shift_ > classes_[index].size) ++index;
            table_.push_back(index);
        }
    }

    /// Of up to `bytes` bytes; null when no class is that large, or that class is empty.
    [[nodiscard]] void *try_allocate(std::size_t bytes) noexcept(!checked) {
        return bytes <= largest() ? of(bytes).try_allocate() : nullptr;
    }
    /// As try_allocate, but throws exhausted.
    [[nodiscard]] void *allocate(std::size_t bytes) {
        if (void *const object = try_allocate(bytes)) [[likely]]
            return object;
        throw exhausted();
    }
    /// The bytes that it was asked for with, or any number of the same class.
    void deallocate(void *object, std::size_t bytes) noexcept(!checked) { of(bytes).deallocate(object); }
    /// When nobody knows any more how many: looks through the classes. Not one of these pools: undefined, and
    /// found by checked ones.
    void deallocate(void *object) noexcept(!checked) {
        for (auto &p : pools_) {
            if (p->owns(object)) return p->deallocate(object);
        }
        pools_.front()->deallocate(object);
    }

    /// Whether that many bytes at that alignment are served, if the class has any left.
    bool serves(std::size_t bytes, std::size_t alignment) const noexcept {
        return bytes <= largest() && alignment <= alignment_;
    }
    /// Whether the address is in the class that serves so many bytes. O(1).
    bool owns(const void *object, std::size_t bytes) const noexcept {
        return bytes <= largest() && pools_[table_[entry(bytes)]]->owns(object);
    }

    /// The classes by size, as they came to be.
    const std::vector<size_class> &classes() const noexcept { return classes_; }
    std::uint64_t largest() const noexcept { return classes_.back().size; }
    /// The pool of the class that serves so many bytes, at most largest(). For handles, bulks, statistics.
    pool_type &of(std::size_t bytes) noexcept { return *pools_[table_[entry(bytes)]]; }
    const pool_type &of(std::size_t bytes) const noexcept { return *pools_[table_[entry(bytes)]]; }

  private:
    std::size_t entry(std::size_t bytes) const noexcept { return (bytes + alignment_ - 1) >> shift_; }

    std::uint64_t alignment_ = 0;
    unsigned shift_ = 0;
    std::vector<size_class> classes_;
    std::vector<std::unique_ptr<pool_type>> pools_;
    std::vector<std::uint8_t> table_; ///< class of each number of alignments
};

} // namespace turbomem

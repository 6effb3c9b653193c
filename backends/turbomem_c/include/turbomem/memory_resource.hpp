// SPDX-License-Identifier: BSD-3-Clause
/// Pools as a polymorphic memory resource.
#pragma once

#include "turbomem/sized_source.hpp"

#include <cstddef>
#include <memory_resource>

namespace turbomem {

/// Serves from a pool<void, …> or size_classes<…> what fits there, and the rest from upstream: sizes and
/// alignments that none serves, and what comes when the class is empty. Refers to both; they outlive it. As
/// thread-safe as the two are.
///
///     turbomem::size_classes<> pools(turbomem::geometric_classes(64, 4'096, 2, 1 << 20));
///     turbomem::memory_resource resource(pools);
///     std::pmr::list<order> orders(&resource);
///
/// Upstream std::pmr::null_memory_resource() makes it throw std::bad_alloc instead.
template <detail::sized_source Source> class memory_resource final : public std::pmr::memory_resource {
  public:
    explicit memory_resource(Source &from,
                             std::pmr::memory_resource *upstream = std::pmr::get_default_resource()) noexcept
        : from_(&from), upstream_(upstream) {}

    std::pmr::memory_resource *upstream() const noexcept { return upstream_; }

  private:
    void *do_allocate(std::size_t bytes, std::size_t alignment) override {
        if (void *const object = detail::take_sized(*from_, bytes, alignment)) return object;
        return upstream_->allocate(bytes, alignment);
    }
    void do_deallocate(void *object, std::size_t bytes, std::size_t alignment) override {
        if (!detail::give_sized(*from_, object, bytes)) upstream_->deallocate(object, bytes, alignment);
    }
    bool do_is_equal(const std::pmr::memory_resource &other) const noexcept override {
        const auto *same = dynamic_cast<const memory_resource *>(&other);
        return same != nullptr && same->from_ == from_ && *same->upstream_ == *upstream_;
    }

    Source *from_;
    std::pmr::memory_resource *upstream_;
};

} // namespace turbomem

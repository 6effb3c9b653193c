// SPDX-License-Identifier: BSD-3-Clause
/// What a pool is asked to be, and the sizes that follow.
#pragma once

#include "turbomem/error.hpp"
#include "turbomem/memory/mapping.hpp"
#include "turbomem/system/topology.hpp"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace turbomem {

class misuse;

/// What a pool is to be. Sizes in bytes. Everything but `objects` has a default that is right for most.
struct pool_options {
    std::string name = {};         ///< for errors, reports, statistics and /proc/PID/maps; see pool_name
    std::uint64_t object_size = 0; ///< pool<void>: at least 1. pool<T>: 0, it is sizeof(T)
    std::uint64_t objects = 0;     ///< at least 1
    std::uint64_t alignment = 64;  ///< a power of two, at most 2 MB; raised to what T needs
    std::uint32_t magazine = 0;    ///< objects in a magazine; a thread caches up to two. 0: see records
    bool caching = true;           ///< else nothing stays with a thread between two calls
    /// Threads that may have a cache at once; others work without one. 0: see the threading policy.
    std::uint32_t max_threads = 0;
    page_options pages = {}; ///< what the objects lie on
    int node = -1; ///< NUMA node for all of the pool, by the kernel's number; -1: see the NUMA policy
    numa_mode numa = numa_mode::preferred; ///< for numa::by_node: preferred or strict
    /// The nodes there are; null: the system's.
    std::shared_ptr<const topology> nodes = nullptr;
    /// For hardened pools see checking::hardened. For checked pools: told what was found before the call goes
    /// on without the object concerned. Without one the call throws what was found; in a destructor that ends
    /// the program. May throw itself. Called by whichever thread met it, several at once.
    std::function<void(const misuse &)> on_misuse = {};
};

/// Where objects lie: the k-th of a region at k * stride. Nothing computed from it overflows.
struct object_layout {
    std::uint64_t object_size; ///< bytes a user may write
    std::uint64_t stride;      ///< bytes from one object to the next: a multiple of the alignment
    std::uint64_t objects;
    std::uint64_t bytes; ///< stride * objects

    /// At least `spare` bytes stay free behind each object. Throws invalid_options.
    explicit object_layout(const pool_options &o, std::uint64_t spare = 0)
        : object_size(o.object_size), objects(o.objects) {
        auto require = [](bool good, const char *what, std::uint64_t found, const char *expected) {
            if (!good)
                throw invalid_options(std::string(what) + " is " + std::to_string(found) + ", not " +
                                      expected);
        };
        require(o.object_size != 0, "object_size", o.object_size, "at least 1");
        require(o.objects != 0, "objects", o.objects, "at least 1");
        require(std::has_single_bit(o.alignment) && o.alignment <= huge_page, "alignment", o.alignment,
                "a power of two up to 2 MB");

        // More than a signed size can count cannot be addressed; the factor leaves room for magazines.
        const std::uint64_t most = PTRDIFF_MAX / 4;
        require(o.object_size <= most - huge_page - spare, "object_size", o.object_size, "addressable");
        stride = (object_size + spare + o.alignment - 1) & ~(o.alignment - 1);
        require(o.objects <= most / std::max<std::uint64_t>(stride, 64), "objects", o.objects,
                "addressable at this object size");
        bytes = stride * objects;
    }
};

} // namespace turbomem

// SPDX-License-Identifier: BSD-3-Clause
/// NUMA policies: on which nodes the objects lie, and which a thread gets.
#pragma once

#include "turbomem/exchange/exchange.hpp"
#include "turbomem/exchange/numa_exchange.hpp"
#include "turbomem/memory/mapping.hpp"
#include "turbomem/options.hpp"
#include "turbomem/policies.hpp"
#include "turbomem/system/topology.hpp"

#include <cstdint>

namespace turbomem {

namespace detail {

/// The nodes that the options allow. Throws error (ENODEV): none of that number.
inline topology nodes_for(const pool_options &o) {
    const topology all = o.nodes != nullptr ? *o.nodes : topology::system();
    return o.node < 0 ? all : all.only(o.node);
}

/// An exchange that starts with every object of a region.
struct stocked_exchange : exchange {
    stocked_exchange(const exchange_options &options, const mapping &memory, std::uint64_t stride,
                     const pool_options &)
        : exchange(options) {
        stock(memory.data(), stride, options.objects);
    }

    std::uint32_t nodes() const noexcept { return 1; }
    const exchange &on(std::uint32_t) const noexcept { return *this; }
    numa_counters crossings() const noexcept { return {}; }
};

struct stocked_numa_exchange : numa_exchange {
    stocked_numa_exchange(const exchange_options &options, const mapping &memory, std::uint64_t stride,
                          const pool_options &o)
        : numa_exchange(options, o.numa, memory, stride, nodes_for(o)) {}

    numa_counters crossings() const noexcept { return counters(); }
};

} // namespace detail

namespace numa {

/// Wherever the kernel puts it, or on `pool_options::node` as far as that has room. One exchange, no look at
/// addresses. The default.
struct any_node {
    using family = policy::placement;
    using exchange_type = detail::stocked_exchange;
    static void check(const pool_options &) noexcept {}
    /// For the objects. Refuses impossible options of the exchange before anything is mapped.
    static mapping memory(const object_layout &layout, const pool_options &o, const exchange_options &e) {
        (void)exchange::bytes_for(e);
        if (o.node < 0) return mapping(layout.bytes, o.pages);
        return mapping(layout.bytes, o.pages, detail::nodes_for(o), numa_mode::preferred);
    }
};

/// An equal share of the objects on each node, or all on `pool_options::node`. A thread gets from the node it
/// was on when it entered; an object that another node's thread puts goes home. When the thread's node has
/// too few, `pool_options::numa` says what happens. preferred: it gets from the nearest other node, which is
/// counted. strict: it gets nothing, and the pool is not made when a share cannot lie on its node.
struct by_node {
    using family = policy::placement;
    using exchange_type = detail::stocked_numa_exchange;
    static void check(const pool_options &o) {
        if (o.numa == numa_mode::any_node)
            throw invalid_options("numa is any_node: that is a policy of its own, numa::any_node");
    }
    static mapping memory(const object_layout &layout, const pool_options &o, const exchange_options &e) {
        const topology nodes = detail::nodes_for(o);
        (void)numa_exchange::bytes_for(e, nodes.size());
        return mapping(numa_exchange::region_bytes(layout.objects, layout.stride, nodes.size()), o.pages,
                       nodes, o.numa);
    }
};

} // namespace numa
} // namespace turbomem

// SPDX-License-Identifier: BSD-3-Clause
/// On which NUMA node memory is to lie: the system calls themselves, no libnuma.
#pragma once

#include "turbomem/error.hpp"
#include "turbomem/system/topology.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace turbomem {

namespace detail {

// Of <linux/mempolicy.h>, which is not everywhere installed.
enum : int { mpol_default = 0, mpol_preferred = 1, mpol_bind = 2 };

/// One node in the form the kernel takes. It ignores the last bit of the count it is given.
class node_mask {
  public:
    explicit node_mask(int node) : words_(static_cast<std::size_t>(node) / bits + 1) {
        words_.back() = 1ul << (static_cast<std::size_t>(node) % bits);
    }
    const unsigned long *data() const noexcept { return words_.data(); }
    unsigned long max_node() const noexcept { return words_.size() * bits + 1; }

  private:
    static constexpr std::size_t bits = sizeof(unsigned long) * CHAR_BIT;
    std::vector<unsigned long> words_;
};

} // namespace detail

/// Say on which node the pages of a range come to lie when they are first touched; those that are there
/// already stay. strict: there or not at all; else there if it has room. Returns 0 or the kernel's errno:
/// EPERM (a sandbox forbids it), ENOSYS (no NUMA in the kernel), EINVAL (no such node). `start` on a page
/// boundary.
[[nodiscard]] inline int bind_memory(void *start, std::size_t bytes, int node, numa_mode mode) {
    const detail::node_mask mask(node);
    const int policy = mode == numa_mode::strict ? detail::mpol_bind : detail::mpol_preferred;
    return ::syscall(SYS_mbind, start, bytes, policy, mask.data(), mask.max_node(), 0u) == 0 ? 0 : errno;
}

/// While it lives, what the calling thread touches first comes to lie on a node if that has room. For the
/// small things beside the objects. Best effort: where the kernel refuses, nothing changes.
class [[nodiscard]] allocate_near {
  public:
    explicit allocate_near(int node) {
        const detail::node_mask mask(node);
        changed_ = ::syscall(SYS_get_mempolicy, &policy_, before_, most_nodes, nullptr, 0ul) == 0 &&
                   ::syscall(SYS_set_mempolicy, detail::mpol_preferred, mask.data(), mask.max_node()) == 0;
    }
    allocate_near(const allocate_near &) = delete;
    allocate_near &operator=(const allocate_near &) = delete;
    ~allocate_near() {
        if (changed_) ::syscall(SYS_set_mempolicy, policy_, before_, most_nodes);
    }

  private:
    static constexpr unsigned long most_nodes = 1024; // CONFIG_NODES_SHIFT is at most 10
    bool changed_ = false;
    int policy_ = 0;
    unsigned long before_[most_nodes / (sizeof(unsigned long) * CHAR_BIT)] = {};
};

} // namespace turbomem

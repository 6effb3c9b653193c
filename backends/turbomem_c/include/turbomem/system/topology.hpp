// SPDX-License-Identifier: BSD-3-Clause
/// Which NUMA nodes there are, which CPUs each has, and on which node the calling thread runs.
#pragma once

#include "turbomem/error.hpp"
#include "turbomem/system/proc.hpp"

#include <sched.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <numeric>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace turbomem {

/// On which node memory is to lie.
enum class numa_mode : std::uint8_t {
    any_node,  ///< wherever the kernel puts it; the program never asks
    preferred, ///< on the node it is meant for, elsewhere when that one has no more: which is counted
    strict,    ///< on that node or not at all
};

/// A node that a thread can be on and get memory from.
struct numa_node {
    int id;                  ///< the kernel's number; those need not be dense
    std::vector<int> cpus{}; ///< the kernel's numbers of CPUs that are nearest to this node's memory
    std::vector<int>
        distances{}; ///< to each node in turn, as the kernel rates them (10: itself); may be empty
};

/// The nodes, numbered 0 .. size() - 1 in the order of the kernel's numbers. Immutable once made; copies are
/// independent.
class topology {
  public:
    /// As this machine has it and this process may use it (its cpuset). A kernel without NUMA, or one that
    /// does not tell, has one node with every CPU and is not `real`. Throws std::bad_alloc.
    static topology system() { return read("/sys/devices/system/node", "/proc/self/status"); }

    /// As system(), from these files.
    static topology read(const std::string &folder, const std::string &status) {
        const auto online = detail::list_in(folder + "/online");
        if (!online) return topology({{.id = 0}}, false);
        const std::vector<int> allowed = memory_allowed(status, *online);
        const std::vector<int> having = detail::list_in(folder + "/has_memory").value_or(*online);

        std::vector<numa_node> all;
        for (int id : *online) {
            const std::string node = folder + "/node" + std::to_string(id);
            all.push_back({id, detail::list_in(node + "/cpulist").value_or(std::vector<int>{}), {}});
            std::ifstream file(node + "/distance");
            for (int d = 0; file >> d;) all.back().distances.push_back(d);
        }
        // A home is a node with memory of its own and a CPU that is there; the CPUs of the others go to the
        // nearest home. Memory without CPUs (an expander) is nobody's home.
        std::vector<std::size_t> homes;
        for (std::size_t i = 0; i < all.size(); ++i) {
            if (contains(allowed, all[i].id) && contains(having, all[i].id) && !all[i].cpus.empty())
                homes.push_back(i);
        }
        if (homes.empty()) return topology({{.id = 0}}, false);
        std::vector<numa_node> nodes;
        for (std::size_t h : homes) {
            nodes.push_back({all[h].id, all[h].cpus, {}});
            for (std::size_t other : homes) nodes.back().distances.push_back(distance(all, h, other));
        }
        for (std::size_t i = 0; i < all.size(); ++i) {
            if (contains(homes, i)) continue;
            const auto nearest = std::min_element(homes.begin(), homes.end(), [&](auto a, auto b) {
                return distance(all, i, a) < distance(all, i, b);
            });
            auto &cpus = nodes[static_cast<std::size_t>(nearest - homes.begin())].cpus;
            cpus.insert(cpus.end(), all[i].cpus.begin(), all[i].cpus.end());
        }
        return topology(std::move(nodes), true);
    }

    /// One of one's own making: CPUs are looked up in it as in a real one, but no memory is bound, because
    /// the kernel does not know its nodes. For trying what happens between nodes where there is only one.
    /// Throws invalid_options when there is no node.
    static topology pretend(std::vector<numa_node> nodes) { return topology(std::move(nodes), false); }

    /// The node with this kernel number alone. Throws error (ENODEV): it is not there or not allowed.
    topology only(int id) const {
        for (const numa_node &n : nodes_) {
            if (n.id == id) return topology({{n.id, n.cpus, {}}}, real_);
        }
        std::string known;
        for (const numa_node &n : nodes_) known += (known.empty() ? "" : ", ") + std::to_string(n.id);
        throw error(ENODEV, "NUMA node " + std::to_string(id) +
                                " has no CPU or no memory for this process: take one of " + known);
    }

    std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(nodes_.size()); }
    const numa_node &operator[](std::uint32_t node) const noexcept { return nodes_[node]; }
    /// The kernel knows these nodes: memory can be bound to them.
    bool real() const noexcept { return real_; }

    /// The node a CPU belongs to; 0 for a CPU that is not listed (hot-plugged since). Constant time.
    std::uint32_t node_of_cpu(int cpu) const noexcept {
        return cpu >= 0 && static_cast<std::size_t>(cpu) < node_of_cpu_.size()
                   ? node_of_cpu_[static_cast<std::size_t>(cpu)]
                   : 0;
    }

    /// Where the calling thread runs at this moment; unless it is pinned it may have moved on already.
    std::uint32_t current_node() const noexcept { return node_of_cpu(::sched_getcpu()); }

    /// Every node, the nearest first, which is `node` itself. Throws std::bad_alloc.
    std::vector<std::uint32_t> by_distance(std::uint32_t node) const {
        std::vector<std::uint32_t> order(size());
        std::iota(order.begin(), order.end(), 0u);
        const std::vector<int> &d = nodes_[node].distances;
        // Not std::stable_sort: clang 19 warns of what that does in libstdc++ 12.
        const auto key = [&](std::uint32_t n) {
            return std::tuple(n != node, d.size() == size() ? d[n] : 0, n);
        };
        std::sort(order.begin(), order.end(),
                  [&](std::uint32_t a, std::uint32_t b) { return key(a) < key(b); });
        return order;
    }

  private:
    topology(std::vector<numa_node> nodes, bool real) : nodes_(std::move(nodes)), real_(real) {
        if (nodes_.empty()) throw invalid_options("a topology without nodes");
        for (std::uint32_t i = 0; i < size(); ++i) {
            for (int cpu : nodes_[i].cpus) {
                const auto c = static_cast<std::size_t>(cpu);
                if (c >= node_of_cpu_.size()) node_of_cpu_.resize(c + 1, 0);
                node_of_cpu_[c] = i;
            }
        }
    }

    static std::vector<int> memory_allowed(const std::string &status, const std::vector<int> &online) {
        static const std::string name = "Mems_allowed_list:";
        std::ifstream file(status);
        for (std::string line; std::getline(file, line);) {
            if (line.compare(0, name.size(), name) == 0) return detail::parse_list(line.substr(name.size()));
        }
        return online;
    }

    template <class T> static bool contains(const std::vector<T> &all, T one) {
        return std::find(all.begin(), all.end(), one) != all.end();
    }

    static int distance(const std::vector<numa_node> &all, std::size_t from, std::size_t to) {
        return to < all[from].distances.size() ? all[from].distances[to] : from == to ? 10 : 20;
    }

    std::vector<numa_node> nodes_;
    std::vector<std::uint32_t> node_of_cpu_;
    bool real_;
};

} // namespace turbomem

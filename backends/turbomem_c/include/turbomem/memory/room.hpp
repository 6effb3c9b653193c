// SPDX-License-Identifier: BSD-3-Clause
/// How much memory can be had. Asked before it is populated, because a kernel that overcommits does not
/// refuse: it kills.
#pragma once

#include "turbomem/error.hpp"
#include "turbomem/memory/page_kind.hpp"
#include "turbomem/system/proc.hpp"

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>

namespace turbomem {

namespace detail {

/// Bytes that a control group and those above it leave to this process; UINT64_MAX: no limit.
inline std::uint64_t room_in_cgroups(const std::string &root = "/sys/fs/cgroup",
                                     const std::string &membership = "/proc/self/cgroup") {
    std::uint64_t room = UINT64_MAX;
    std::ifstream groups(membership);
    // "0::/path" is version 2, "4:memory:/path" is version 1. In a container the path may be the host's, so
    // that only the root of what is mounted exists.
    for (std::string line; std::getline(groups, line);) {
        const std::size_t first = line.find(':');
        const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
        if (second == std::string::npos) continue;
        const std::string controllers = line.substr(first + 1, second - first - 1);
        std::istringstream names(controllers);
        bool v1 = false;
        for (std::string name; std::getline(names, name, ',');) v1 = v1 || name == "memory";
        if (!v1 && !controllers.empty()) continue;
        const std::string mount = root + (v1 ? "/memory" : "");
        std::string path = line.substr(second + 1);
        for (;;) {
            const std::string folder = mount + (path == "/" ? "" : path);
            const auto limit = number_in(folder + (v1 ? "/memory.limit_in_bytes" : "/memory.max"));
            const auto used = number_in(folder + (v1 ? "/memory.usage_in_bytes" : "/memory.current"));
            if (limit && used) {
                // What it holds of files goes before anything is killed.
                std::uint64_t files = 0;
                std::ifstream stat(folder + "/memory.stat");
                std::string name;
                for (std::uint64_t n = 0; stat >> name >> n;) {
                    if (name == (v1 ? "total_inactive_file" : "inactive_file")) files = n;
                }
                const std::uint64_t held = *used - std::min(files, *used);
                room = std::min(room, *limit - std::min(held, *limit));
            }
            if (path.empty() || path == "/") break;
            path.resize(path.rfind('/')); // up to the root, which is empty then
        }
    }
    return room;
}

} // namespace detail

/// Bytes this process can populate without swapping or being killed; UINT64_MAX when nothing says.
inline std::uint64_t memory_left() {
    return std::min(detail::bytes_of("/proc/meminfo", "MemAvailable:").value_or(UINT64_MAX),
                    detail::room_in_cgroups());
}

/// Bytes to be had on one NUMA node; UINT64_MAX when nothing says. The kernel has no such figure per node: it
/// is what is free and what holds files, less a fiftieth that it keeps for itself.
inline std::uint64_t memory_left_on(int node) {
    const std::string file = "/sys/devices/system/node/node" + std::to_string(node) + "/meminfo";
    const auto free = detail::bytes_of(file, "MemFree:");
    if (!free) return UINT64_MAX;
    const std::uint64_t files = detail::bytes_of(file, "Active(file):").value_or(0) +
                                detail::bytes_of(file, "Inactive(file):").value_or(0);
    const std::uint64_t reserve = detail::bytes_of(file, "MemTotal:").value_or(0) / 50;
    return *free + files - std::min(*free + files, reserve);
}

/// Refuse what memory cannot hold. Throws out_of_memory.
inline void require_memory(std::uint64_t bytes) {
    const std::uint64_t available = memory_left();
    if (bytes > available)
        throw out_of_memory("the pool needs " + std::to_string(bytes) + " bytes and " +
                            std::to_string(available) + " are available: take fewer or smaller objects");
}

/// The hugetlb pages of a size.
struct hugetlb_pages {
    std::uint64_t total;      ///< reserved by the administrator, surplus included
    std::uint64_t free;       ///< not in use; some may be promised to others already
    std::uint64_t promised;   ///< of those that are free
    std::uint64_t overcommit; ///< the kernel may make so many more as they are asked for

    /// On the whole machine, or on one node, which knows no promises. Nothing: the kernel or the processor
    /// has no pages of this size.
    static std::optional<hugetlb_pages> of(page_kind kind, int node = -1) {
        const std::string top =
            node < 0 ? "/sys/kernel/mm" : "/sys/devices/system/node/node" + std::to_string(node);
        const std::string folder =
            top + "/hugepages/hugepages-" + std::to_string(page_bytes(kind) / 1024) + "kB/";
        const auto total = detail::number_in(folder + "nr_hugepages");
        const auto free = detail::number_in(folder + "free_hugepages");
        if (!total || !free) return std::nullopt;
        return hugetlb_pages{*total, *free, detail::number_in(folder + "resv_hugepages").value_or(0),
                             detail::number_in(folder + "nr_overcommit_hugepages").value_or(0)};
    }
};

} // namespace turbomem

// SPDX-License-Identifier: BSD-3-Clause
/// Why pages of a kind cannot be had, in a line that says what to do.
#pragma once

#include "turbomem/memory/page_kind.hpp"
#include "turbomem/memory/room.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <fstream>
#include <string>

namespace turbomem::detail {

inline const std::string thp_folder = "/sys/kernel/mm/transparent_hugepage";

/// Why `bytes` of hugetlb pages are refused, on a node or (-1) anywhere.
inline std::string hugetlb_advice(page_kind kind, std::uint64_t bytes, int node = -1) {
    const std::uint64_t needed = bytes / page_bytes(kind);
    const std::string size = kind == page_kind::hugetlb_1g ? "1 GB" : "2 MB";
    const std::string where = node < 0 ? "" : " on node " + std::to_string(node);
    const auto pages = hugetlb_pages::of(kind, node);
    if (!pages) return "this kernel or processor has no hugetlb pages of " + size + where + ": take thp";
    const std::string kib = std::to_string(page_bytes(kind) / 1024);
    const std::string folder =
        (node < 0 ? std::string("/sys/kernel/mm") : "/sys/devices/system/node/node" + std::to_string(node)) +
        "/hugepages/hugepages-" + kib + "kB";
    const std::uint64_t used = pages->total - std::min(pages->total, pages->free);
    return std::to_string(needed) + " hugetlb pages of " + size + " are needed" + where + "; of " +
           std::to_string(pages->total) + " reserved there are " + std::to_string(pages->free) +
           " free and " + std::to_string(pages->promised) + " of them promised: as root, echo " +
           std::to_string(used + pages->promised + needed) + " > " + folder + "/nr_hugepages" +
           (kind == page_kind::hugetlb_1g ? " (best at boot: hugepagesz=1G hugepages=N)" : "") +
           ", or take thp";
}

/// Why this process gets no transparent huge pages of 2 MB at all; empty when it may.
inline std::string no_thp_advice() {
    std::ifstream file(thp_folder + "/enabled");
    if (!file)
        return "this kernel has no transparent huge pages (CONFIG_TRANSPARENT_HUGEPAGE): take base or "
               "hugetlb_2m";
    // Arm with base pages of 64 kB has huge ones of 512 MB.
    const std::uint64_t size = number_in(thp_folder + "/hpage_pmd_size").value_or(huge_page);
    if (size != huge_page)
        return "this kernel's transparent huge pages are of " + std::to_string(size) +
               " bytes, not 2 MB: take base";
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);) {
        if (line.starts_with("THP_enabled:") && line.find('0') != std::string::npos)
            return "transparent huge pages are off for this process: undo prctl(PR_SET_THP_DISABLE)";
    }
    return "";
}

/// In mode never a touch gives base pages. Collapsing on request works all the same, as madvise(2) has it.
inline bool thp_is_off() {
    std::ifstream file(thp_folder + "/enabled");
    std::string modes;
    std::getline(file, modes);
    return modes.find("[never]") != std::string::npos;
}

/// Why not everything came to lie on transparent huge pages although they were asked for; `code` is what
/// MADV_COLLAPSE said.
inline std::string thp_advice(int code) {
    if (code == EINVAL && thp_is_off())
        return "they are off and this kernel (before 6.1) does not collapse on request: as root, echo "
               "madvise > " +
               thp_folder + "/enabled";
    if (code == EINVAL) return "this kernel refuses to collapse what it did not give (Linux before 6.1)";
    return "memory is short or fragmented: free some, echo 1 > /proc/sys/vm/compact_memory as root, or take "
           "hugetlb_2m";
}

} // namespace turbomem::detail

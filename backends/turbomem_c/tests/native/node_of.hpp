// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <optional>

/// The kernel's number of the node a page lies on; nothing when the page is not there or the kernel does not
/// say. One system call.
inline std::optional<int> node_of(const void *address) noexcept {
    const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
    void *start = reinterpret_cast<void *>(reinterpret_cast<std::uintptr_t>(address) & ~(page - 1));
    int status = -1;
    // Without target nodes it moves nothing and reports.
    if (::syscall(SYS_move_pages, 0, 1ul, &start, nullptr, &status, 0) != 0 || status < 0)
        return std::nullopt;
    return status;
}

// SPDX-License-Identifier: BSD-3-Clause
/// Huge pages of 2 MB for a benchmark, borrowed from the kernel: what a library must not do for itself.
#pragma once

#include "turbomem/error.hpp"
#include "turbomem/memory/page_kind.hpp"
#include "turbomem/memory/room.hpp"
#include "turbomem/system/proc.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>

/// While it is open, hugetlb pages for so many bytes can be mapped. Where too few are free the kernel's limit
/// of surplus pages is raised, and put back when the window closes. Surplus pages are made when they are
/// mapped and taken back when they are unmapped, even from a process that was killed: nothing is left to
/// undo.
class hugepage_window {
  public:
    /// Throws turbomem::error: EPERM, the limit may not be raised; out_of_memory.
    explicit hugepage_window(std::uint64_t bytes) {
        using turbomem::detail::number_in;
        const auto now = turbomem::hugetlb_pages::of(turbomem::page_kind::hugetlb_2m);
        if (!now) return; // there are none at all: mapping them says so
        const std::uint64_t wanted = bytes / turbomem::huge_page + 1;

        // Others who raise and put back the limit take turns: the lock is the limit's own file.
        file_ = ::open(path, O_RDWR | O_CLOEXEC);
        const int refused = errno;
        const bool writable = file_ >= 0;
        if (!writable) file_ = ::open(path, O_RDONLY | O_CLOEXEC);
        // A signal that ends the process waits until the limit is put back.
        sigset_t all;
        sigfillset(&all);
        ::pthread_sigmask(SIG_SETMASK, &all, &signals_);
        while (::flock(file_, LOCK_EX) != 0 && errno == EINTR) {
        }

        limit_ = number_in(path).value_or(0);
        const std::uint64_t surplus = number_in(folder + "surplus_hugepages").value_or(0);
        const std::uint64_t idle = now->free - std::min(now->promised, now->free);
        const std::uint64_t unused = limit_ - std::min(surplus, limit_);
        // Others who take pages without turns may be quicker; a limit that is too high costs nothing.
        const std::uint64_t generous = 2 * wanted + 32;
        if (idle + unused >= generous) return;
        try {
            turbomem::require_memory((wanted - std::min(idle, wanted)) * turbomem::huge_page);
            raised_ = writable && write(surplus + generous);
            if (!raised_ && idle + unused < wanted)
                throw turbomem::error(EPERM, std::to_string(wanted) + " huge pages of 2 MB are needed and " +
                                                 std::to_string(idle) +
                                                 " are free; raising the limit failed (" +
                                                 std::strerror(writable ? errno : refused) + "): run `echo " +
                                                 std::to_string(now->total + wanted - idle + 16) +
                                                 " | sudo tee /proc/sys/vm/nr_hugepages`");
        } catch (...) {
            close();
            throw;
        }
    }
    hugepage_window(const hugepage_window &) = delete;
    hugepage_window &operator=(const hugepage_window &) = delete;
    ~hugepage_window() {
        if (raised_) write(limit_);
        close();
    }

  private:
    inline static const std::string folder = "/sys/kernel/mm/hugepages/hugepages-2048kB/";
    static constexpr const char *path = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_overcommit_hugepages";

    bool write(std::uint64_t limit) const noexcept {
        char text[24];
        const auto length = static_cast<std::size_t>(
            std::snprintf(text, sizeof text, "%llu", static_cast<unsigned long long>(limit)));
        return ::pwrite(file_, text, length, 0) == static_cast<ssize_t>(length);
    }
    void close() const noexcept {
        if (file_ < 0) return;
        ::close(file_); // unlocks
        ::pthread_sigmask(SIG_SETMASK, &signals_, nullptr);
    }

    int file_ = -1;
    bool raised_ = false;
    std::uint64_t limit_ = 0; ///< as it was found
    sigset_t signals_{};      ///< the thread's mask as it was found
};

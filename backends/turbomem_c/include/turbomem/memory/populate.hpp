// SPDX-License-Identifier: BSD-3-Clause
/// Touching memory for the first time. Who touches it decides on which node it lies, and how fast that goes.
#pragma once

#include "turbomem/memory/page_kind.hpp"
#include "turbomem/system/threads.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <thread>
#include <vector>

namespace turbomem::detail {

// Older C library headers lack these.
inline constexpr int madv_populate_write = 23; // Linux 5.14
inline constexpr int madv_collapse = 25;       // Linux 6.1

/// Memory to populate, and the CPUs to do it from (none: wherever the caller may run).
struct piece {
    std::byte *start;
    std::size_t bytes;
    std::vector<int> cpus{};
};

/// Touch every page. Returns 0 or the kernel's errno, such as ENOMEM, or EFAULT where hugetlb pages ran out.
inline int touch_all(std::byte *start, std::size_t bytes) noexcept {
    while (::madvise(start, bytes, madv_populate_write) != 0) {
        if (errno == EINTR || errno == EAGAIN) continue;
        if (errno != EINVAL) return errno;
        // A kernel before 5.14. Running out kills here; the caller has asked what is there.
        for (std::size_t at = 0; at < bytes; at += base_page())
            static_cast<volatile std::byte *>(start)[at] = std::byte{0};
        return 0;
    }
    return 0;
}

/// Where touching gives no huge page but collapsing does: one base page of each and collapse it, which clears
/// the rest. Populating base pages first would take twice the memory and many times as long.
inline int touch_and_collapse(std::byte *start, std::size_t bytes) noexcept {
    for (std::size_t at = 0; at < bytes; at += huge_page)
        static_cast<volatile std::byte *>(start)[at] = std::byte{0};
    ::madvise(start, bytes, madv_collapse); // what that did not get comes as base pages
    return touch_all(start, bytes);
}

/// `touch` every piece, in parts of whole pages, from its own CPUs, with up to `threads` threads a piece.
/// What bounds it is how fast the kernel clears pages, and one processor alone does not reach what memory can
/// take. Returns 0 or the first errno; then some is populated and some is not.
inline int populate(const std::vector<piece> &pieces, std::size_t page, unsigned threads,
                    int (*touch)(std::byte *, std::size_t) noexcept = touch_all) {
    std::atomic<int> failed{0};
    std::vector<std::thread> helpers;
    const auto note = [&](int code) {
        int none = 0;
        if (code != 0) failed.compare_exchange_strong(none, code);
    };
    for (const piece &p : pieces) {
        const std::size_t pages = p.bytes / page;
        const std::size_t parts = std::clamp<std::size_t>(threads, 1, std::max<std::size_t>(pages, 1));
        for (std::size_t i = 0; i < parts; ++i) {
            const std::size_t from = pages * i / parts * page, to = pages * (i + 1) / parts * page;
            const auto work = [&, from, to] {
                std::optional<pin> here;
                try {
                    if (!p.cpus.empty()) here.emplace(p.cpus);
                } catch (const error &) {
                    // not one of its CPUs is ours to use; the binding of the memory still decides
                }
                note(touch(p.start + from, to - from));
            };
            const bool last = &p == &pieces.back() && i + 1 == parts;
            std::optional<std::thread> helper;
            if (!last) helper = quiet_thread(work);
            if (helper)
                helpers.push_back(std::move(*helper));
            else
                work();
        }
    }
    for (std::thread &h : helpers) h.join();
    return failed.load();
}

} // namespace turbomem::detail

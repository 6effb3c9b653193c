// SPDX-License-Identifier: BSD-3-Clause
/// Huge pages of 2 MB for a benchmark, borrowed from the kernel: what a library must not do for itself.
#pragma once

#include "turbomem/error.hpp"

#include <allocmark/huge_pages.h>

#include <cstdint>

/// While it is open, hugetlb pages for so many bytes can be mapped.
class hugepage_window {
  public:
    /// Throws turbomem::error: EPERM, the limit may not be raised; ENOMEM; ENOTSUP, the kernel has none.
    explicit hugepage_window(std::uint64_t bytes) {
        allocmark_error error;
        if (const int code = allocmark_huge_window_open(&window_, bytes, &error))
            throw turbomem::error(-code, error.message);
    }
    hugepage_window(const hugepage_window &) = delete;
    hugepage_window &operator=(const hugepage_window &) = delete;
    ~hugepage_window() { allocmark_huge_window_close(&window_); }

  private:
    allocmark_huge_window window_;
};

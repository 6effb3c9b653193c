// SPDX-License-Identifier: BSD-3-Clause
/// Memory for an exchange's own records, apart from the objects.
#pragma once

#include "turbomem/error.hpp"
#include "turbomem/memory/page_kind.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string>

namespace turbomem {

/// A private anonymous mapping: page aligned, zero, inherited by fork. The first `populated` bytes are backed
/// by memory when it is made; the rest costs address space until it is touched, and lies where that happens.
class metadata {
  public:
    /// Throws out_of_memory.
    metadata(std::size_t bytes, std::size_t populated) : bytes_(bytes) {
        const bool on_demand = populated < bytes;
        // MAP_NORESERVE: a limit on commitment is not used up by what may never be touched.
        const int flags = MAP_PRIVATE | MAP_ANONYMOUS | (on_demand ? MAP_NORESERVE : 0);
        void *start = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
        if (start == MAP_FAILED) refuse(errno);
        start_ = static_cast<std::byte *>(start);
        // One touch is not to bring 2 MB. A kernel without transparent huge pages refuses, and brings none.
        if (on_demand || bytes < worth_a_huge_page) ::madvise(start_, bytes, MADV_NOHUGEPAGE);
        if (populated != 0) populate(std::min(populated, bytes));
    }
    ~metadata() { ::munmap(start_, bytes_); }
    metadata(const metadata &) = delete;
    metadata &operator=(const metadata &) = delete;

    std::byte *data() const noexcept { return start_; }

  private:
    static constexpr int populate_write = 23; // MADV_POPULATE_WRITE, Linux 5.14; older headers lack it

    [[noreturn]] void refuse(int code) const {
        throw out_of_memory(std::to_string(bytes_) + " bytes of metadata: " + std::strerror(code));
    }

    void populate(std::size_t bytes) {
        if (::madvise(start_, bytes, populate_write) == 0) return;
        if (const int code = errno; code != EINVAL) { // EINVAL: an older kernel
            ::munmap(start_, bytes_);
            refuse(code);
        }
        for (std::size_t at = 0; at < bytes; at += detail::base_page())
            static_cast<volatile std::byte *>(start_)[at] = std::byte{0};
    }

    std::size_t bytes_;
    std::byte *start_ = nullptr;
};

} // namespace turbomem

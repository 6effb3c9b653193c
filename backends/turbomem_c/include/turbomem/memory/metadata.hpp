// SPDX-License-Identifier: BSD-3-Clause
/// Memory for an exchange's own records, apart from the objects.
#pragma once

#include "turbomem/error.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string>

namespace turbomem {

/// A private anonymous mapping: page aligned, zero, inherited by fork.
class metadata {
  public:
    enum class when {
        now,    ///< backed by memory when constructed
        touched ///< costs address space until used
    };

    /// Throws out_of_memory.
    metadata(std::size_t bytes, when backed) : bytes_(bytes) {
        // MAP_NORESERVE: a limit on commitment is not used up by what may never be touched.
        const int flags = MAP_PRIVATE | MAP_ANONYMOUS | (backed == when::touched ? MAP_NORESERVE : 0);
        void *start = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
        if (start == MAP_FAILED) refuse(errno);
        start_ = static_cast<std::byte *>(start);
        if (backed == when::now) populate();
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

    void populate() {
        if (::madvise(start_, bytes_, populate_write) == 0) return;
        if (const int code = errno; code != EINVAL) { // EINVAL: an older kernel
            ::munmap(start_, bytes_);
            refuse(code);
        }
        const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
        for (std::size_t at = 0; at < bytes_; at += page)
            static_cast<volatile std::byte *>(start_)[at] = std::byte{0};
    }

    std::size_t bytes_;
    std::byte *start_ = nullptr;
};

} // namespace turbomem

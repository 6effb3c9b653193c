// SPDX-License-Identifier: BSD-3-Clause
/// Memory for objects and magazines, on the kind of page that was asked for, populated.
#pragma once

#include "turbomem/error.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cinttypes>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <utility>

namespace turbomem {

enum class page_kind : std::uint8_t {
    base, ///< pages of the base size, never huge
    thp,  ///< transparent huge pages of 2 MB
};

constexpr const char *name_of(page_kind kind) noexcept {
    return kind == page_kind::thp ? "thp" : "base";
}

inline constexpr std::size_t huge_page = std::size_t{2} << 20;

namespace detail {

// Kernel constants that older C library headers lack.
inline constexpr int madv_populate_write = 23; // Linux 5.14
inline constexpr int madv_collapse = 25;       // Linux 6.1

inline std::size_t base_page() noexcept {
    return static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

/// Bytes the kernel expects to give without swapping, or UINT64_MAX when it does not say.
inline std::uint64_t available_memory() {
    std::ifstream file("/proc/meminfo");
    for (std::string line; std::getline(file, line);) {
        std::uint64_t kib = 0;
        if (std::sscanf(line.c_str(), "MemAvailable: %" SCNu64, &kib) == 1) return kib * 1024;
    }
    return UINT64_MAX;
}

struct unmapper {
    std::size_t length = 0;
    void operator()(void *start) const noexcept { ::munmap(start, length); }
};

} // namespace detail

/// Refuse what memory cannot hold: with overcommit the kernel would kill the process while populating
/// instead. Throws out_of_memory.
inline void require_memory(std::uint64_t bytes) {
    const std::uint64_t available = detail::available_memory();
    if (bytes > available)
        throw out_of_memory("the pool needs " + std::to_string(bytes) + " bytes and " +
                            std::to_string(available) + " are available: take fewer or smaller objects");
}

/// A private anonymous mapping that starts on a 2 MB boundary; its memory is populated.
class mapping {
  public:
    /// Bytes are rounded up to whole pages of `kind`. Throws out_of_memory, or error with the kernel's errno.
    mapping(std::size_t bytes, page_kind kind) : kind_(kind) {
        const std::size_t page = kind == page_kind::thp ? huge_page : detail::base_page();
        if (bytes == 0 || bytes > SIZE_MAX / 2)
            throw invalid_options("a mapping of " + std::to_string(bytes) + " bytes");
        length_ = (bytes + page - 1) / page * page;

        // Room to align, and inaccessible pages on both sides: the kernel merges no neighbour into the area,
        // so what smaps says is about this mapping alone, and running over an end faults.
        const std::size_t guard = detail::base_page();
        const std::size_t reserved = length_ + huge_page + 2 * guard;
        void *start =
            ::mmap(nullptr, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (start == MAP_FAILED) refuse(errno);
        reservation_ = {start, detail::unmapper{reserved}};

        const auto first = reinterpret_cast<std::uintptr_t>(start) + guard;
        data_ = reinterpret_cast<std::byte *>((first + huge_page - 1) / huge_page * huge_page);
        if (::mprotect(data_, length_, PROT_READ | PROT_WRITE) != 0) refuse(errno);
        advise();
        populate();
        // Do not wait for khugepaged: it takes minutes. Best effort; the coverage reached can be asked for.
        if (kind == page_kind::thp && huge_bytes() < length_)
            ::madvise(data_, length_, detail::madv_collapse);
    }

    std::byte *data() const noexcept { return data_; }
    std::size_t size() const noexcept { return length_; }
    page_kind kind() const noexcept { return kind_; }

    /// Bytes that lie on transparent huge pages now, as the kernel accounts them in /proc/self/smaps.
    /// Throws error (EIO) where that cannot be read: an unknown coverage is not a coverage of 0.
    std::uint64_t huge_bytes() const {
        std::ifstream file("/proc/self/smaps");
        const auto begin = reinterpret_cast<std::uintptr_t>(data_);
        const std::uintptr_t end = begin + length_;
        bool seen = false, inside = false;
        std::uint64_t bytes = 0;
        for (std::string line; std::getline(file, line);) {
            std::uintptr_t from = 0, to = 0;
            std::uint64_t kib = 0;
            // A field such as "AnonHugePages:" cannot match: its name is no pair of hexadecimal numbers.
            if (std::sscanf(line.c_str(), "%" SCNxPTR "-%" SCNxPTR " ", &from, &to) == 2) {
                inside = from >= begin && to <= end;
                seen = seen || inside;
            } else if (inside && std::sscanf(line.c_str(), "AnonHugePages: %" SCNu64, &kib) == 1) {
                bytes += kib * 1024;
            }
        }
        if (!seen) throw error(EIO, "the pool's memory is not listed in /proc/self/smaps");
        return bytes;
    }

  private:
    [[noreturn]] void refuse(int code) const {
        const std::string what =
            std::to_string(length_) + " bytes of " + name_of(kind_) + " pages: " + std::strerror(code);
        if (code == ENOMEM) throw out_of_memory(what);
        throw error(code, what);
    }

    void advise() const {
        const bool thp = kind_ == page_kind::thp;
        const bool done = ::madvise(data_, length_, thp ? MADV_HUGEPAGE : MADV_NOHUGEPAGE) == 0;
        // A kernel without transparent huge pages refuses both; base pages are then all it has.
        if (!done && thp)
            throw error(errno,
                        std::string("this kernel gives no transparent huge pages: ") + std::strerror(errno));
    }

    void populate() const {
        if (::madvise(data_, length_, detail::madv_populate_write) == 0) return;
        if (errno != EINVAL) refuse(errno); // EINVAL: a kernel older than 5.14
        for (std::size_t at = 0; at < length_; at += detail::base_page()) {
            static_cast<volatile std::byte *>(data_)[at] = std::byte{0};
        }
    }

    page_kind kind_;
    std::size_t length_ = 0;
    std::byte *data_ = nullptr;
    std::unique_ptr<void, detail::unmapper> reservation_;
};

} // namespace turbomem

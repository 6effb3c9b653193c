// SPDX-License-Identifier: BSD-3-Clause
/** What a thread writes into an object while it holds it, to find out whether anybody else wrote there. */
#pragma once

#include <cinttypes>
#include <cstdint>
#include <cstring>

#include "audited.hpp"

namespace allocmark::audit {

/** No two objects that are out have the same: a mark, the thread that got the object, and its count. */
class Stamps {
  public:
    explicit Stamps(uint32_t thread) : next_(kMark | uint64_t(thread) << 48) {}

    /** Writes the next one over the whole object. */
    static void write(void *object, uint64_t stamp, uint32_t words) {
        for (uint64_t i = 0; i < words; ++i) {
            const uint64_t word = mixed(stamp, i);
            std::memcpy(static_cast<char *>(object) + 8 * i, &word, 8);
        }
    }
    uint64_t next() { return next_++; }

    /** The stamp that the first word of an object holds. */
    static uint64_t read(const void *object) {
        uint64_t word;
        std::memcpy(&word, object, 8);
        return word;
    }

    /** Throws when the object no longer holds its stamp. */
    static void check(const void *object, uint64_t stamp, uint32_t words) {
        for (uint64_t i = 0; i < words; ++i) {
            uint64_t word;
            std::memcpy(&word, static_cast<const char *>(object) + 8 * i, 8);
            if (word != mixed(stamp, i)) [[unlikely]]
                report(object, stamp, i);
        }
    }

  private:
    static constexpr uint64_t kMark = uint64_t(0xa7) << 56;
    static uint64_t mixed(uint64_t stamp, uint64_t i) { return stamp ^ i * 0x9e3779b97f4a7c15u; }

    [[noreturn, gnu::noinline]] static void report(const void *object, uint64_t stamp, uint64_t i) {
        const uint64_t other = read(object);
        const auto thread = [](uint64_t of) { return unsigned(of >> 48 & 0xff); };
        if (other != stamp && (other ^ kMark) >> 56 == 0) // another one's stamp
            fault(
                "object %p was handed out twice: to thread %u, and before that one put it back to thread %u",
                object, thread(stamp), thread(other));
        const uint64_t wanted = mixed(stamp, i);
        uint64_t at = 8 * i;
        while (static_cast<const char *>(object)[at] == reinterpret_cast<const char *>(&wanted)[at % 8]) ++at;
        fault("object %p was overwritten at byte %" PRIu64 " while thread %u held it", object, at,
              thread(stamp));
    }

    uint64_t next_;
};

} // namespace allocmark::audit

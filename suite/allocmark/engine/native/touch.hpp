// SPDX-License-Identifier: BSD-3-Clause
/** Reads and writes of an object's bytes that no compiler may remove. */
#pragma once

#include <cstdint>
#include <cstring>

namespace allocmark::touch {

// A vector of 16 bytes is what every x86-64 and aarch64 has: the same cost for every backend.
using Block = uint64_t __attribute__((vector_size(16)));

inline void write(void *object, uint32_t bytes, uint64_t value) {
    char *at = static_cast<char *>(object);
    const Block block = {value, ~value};
    for (; bytes >= sizeof(Block); bytes -= sizeof(Block), at += sizeof(Block))
        std::memcpy(at, &block, sizeof(Block));
    for (; bytes > 0; --bytes, ++at) *at = char(value);
    asm volatile("" ::: "memory"); // the stores happen, whoever reads them
}

inline void read(const void *object, uint32_t bytes) {
    const char *at = static_cast<const char *>(object);
    Block sum = {0, 0};
    for (; bytes >= sizeof(Block); bytes -= sizeof(Block), at += sizeof(Block)) {
        Block block;
        std::memcpy(&block, at, sizeof(Block));
        sum ^= block;
    }
    for (; bytes > 0; --bytes, ++at) sum[0] ^= uint64_t(*at);
    asm volatile("" ::"m"(sum) : "memory"); // the loads happen, though nobody wants the sum
}

} // namespace allocmark::touch

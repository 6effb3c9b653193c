// SPDX-License-Identifier: BSD-3-Clause
#include "touch.hpp"

#include <cstring>

namespace allocmark::touch {

namespace {

// A vector of 16 bytes is what every x86-64 and aarch64 has: the same cost for every backend.
using Block = uint64_t __attribute__((vector_size(16)));

} // namespace

void write(void *const *objects, uint32_t n, uint32_t bytes, uint64_t value) {
    const Block block = {value, ~value};
    for (uint32_t i = 0; i < n; ++i) {
        char *at = static_cast<char *>(objects[i]);
        uint32_t left = bytes;
        for (; left >= sizeof(Block); left -= sizeof(Block), at += sizeof(Block))
            std::memcpy(at, &block, sizeof(Block));
        for (; left > 0; --left, ++at) *at = char(value);
    }
    asm volatile("" ::: "memory"); // the stores happen, whoever reads them
}

void read(void *const *objects, uint32_t n, uint32_t bytes) {
    Block sum = {0, 0};
    for (uint32_t i = 0; i < n; ++i) {
        const char *at = static_cast<const char *>(objects[i]);
        uint32_t left = bytes;
        for (; left >= sizeof(Block); left -= sizeof(Block), at += sizeof(Block)) {
            Block block;
            std::memcpy(&block, at, sizeof(Block));
            sum ^= block;
        }
        for (; left > 0; --left, ++at) sum[0] ^= uint64_t(*at);
    }
    asm volatile("" ::"m"(sum) : "memory"); // the loads happen, though nobody wants the sum
}

} // namespace allocmark::touch

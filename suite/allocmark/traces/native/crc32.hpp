// SPDX-License-Identifier: BSD-3-Clause
/** The CRC-32 of zlib and PNG, eight bytes at a time. */
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace allocmark {

namespace crc32_tables {
constexpr auto make() {
    std::array<std::array<uint32_t, 256>, 8> tables{};
    for (uint32_t i = 0; i < 256; ++i) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (crc & 1 ? 0xedb88320u : 0);
        tables[0][i] = crc;
    }
    for (uint32_t i = 0; i < 256; ++i)
        for (int t = 1; t < 8; ++t)
            tables[t][i] = (tables[t - 1][i] >> 8) ^ tables[0][tables[t - 1][i] & 255];
    return tables;
}
inline constexpr auto kTables = make();
} // namespace crc32_tables

/** Of `n` bytes, after those whose CRC is `crc`. */
inline uint32_t crc32(const void *data, size_t n, uint32_t crc = 0) {
    const auto &t = crc32_tables::kTables;
    const auto *p = static_cast<const unsigned char *>(data);
    crc = ~crc;
    for (; n >= 8; n -= 8, p += 8) {
        uint64_t word;
        std::memcpy(&word, p, 8);
        word ^= crc;
        crc = 0;
        for (int i = 0; i < 8; ++i) crc ^= t[7 - i][(word >> (8 * i)) & 255];
    }
    for (; n > 0; --n, ++p) crc = (crc >> 8) ^ t[0][(crc ^ *p) & 255];
    return ~crc;
}

} // namespace allocmark

// SPDX-License-Identifier: BSD-3-Clause
#include "trace_reader.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>

#include "crc32.hpp"

namespace allocmark {

TraceFile::~TraceFile() {
    if (fd_ >= 0) close(fd_);
}

bool TraceFile::open(const char *name, Damage &damage) {
    path = name;
    fd_ = ::open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK); // a pipe without a writer is no trace
    struct stat found{};
    if (fd_ < 0 || fstat(fd_, &found) != 0) return damage = {0, std::strerror(errno)}, false;
    if (!S_ISREG(found.st_mode)) return damage = {0, "expected a file"}, false;
    bytes = uint64_t(found.st_size);
    if (pread(fd_, &header, sizeof header, 0) != ssize_t(sizeof header))
        return damage = {bytes, "the file ends within its header"}, false;
    if (std::memcmp(header.magic, TraceHeader::kMagic, sizeof header.magic) != 0)
        return damage = {0, "no trace: expected one of `allocmark record`"}, false;
    if (header.version != TraceHeader::kVersion)
        return damage = {8, "version " + std::to_string(header.version) + ", and this allocmark reads " +
                                std::to_string(TraceHeader::kVersion) + ": record it again"},
               false;
    if (header.crc != crc32(&header, offsetof(TraceHeader, crc)))
        return damage = {offsetof(TraceHeader, crc), "the header's checksum is wrong"}, false;
    // What needs memory is bounded by the file's own size: an event has three bytes at least, a slot or a
    // thread an event that begins it.
    if (header.events > bytes / 3)
        return damage = {bytes, "the file ends here, and its header has " + std::to_string(header.events) +
                                    " events: it is cut off"},
               false;
    if (header.header_bytes != sizeof header || header.slots > header.events ||
        header.threads > std::min<uint64_t>(kMostThreads, header.events + 1) || header.points == 0 ||
        header.points > kMostPoints || header.largest > kMostSize)
        return damage = {12, "the header has numbers that no trace has"}, false;
    chunks.resize(header.threads);
    uint64_t at = sizeof header, n = 0;
    for (; at < bytes; ++n) {
        ChunkHeader chunk;
        if (pread(fd_, &chunk, sizeof chunk, off_t(at)) != ssize_t(sizeof chunk))
            return damage = {at, "the file ends within the header of a chunk"}, false;
        if (!known(at, chunk, damage)) return false;
        at += sizeof chunk + chunk.bytes;
    }
    if (n != header.chunks)
        return damage = {at, "found " + std::to_string(n) + " chunks; expected " +
                                 std::to_string(header.chunks) +
                                 ": the file is cut off, or longer than it was"},
               false;
    if (points.size() != header.points || process.empty())
        return damage = {at, "the chunk with its points or that about its process is missing"}, false;
    return true;
}

bool TraceFile::known(uint64_t at, const ChunkHeader &chunk, Damage &damage) {
    if (chunk.kind != ChunkHeader::kEvents && chunk.kind != ChunkHeader::kPoints &&
        chunk.kind != ChunkHeader::kProcess && chunk.kind != ChunkHeader::kPools)
        return damage = {at, "no chunk begins here"}, false;
    if (chunk.bytes > ChunkHeader::kMostBytes || chunk.bytes > bytes - at - sizeof chunk)
        return damage = {at,
                         "a chunk of " + std::to_string(chunk.bytes) + " bytes, and the file ends before"},
               false;
    if (chunk.kind == ChunkHeader::kEvents) {
        if (chunk.thread >= header.threads || chunk.events == 0)
            return damage = {at, "a chunk of a thread that there is not, or without events"}, false;
        chunks[chunk.thread].push_back(at);
        return true;
    }
    ChunkHeader again;
    std::vector<uint8_t> payload;
    if (!read(at, again, payload, damage)) return false;
    if (chunk.kind == ChunkHeader::kProcess) {
        process.assign(payload.begin(), payload.end());
        return true;
    }
    if (chunk.kind == ChunkHeader::kPools) return know_pools(at, payload, damage);
    if (payload.size() != header.points * sizeof(am_point) || !points.empty())
        return damage = {at, "other points than the header has"}, false;
    points.resize(header.points);
    std::memcpy(points.data(), payload.data(), payload.size());
    return true;
}

bool TraceFile::know_pools(uint64_t at, const std::vector<uint8_t> &payload, Damage &damage) {
    const size_t n = payload.size() / sizeof(am_trace_pool);
    if (n == 0 || n > AM_MOST_POOLS || payload.size() % sizeof(am_trace_pool) != 0 || !pools.empty())
        return damage = {at, "pools that no trace has"}, false;
    pools.resize(n);
    std::memcpy(pools.data(), payload.data(), payload.size());
    for (const am_trace_pool &pool : pools) {
        const size_t length = strnlen(pool.name, sizeof pool.name);
        const bool named =
            length > 0 && length < sizeof pool.name &&
            std::all_of(pool.name, pool.name + length, [](char c) { return c > ' ' && c < 127; });
        if (!named || pool.object_size == 0 || pool.object_size > kMostSize || pool.objects == 0 ||
            pool.objects > UINT32_MAX || pool.working_set > pool.objects || pool.cache > pool.objects ||
            pool.alignment > 40)
            return damage = {at, "a pool that cannot be"}, false;
    }
    return true;
}

bool TraceFile::read(uint64_t offset, ChunkHeader &chunk, std::vector<uint8_t> &payload,
                     Damage &damage) const {
    if (pread(fd_, &chunk, sizeof chunk, off_t(offset)) != ssize_t(sizeof chunk) ||
        chunk.bytes > ChunkHeader::kMostBytes)
        return damage = {offset, "the file has changed"}, false;
    payload.resize(chunk.bytes);
    if (pread(fd_, payload.data(), payload.size(), off_t(offset + sizeof chunk)) != ssize_t(payload.size()))
        return damage = {offset, "the file ends within a chunk"}, false;
    if (chunk.crc != crc32(payload.data(), payload.size(), crc32(&chunk, offsetof(ChunkHeader, crc))))
        return damage = {offset, "the checksum of the chunk that begins here is wrong"}, false;
    return true;
}

} // namespace allocmark

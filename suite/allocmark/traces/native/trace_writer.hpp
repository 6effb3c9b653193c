// SPDX-License-Identifier: BSD-3-Clause
/** Writes a trace file: chunks one after another, and the header in the end. */
#pragma once

#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "crc32.hpp"
#include "trace_format.hpp"

namespace allocmark {

class TraceWriter {
  public:
    /** `pools`: whether the program has such. */
    TraceWriter(const char *path, bool pools) : file_(std::fopen(path, "wbe")), pools_(pools) {
        const TraceHeader none{};
        write(&none, sizeof none);
    }
    TraceWriter(const TraceWriter &) = delete;
    ~TraceWriter() {
        if (file_) std::fclose(file_);
    }

    void add(uint32_t thread, const TraceEvent &event) {
        if (thread >= threads_.size()) threads_.resize(thread + 1, EventEncoder(pools_));
        EventEncoder &own = threads_[thread];
        if (own.events() == 0) own.begin(event.ns);
        own.add(event);
        ++header_.events;
        header_.ops |= 1u << unsigned(event.op);
        if (event.size > header_.largest) header_.largest = event.size;
        if (own.events() == kEventsPerChunk) flush(thread);
    }
    /** Ends the chunk of a thread that has no more events. */
    void flush(uint32_t thread) {
        EventEncoder &own = threads_[thread];
        if (own.events() == 0) return;
        chunk(
            {ChunkHeader::kEvents, thread, uint32_t(own.bytes().size()), own.events(), own.begun_ns(), 0, 0},
            own.bytes().data());
        own.begin(0);
    }
    uint32_t threads() const { return uint32_t(threads_.size()); }
    uint64_t events() const { return header_.events; }

    /** The rest of the file; whether everything could be written. */
    bool finish(const std::vector<am_point> &points, const std::vector<am_trace_pool> &pools,
                const std::string &process, uint64_t slots) {
        for (uint32_t thread = 0; thread < threads_.size(); ++thread) flush(thread);
        if (pools_)
            chunk({ChunkHeader::kPools, 0, uint32_t(pools.size() * sizeof(am_trace_pool)), 0, 0, 0, 0},
                  pools.data());
        chunk({ChunkHeader::kPoints, 0, uint32_t(points.size() * sizeof(am_point)), 0, 0, 0, 0},
              points.data());
        chunk({ChunkHeader::kProcess, 0, uint32_t(process.size()), 0, 0, 0, 0}, process.data());
        std::memcpy(header_.magic, TraceHeader::kMagic, sizeof header_.magic);
        header_.version = TraceHeader::kVersion;
        header_.header_bytes = sizeof header_;
        header_.slots = slots;
        header_.threads = threads();
        header_.points = uint32_t(points.size());
        header_.crc = crc32(&header_, offsetof(TraceHeader, crc));
        if (!file_ || std::fseek(file_, 0, SEEK_SET) != 0) return false;
        write(&header_, sizeof header_);
        const bool written = std::fflush(file_) == 0 && !failed_;
        return (std::fclose(std::exchange(file_, nullptr)) == 0) && written;
    }

  private:
    static constexpr uint32_t kEventsPerChunk = 8192;

    void write(const void *from, size_t n) {
        failed_ = failed_ || !file_ || std::fwrite(from, 1, n, file_) != n;
    }
    void chunk(ChunkHeader header, const void *payload) {
        header.crc = crc32(payload, header.bytes, crc32(&header, offsetof(ChunkHeader, crc)));
        write(&header, sizeof header);
        write(payload, header.bytes);
        ++header_.chunks;
    }

    std::FILE *file_;
    const bool pools_;
    bool failed_ = false;
    TraceHeader header_{};
    std::vector<EventEncoder> threads_;
};

} // namespace allocmark

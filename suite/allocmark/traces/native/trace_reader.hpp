// SPDX-License-Identifier: BSD-3-Clause
/** Reads a trace file: never more than a chunk of each thread at once, and nothing that was not checked. */
#pragma once

#include <allocmark/say.h>

#include <atomic>
#include <string>
#include <vector>

#include "trace_format.hpp"

namespace allocmark {

/** What is wrong with a trace, and at which byte of the file. */
struct Damage {
    uint64_t offset = 0;
    std::string what;
};

/** The chunks of a file, by thread. */
class TraceFile {
  public:
    /** False: `damage` says why. */
    bool open(const char *path, Damage &damage);
    ~TraceFile();
    TraceFile() = default;
    TraceFile(const TraceFile &) = delete;

    /** The events' payload of a chunk; false: `damage`. */
    bool read(uint64_t offset, ChunkHeader &header, std::vector<uint8_t> &payload, Damage &damage) const;

    std::string path, process;
    TraceHeader header{};
    uint64_t bytes = 0;
    std::vector<am_point> points;
    std::vector<std::vector<uint64_t>> chunks; // offsets, by thread

  private:
    bool known(uint64_t at, const ChunkHeader &chunk, Damage &damage);

    int fd_ = -1;
};

/** The events of one thread, in their order. */
class ThreadEvents {
  public:
    ThreadEvents(const TraceFile &file, uint32_t thread) : file_(file), thread_(thread) {}

    /** False: the end, or `damage`. */
    bool next(TraceEvent &event) {
        while (!decoder_.next(event)) {
            if (decoder_.damaged()) {
                damage = {offset(), "no event begins here"};
                return false;
            }
            if (chunk_ == file_.chunks[thread_].size()) return false;
            begin_ = file_.chunks[thread_][chunk_++];
            ChunkHeader header;
            if (!file_.read(begin_, header, payload_, damage)) return false;
            decoder_.begin(payload_.data(), payload_.size(), header.ns, header.events);
        }
        return true;
    }
    /** Where in the file the last event is. */
    uint64_t offset() const { return begin_ + sizeof(ChunkHeader) + decoder_.offset(); }

    Damage damage; // empty: none

  private:
    const TraceFile &file_;
    const uint32_t thread_;
    size_t chunk_ = 0;
    uint64_t begin_ = 0;
    std::vector<uint8_t> payload_;
    EventDecoder decoder_;
};

} // namespace allocmark

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
    std::vector<am_trace_pool> pools;          // empty: a program that calls malloc
    std::vector<std::vector<uint64_t>> chunks; // offsets, by thread

  private:
    bool know_pools(uint64_t at, const std::vector<uint8_t> &payload, Damage &damage);
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
        return file_.pools.empty() ? !event.more || fail("a bulk, and the trace has no pools")
                                   : on_pool(event);
    }
    /** Where in the file the last event is. */
    uint64_t offset() const { return begin_ + sizeof(ChunkHeader) + decoder_.offset(); }

    Damage damage; // empty: none

  private:
    bool fail(const char *what) {
        damage = {offset(), what};
        return false;
    }
    bool on_pool(TraceEvent &event) {
        if (event.op == TraceOp::kFree || !is_on_slot(event.op))
            return !event.more || event.op == TraceOp::kFree || fail("a bulk of no gets or puts");
        if (event.op != TraceOp::kMalloc) return fail("a call that pools have not");
        if (event.size >= file_.pools.size()) return fail("a pool that there is not");
        event.pool = uint16_t(event.size);
        event.size = file_.pools[event.pool].object_size;
        return true;
    }

    const TraceFile &file_;
    const uint32_t thread_;
    size_t chunk_ = 0;
    uint64_t begin_ = 0;
    std::vector<uint8_t> payload_;
    EventDecoder decoder_;
};

} // namespace allocmark

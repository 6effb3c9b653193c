// SPDX-License-Identifier: BSD-3-Clause
/** What one thread of a recording did, call by call. */
#pragma once

#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <vector>

#include "recording.h"

namespace allocmark {

/** A record with what stood in records of their own before it. */
struct RecordedCall {
    am_record_kind kind;
    uint64_t address, size, alignment, ticks;
};

class RecordedThread {
  public:
    struct Chunk {
        uint64_t offset;
        uint32_t bytes, number;
    };

    std::vector<Chunk> chunks; // in their order, before the first `advance`

    /** Whether there is a current call, which `call` then is. */
    bool advance(int file) {
        for (;;) {
            while (at_ + sizeof(am_record) > buffer_.size())
                if (!load(file)) return has_call = false;
            am_record record;
            std::memcpy(&record, &buffer_[at_], sizeof record);
            at_ += sizeof record;
            const auto kind = am_record_kind(record.what & 15);
            if (record.what == 0) { // the end of the chunk
                at_ = buffer_.size();
                continue;
            }
            ticks_ += (record.what >> 4) & ((1u << 28) - 1);
            if (kind == AM_R_TIME)
                ticks_ = record.where;
            else if (kind == AM_R_ALIGNMENT)
                alignment_ = record.where;
            else {
                call = {kind, record.where & kAddress, record.where >> 48 | record.what >> 32 << 16,
                        alignment_, ticks_};
                alignment_ = 0;
                return has_call = true;
            }
        }
    }

    RecordedCall call{};
    bool has_call = false;

  private:
    static constexpr uint64_t kAddress = (uint64_t(1) << 48) - 1;

    bool load(int file) {
        if (next_ == chunks.size()) return false;
        const Chunk &chunk = chunks[next_++];
        buffer_.resize(chunk.bytes);
        if (pread(file, buffer_.data(), buffer_.size(), off_t(chunk.offset)) != ssize_t(buffer_.size())) {
            buffer_.clear();
            return false;
        }
        am_recorded_chunk head;
        std::memcpy(&head, buffer_.data(), sizeof head);
        ticks_ = head.ticks;
        at_ = sizeof head;
        return true;
    }

    std::vector<char> buffer_;
    size_t at_ = 0, next_ = 0;
    uint64_t ticks_ = 0, alignment_ = 0;
};

} // namespace allocmark

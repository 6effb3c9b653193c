// SPDX-License-Identifier: BSD-3-Clause
/** A trace file, as docs/what-is-in-a-trace.md describes it. Little-endian. */
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

#include "traces.h"

namespace allocmark {

struct TraceHeader {
    static constexpr char kMagic[9] = "AMTRACE\n";
    static constexpr uint32_t kVersion = 1;

    char magic[8];
    uint32_t version, header_bytes;
    uint64_t chunks, events, slots, largest; // largest: bytes of an object
    uint32_t threads, points, ops, crc;      // ops: a bit for each that occurs; crc: of everything before it
};
static_assert(sizeof(TraceHeader) == 64);

struct ChunkHeader {
    enum Kind : uint32_t {
        kEvents = 0x544e5645,
        kPoints = 0x53544e50,
        kProcess = 0x434f5250,
        kPools = 0x4c4f4f50
    };
    static constexpr uint32_t kMostBytes = 1 << 20;

    uint32_t kind, thread, bytes, events;
    uint64_t ns;          // the first event's gap counts from here
    uint32_t unused, crc; // of the header before it, and the payload
};
static_assert(sizeof(ChunkHeader) == 32 && sizeof(am_point) == 40 && sizeof(am_trace_pool) == 64);

enum class TraceOp : uint8_t { kMalloc = 1, kCalloc, kAligned, kRealloc, kFree, kSpawn, kPoint };
constexpr uint8_t kOpBits = 7, kWaits = 8, kMore = 16;
constexpr uint64_t kMostSize = (uint64_t(1) << 47) - 1;
constexpr uint32_t kMostBulk = 1 << 16; // objects
constexpr uint32_t kMostPoints = 100, kMostThreads = 1 << 20, kMostAtOnce = 1 << 15;

/** One event, decoded. */
struct TraceEvent {
    TraceOp op;
    uint8_t alignment = 0; // its logarithm
    bool waits = false;    // for other threads' events on the slot
    bool more = false;     // the next event is of the same bulk
    uint16_t pool = 0;     // of a get, in a trace with pools
    uint32_t slot = 0;     // or thread, or point
    uint32_t turn = 0;     // how many events on the slot came before; only of one that waits
    uint64_t size = 0, ns = 0;
};

constexpr uint64_t zigzag(int64_t value) {
    return (uint64_t(value) << 1) ^ uint64_t(value >> 63);
}
constexpr int64_t unzigzag(uint64_t value) {
    return int64_t(value >> 1) ^ -int64_t(value & 1);
}

inline bool is_on_slot(TraceOp op) {
    return op >= TraceOp::kMalloc && op <= TraceOp::kFree;
}
inline bool is_get(TraceOp op) {
    return op <= TraceOp::kAligned;
}
inline bool has_size(TraceOp op) {
    return op <= TraceOp::kRealloc;
}

/** Writes events behind one another. With `pools`, gets have the pool's number in the place of a size. */
class EventEncoder {
  public:
    explicit EventEncoder(bool pools = false) : pools_(pools) {}
    void begin(uint64_t ns) {
        bytes_.clear();
        events_ = 0;
        last_slot_ = 0;
        begun_ns_ = last_ns_ = ns;
    }
    void add(const TraceEvent &event) {
        bytes_.push_back(uint8_t(uint8_t(event.op) | (event.waits ? kWaits : 0) | (event.more ? kMore : 0)));
        number(event.ns - last_ns_);
        last_ns_ = event.ns;
        if (event.waits) number(event.turn);
        if (is_on_slot(event.op)) {
            number(zigzag(int64_t(event.slot) - int64_t(last_slot_)));
            last_slot_ = event.slot;
        } else {
            number(event.slot);
        }
        if (has_size(event.op)) number(pools_ ? event.pool : event.size);
        if (event.op == TraceOp::kAligned) bytes_.push_back(event.alignment);
        ++events_;
    }
    const std::vector<uint8_t> &bytes() const { return bytes_; }
    uint32_t events() const { return events_; }
    uint64_t begun_ns() const { return begun_ns_; }
    uint64_t last_ns() const { return last_ns_; }

  private:
    void number(uint64_t value) {
        for (; value >= 128; value >>= 7) bytes_.push_back(uint8_t(value | 128));
        bytes_.push_back(uint8_t(value));
    }

    bool pools_;
    std::vector<uint8_t> bytes_;
    uint64_t begun_ns_ = 0, last_ns_ = 0;
    uint32_t events_ = 0, last_slot_ = 0;
};

/** Reads them again. `next` returns false at the end, and for bytes that are no event. */
class EventDecoder {
  public:
    void begin(const uint8_t *bytes, size_t n, uint64_t ns, uint32_t events) {
        at_ = begin_ = bytes;
        end_ = bytes + n;
        ns_ = ns;
        left_ = events;
        slot_ = 0;
        damaged_ = false;
    }
    bool next(TraceEvent &event) {
        if (left_ == 0) {
            damaged_ = damaged_ || at_ != end_;
            return false;
        }
        --left_;
        event_ = at_;
        if (at_ == end_) return damage();
        const uint8_t first = *at_++;
        event = {TraceOp(first & kOpBits)};
        event.waits = first & kWaits;
        event.more = first & kMore;
        if ((first & ~(kOpBits | kWaits | kMore)) != 0 || event.op == TraceOp(0)) return damage();
        uint64_t gap, turn = 0, slot;
        if (!number(gap) || (event.waits && !number(turn)) || !number(slot)) return damage();
        if (is_on_slot(event.op)) slot = slot_ + uint64_t(unzigzag(slot));
        if (slot > UINT32_MAX || turn > UINT32_MAX || gap > kLongest - ns_) return damage();
        if (is_on_slot(event.op)) slot_ = slot;
        event.slot = uint32_t(slot);
        event.turn = uint32_t(turn);
        event.ns = ns_ += gap;
        if (has_size(event.op) && (!number(event.size) || event.size > kMostSize)) return damage();
        if (event.op == TraceOp::kAligned) {
            if (at_ == end_ || *at_ > 40) return damage();
            event.alignment = *at_++;
        }
        return true;
    }
    bool damaged() const { return damaged_; }
    /** Of the event that was read last. */
    size_t offset() const { return size_t(event_ - begin_); }

  private:
    static constexpr uint64_t kLongest = uint64_t(1) << 62;

    bool damage() {
        damaged_ = true;
        return false;
    }
    bool number(uint64_t &value) {
        value = 0;
        for (uint32_t shift = 0; shift < 64 && at_ != end_; shift += 7) {
            const uint8_t byte = *at_++;
            value |= uint64_t(byte & 127) << shift;
            if (byte < 128) return true;
        }
        return false;
    }

    const uint8_t *at_ = nullptr, *begin_ = nullptr, *end_ = nullptr, *event_ = nullptr;
    uint64_t ns_ = 0, slot_ = 0;
    uint32_t left_ = 0;
    bool damaged_ = false;
};

} // namespace allocmark

// SPDX-License-Identifier: BSD-3-Clause
#include "ledger.hpp"

#include <algorithm>
#include <cstring>

namespace allocmark {

am_trouble trouble_of(am_trouble_kind kind, const Where &where, uintptr_t object) {
    am_trouble trouble{};
    trouble.kind = kind;
    trouble.pool = where.pool;
    trouble.step = where.step;
    trouble.actor = where.actor;
    trouble.other_actor = -1;
    trouble.object = object;
    return trouble;
}

namespace {

/** The `i`-th 8 bytes of an object with this stamp: differs between stamps and between neighbours. */
uint64_t stamp_word(uint64_t stamp, uint64_t i) {
    return ((stamp << 20) + i + 1) * 0x9e3779b97f4a7c15u;
}

void write_stamp(unsigned char *bytes, uint64_t size, uint64_t stamp) {
    uint64_t at = 0;
    for (; at + 8 <= size; at += 8) {
        const uint64_t word = stamp_word(stamp, at / 8);
        std::memcpy(bytes + at, &word, 8);
    }
    const uint64_t last = stamp_word(stamp, at / 8);
    std::memcpy(bytes + at, &last, size - at);
}

/** The first of `n` bytes, at most 8, that is not as in `word`; `n` when all are. */
uint64_t first_difference(const unsigned char *bytes, uint64_t n, uint64_t word) {
    const auto *wanted = reinterpret_cast<const unsigned char *>(&word);
    return uint64_t(std::mismatch(wanted, wanted + n, bytes).first - wanted);
}

/** The first byte that differs from the stamp, or `size`. */
uint64_t first_overwritten(const unsigned char *bytes, uint64_t size, uint64_t stamp) {
    uint64_t at = 0;
    for (; at + 8 <= size; at += 8) {
        uint64_t found;
        std::memcpy(&found, bytes + at, 8);
        const uint64_t word = stamp_word(stamp, at / 8);
        if (found != word) return at + first_difference(bytes + at, 8, word);
    }
    return at + first_difference(bytes + at, size - at, stamp_word(stamp, at / 8));
}

} // namespace

Ledger::Ledger(std::vector<Book> pools) : pools_(std::move(pools)) {
    for (Book &pool : pools_) {
        std::vector<allocmark_region> apart;
        std::sort(pool.regions.begin(), pool.regions.end(),
                  [](const auto &a, const auto &b) { return a.address < b.address; });
        for (const allocmark_region &region : pool.regions) {
            if (!apart.empty() && region.address - apart.back().address < apart.back().length)
                apart.back().length =
                    std::max(apart.back().length, region.address - apart.back().address + region.length);
            else
                apart.push_back(region);
        }
        pool.regions = std::move(apart);
    }
}

bool Ledger::inside(const Book &pool, uintptr_t object) {
    const auto next = std::upper_bound(pool.regions.begin(), pool.regions.end(), object,
                                       [](uintptr_t at, const auto &region) { return at < region.address; });
    if (next == pool.regions.begin()) return false;
    const allocmark_region &region = *std::prev(next);
    const uint64_t offset = object - region.address;
    return offset <= region.length && pool.object_size <= region.length - offset;
}

bool Ledger::out(const Where &where, void *const *objects, uint32_t n, am_trouble &trouble) {
    const Book &pool = pools_[where.pool];
    for (uint32_t i = 0; i < n; ++i) {
        const auto object = reinterpret_cast<uintptr_t>(objects[i]);
        const auto wrong = [&](am_trouble_kind kind) {
            trouble = trouble_of(kind, where, object);
            return false;
        };
        if (object == 0) return wrong(AM_NULL);
        if (pool.alignment > 1 && object % pool.alignment != 0) return wrong(AM_MISALIGNED);
        if (!pool.regions.empty() && !inside(pool, object)) return wrong(AM_OUTSIDE);

        uint64_t stamp;
        {
            const std::lock_guard lock(mutex_);
            const auto next = out_.lower_bound(object);
            auto other = out_.end();
            if (next != out_.end() && next->first < object + pool.object_size) other = next;
            if (next != out_.begin()) {
                const auto before = std::prev(next);
                if (before->first + pools_[before->second.holder.pool].object_size > object) other = before;
            }
            if (other != out_.end()) {
                trouble = trouble_of(other->first == object ? AM_TWICE : AM_OVERLAP, where, object);
                trouble.other_object = other->first;
                trouble.other_actor = other->second.holder.actor;
                trouble.other_step = other->second.holder.step;
                return false;
            }
            stamp = ++stamps_;
            out_.emplace(object, Entry{stamp, where});
        }
        write_stamp(static_cast<unsigned char *>(objects[i]), pool.object_size, stamp);
    }
    return true;
}

bool Ledger::stamp_is_whole(uintptr_t object, const Entry &entry, const Where &where,
                            am_trouble &trouble) const {
    const uint64_t size = pools_[where.pool].object_size;
    const uint64_t at = first_overwritten(reinterpret_cast<const unsigned char *>(object), size, entry.stamp);
    if (at == size) return true;
    trouble = trouble_of(AM_OVERWRITTEN, where, object);
    trouble.figure = at;
    trouble.other_actor = entry.holder.actor;
    trouble.other_step = entry.holder.step;
    return false;
}

bool Ledger::check(const Where &where, void *const *objects, uint32_t n, am_trouble &trouble) {
    for (uint32_t i = 0; i < n; ++i) {
        const auto object = reinterpret_cast<uintptr_t>(objects[i]);
        Entry entry;
        {
            const std::lock_guard lock(mutex_);
            const auto found = out_.find(object);
            if (found == out_.end()) { // what an actor holds came through `out`, unless it was written over
                trouble = trouble_of(AM_FOREIGN, where, object);
                return false;
            }
            entry = found->second;
            found->second.holder = where;
        }
        if (!stamp_is_whole(object, entry, where, trouble)) return false;
    }
    return true;
}

bool Ledger::back(const Where &where, void *const *objects, uint32_t n, am_trouble &trouble) {
    if (!check(where, objects, n, trouble)) return false;
    const std::lock_guard lock(mutex_);
    for (uint32_t i = 0; i < n; ++i) out_.erase(reinterpret_cast<uintptr_t>(objects[i]));
    return true;
}

} // namespace allocmark

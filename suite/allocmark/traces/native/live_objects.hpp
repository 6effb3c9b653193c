// SPDX-License-Identifier: BSD-3-Clause
/** Which objects live, by their addresses: open addressing, which a recording of many millions needs. */
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace allocmark {

class LiveObjects {
  public:
    struct Entry {
        uint64_t address = 0; // 0: empty
        uint64_t size = 0;
        uint32_t slot = 0;
    };

    Entry *find(uint64_t address) {
        for (size_t i = place(address);; i = (i + 1) & mask_) {
            if (entries_[i].address == address) return &entries_[i];
            if (entries_[i].address == 0) return nullptr;
        }
    }
    /** One that is not there. */
    void insert(const Entry &entry) {
        if (2 * ++count_ > entries_.size()) grow();
        put(entry);
    }
    /** One that is there. */
    Entry take(uint64_t address) {
        size_t hole = size_t(find(address) - entries_.data());
        const Entry taken = entries_[hole];
        --count_;
        // What follows moves up, unless it would come before its place.
        for (size_t i = (hole + 1) & mask_; entries_[i].address != 0; i = (i + 1) & mask_) {
            if (((i - place(entries_[i].address)) & mask_) < ((i - hole) & mask_)) continue;
            entries_[hole] = entries_[i];
            hole = i;
        }
        entries_[hole] = {};
        return taken;
    }

  private:
    size_t place(uint64_t address) const {
        return size_t((address >> 3) * 0x9e3779b97f4a7c15u >> 20) & mask_;
    }
    void put(const Entry &entry) {
        size_t i = place(entry.address);
        while (entries_[i].address != 0) i = (i + 1) & mask_;
        entries_[i] = entry;
    }
    void grow() {
        std::vector<Entry> before(entries_.size() * 2);
        before.swap(entries_);
        mask_ = entries_.size() - 1;
        for (const Entry &entry : before)
            if (entry.address != 0) put(entry);
    }

    std::vector<Entry> entries_ = std::vector<Entry>(1 << 12);
    size_t mask_ = (1 << 12) - 1;
    uint64_t count_ = 0;
};

} // namespace allocmark

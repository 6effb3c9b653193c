// SPDX-License-Identifier: BSD-3-Clause
/** The regions that a pool reports are its memory: all of it, and nothing else. */
#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <memory>
#include <string>

#include "audited.hpp"

namespace allocmark::audit {

namespace {

using Regions = std::vector<allocmark_region>;

constexpr uint32_t kMost = 1 << 20;
constexpr allocmark_region kUnwritten = {0x5a5a5a5a5a5a5a5a, 0x5a5a5a5a5a5a5a5a};

bool same(const allocmark_region &a, const allocmark_region &b) {
    return a.address == b.address && a.length == b.length;
}

/** What the pool reports when there is room for `capacity` regions. It must say again that it has `n`. */
Regions told(AuditedPool &pool, uint32_t n, uint32_t capacity) {
    Regions room(std::max(n, capacity) + 4, kUnwritten);
    const uint32_t again = pool.subject.table.regions(pool.handle, room.data(), capacity);
    if (again != n) fault("regions says that there are %u, and %u when it is asked again", n, again);
    for (size_t i = capacity; i < room.size(); ++i)
        if (!same(room[i], kUnwritten))
            fault("regions wrote to regions[%zu], and the capacity was %u", i, capacity);
    room.resize(std::min(n, capacity));
    for (size_t i = 0; i < room.size(); ++i)
        if (same(room[i], kUnwritten))
            fault("regions says that there are %u, and did not fill in regions[%zu]", n, i);
    return room;
}

/** Ranges of memory that this process can write, in order, neighbours joined. */
Regions mapped() {
    Regions found;
    const std::unique_ptr<FILE, int (*)(FILE *)> maps(fopen("/proc/self/maps", "re"), fclose);
    char *line = nullptr;
    size_t room = 0;
    while (maps && getline(&line, &room, maps.get()) > 0) {
        uint64_t begin, end;
        char write;
        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*c%c", &begin, &end, &write) != 3 || write != 'w')
            continue;
        if (!found.empty() && found.back().address + found.back().length == begin)
            found.back().length += end - begin;
        else
            found.push_back({begin, end - begin});
    }
    free(line);
    return found;
}

/** Whether [address, address + length) lies within one of `ranges`, which are in order. */
bool inside(const Regions &ranges, uint64_t address, uint64_t length) {
    auto next =
        std::upper_bound(ranges.begin(), ranges.end(), address,
                         [](uint64_t at, const allocmark_region &range) { return at < range.address; });
    if (next == ranges.begin()) return false;
    const allocmark_region &range = *--next;
    const uint64_t offset = address - range.address;
    return offset <= range.length && length <= range.length - offset;
}

/** Throws when the process has not grown by as much as the pool's regions report. */
void must_be_there(const AuditedPool &pool, uint64_t bytes, uint32_t n) {
    const ProcessMemory now = ProcessMemory::now();
    uint64_t grown = now.growth(pool.before);
    if (grown < pool.shape.object_size * pool.shape.objects)
        grown = now.growth(pool.subject.before); // had it
    // Where memory comes in larger pieces, the process may have had the rest of one before.
    const uint64_t spare = now.hugetlb > 0 ? 4 << 20 : uint64_t(n) << 12;
    if (bytes > grown + grown / 16 + spare)
        fault("regions reports %" PRIu64 " bytes, and the process has grown by %" PRIu64, bytes, grown);
}

/** The regions of a pool, in order, once they are found to be possible. */
Regions checked(AuditedPool &pool) {
    const uint32_t n = pool.subject.table.regions(pool.handle, nullptr, 0);
    if (n > kMost) fault("regions says that a pool of %" PRIu64 " objects has %u", pool.shape.objects, n);
    if (n == 0) return {};
    Regions found = told(pool, n, n);
    const Regions twice = told(pool, n, n + 2), fewer = told(pool, n, n - 1);
    if (!std::equal(found.begin(), found.end(), twice.begin(), same) ||
        !std::equal(fewer.begin(), fewer.end(), found.begin(), same))
        fault("regions reports other memory when it is asked again, though nothing was done to the pool");

    std::sort(found.begin(), found.end(), [](auto &a, auto &b) { return a.address < b.address; });
    const Regions writable = mapped();
    uint64_t bytes = 0;
    for (size_t i = 0; i < found.size(); ++i) {
        const auto [address, length] = found[i];
        if (length == 0) fault("regions reports an empty region at 0x%" PRIx64, address);
        if (i > 0 && address - found[i - 1].address < found[i - 1].length)
            fault("regions reports the memory at 0x%" PRIx64 " twice: two of its %u regions overlap", address,
                  n);
        if (!writable.empty() && !inside(writable, address, length))
            fault("regions reports %" PRIu64 " bytes at 0x%" PRIx64 ", and not all of them are mapped",
                  length, address);
        bytes += length;
    }
    const uint64_t least = pool.counts() ? pool.shape.object_size * pool.capacity() : 0;
    if (bytes < least)
        fault("regions reports %" PRIu64 " bytes, and the pool's objects take %" PRIu64, bytes, least);
    must_be_there(pool, bytes, n);
    return found;
}

void must_hold(const Regions &found, const std::vector<void *> &objects, uint64_t object_size) {
    for (void *object : objects)
        if (!inside(found, reinterpret_cast<uintptr_t>(object), object_size))
            fault("object %p lies outside the regions that the pool reports", object);
}

} // namespace

void regions(Subject &subject) {
    if (!subject.table.regions || subject.audit.any_size) return; // an allocator's pools share their memory
    in_thread([&] {
        const Shape shape = {.object_size = 500, .objects = 8000, .cache = 32};
        AuditedPool pool(subject, shape);
        Regions found = checked(pool);
        if (!found.empty()) {
            Member thread(pool, 0);
            std::vector<void *> held;
            while (held.size() + 32 <= pool.shape.objects) thread.must_get(held, 32);
            found = checked(pool); // which may have grown by now
            must_hold(found, held, shape.object_size);
            thread.put_all(held);
            thread.leave();

            AuditedPool second(subject, shape);
            for (const auto &region : checked(second)) {
                const bool common =
                    std::any_of(found.begin(), found.end(), [&](const allocmark_region &of_first) {
                        return region.address < of_first.address + of_first.length &&
                               of_first.address < region.address + region.length;
                    });
                if (common) fault("regions of two pools overlap at 0x%" PRIx64, region.address);
            }
            second.destroy();
        }
        pool.destroy();
    });
}

} // namespace allocmark::audit

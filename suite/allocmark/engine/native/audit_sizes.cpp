// SPDX-License-Identifier: BSD-3-Clause
/** Memory of any size, of a backend that has it: all of it is the caller's, zeros are zeros, and what is
 * resized keeps its bytes. */
#include <algorithm>
#include <cinttypes>
#include <cstring>
#include <string>

#include "audited.hpp"

namespace allocmark::audit {

namespace {

constexpr uint32_t kObjects = 40;
constexpr size_t kSizes[] = {40'000, 3000, 1000, 100, 8};
constexpr unsigned char kOld = 0xa5; // what was in memory before

using Objects = std::vector<void *>;

unsigned char byte_of(size_t object, size_t i) {
    return static_cast<unsigned char>(1 + 31 * object + i % 251);
}

/** Writes over every byte, other ones in each object. */
void fill(const Objects &objects, size_t size) {
    for (size_t k = 0; k < objects.size(); ++k)
        for (size_t i = 0; i < size; ++i) static_cast<unsigned char *>(objects[k])[i] = byte_of(k, i);
}

/** Throws unless the first `size` bytes are what `wanted(object, i)` says. `what`: for the message. */
template <class Wanted>
void must_hold(const std::string &what, const Objects &objects, size_t size, Wanted wanted) {
    for (size_t k = 0; k < objects.size(); ++k)
        for (size_t i = 0; i < size; ++i)
            if (const unsigned found = static_cast<const unsigned char *>(objects[k])[i];
                found != wanted(k, i))
                fault("%s: byte %zu is %u, and must be %u", what.c_str(), i, found, unsigned(wanted(k, i)));
}

unsigned char zero(size_t, size_t) {
    return 0;
}

/** As `must_be_apart`, and says what was called. */
void must_be_own(const std::string &what, const Objects &objects, size_t size) {
    try {
        must_be_apart(objects, size);
    } catch (const Fault &found) {
        fault("%s: %s", what.c_str(), found.what());
    }
}

void sized(Subject &subject) {
    AuditedPool pool(subject, {.object_size = 3000, .objects = 500, .cache = 32});
    Member thread(pool, 0);
    Objects held;
    for (const size_t size : kSizes) {
        if (size > pool.shape.object_size) continue;
        const std::string what = "get_sized of " + std::to_string(size) + " bytes";
        thread.must_get_sized(held, kObjects, size, false);
        must_be_own(what, held, size);
        for (void *object : held) std::memset(object, kOld, size);
        thread.put_all(held);
        thread.must_get_sized(held, kObjects, size, true);
        must_be_own(what, held, size);
        must_hold(what + ", zeroed", held, size, zero);
        fill(held, size);
        must_hold(what, held, size, byte_of);
        thread.put_all(held);
    }
    thread.leave();
    pool.destroy();
}

/** All objects go to `to`, one after another. */
void move_all(Objects &objects, Member &from, const AuditedPool &old, Member &to, const AuditedPool &wanted) {
    const size_t before = old.shape.object_size, after = wanted.shape.object_size;
    const std::string what =
        "resize from " + std::to_string(before) + " to " + std::to_string(after) + " bytes";
    fill(objects, before);
    for (void *&object : objects) from.must_resize(to, object);
    must_be_own(what, objects, after);
    must_hold(what, objects, std::min(before, after), byte_of);
}

void resized(Subject &subject) {
    AuditedPool small(subject, {.object_size = 300, .objects = 500}),
        large(subject, {.object_size = 3000, .objects = 500});
    Member in_small(small, 0), in_large(large, 0);
    Objects objects;
    in_small.must_get(objects, kObjects);
    move_all(objects, in_small, small, in_large, large);
    move_all(objects, in_large, large, in_small, small);
    in_small.put_all(objects);
    in_small.leave();
    in_large.leave();
    small.destroy();
    large.destroy();
}

/** `take` gives one object; it is called often, and all of its objects are held at once. */
template <class Take> Objects taken(const std::string &what, size_t size, Take take) {
    Objects found(kObjects);
    for (void *&object : found)
        if ((object = take()) == nullptr) fault("%s: a null pointer, and there is memory", what.c_str());
    must_be_own(what, found, size);
    return found;
}

void free_all(const allocmark_any_size &heap, const Objects &objects) {
    for (void *object : objects) heap.free(object);
}

void zeroed(const allocmark_any_size &heap, size_t size) {
    const std::string of = " of " + std::to_string(size) + " bytes";
    const Objects before = taken("malloc" + of, size, [&] { return heap.malloc(size); });
    for (void *object : before) std::memset(object, kOld, size);
    free_all(heap, before);
    const Objects found = taken("calloc" + of, size, [&] { return heap.calloc(size / 4, 4); });
    must_hold("calloc" + of, found, size, zero);
    free_all(heap, found);
}

void moved(const allocmark_any_size &heap, size_t before, size_t after) {
    const std::string what =
        "realloc from " + std::to_string(before) + " to " + std::to_string(after) + " bytes";
    Objects objects = taken(what, before, [&] { return heap.malloc(before); });
    fill(objects, before);
    for (void *&object : objects)
        if ((object = heap.realloc(object, after)) == nullptr)
            fault("%s: a null pointer, and there is memory", what.c_str());
    must_be_own(what, objects, after);
    must_hold(what, objects, std::min(before, after), byte_of);
    free_all(heap, objects);
}

void aligned(const allocmark_any_size &heap, size_t alignment, size_t size) {
    const std::string what = "aligned of " + std::to_string(size) + " bytes on " + std::to_string(alignment);
    const Objects objects = taken(what, size, [&] { return heap.aligned(alignment, size); });
    for (void *object : objects)
        if (reinterpret_cast<uintptr_t>(object) % alignment != 0)
            fault("%s: object %p is not aligned to it", what.c_str(), object);
    fill(objects, size);
    must_hold(what, objects, size, byte_of);
    free_all(heap, objects);
}

void functions(const allocmark_any_size &heap) {
    for (const size_t size : kSizes) {
        if (heap.calloc) zeroed(heap, size);
        for (const size_t after : kSizes)
            if (heap.realloc) moved(heap, size, after);
    }
    for (size_t alignment = 16; heap.aligned && alignment <= 4096; alignment *= 2)
        for (const size_t pieces : {size_t(1), size_t(3)}) aligned(heap, alignment, pieces * alignment);
}

} // namespace

void sizes(Subject &subject) {
    in_thread([&] {
        if (subject.table.get_sized) sized(subject);
        if (subject.table.resize) resized(subject);
        const allocmark_any_size *told = subject.table.any_size ? subject.table.any_size() : nullptr;
        if (!told) return;
        allocmark_any_size heap{}; // an older one has fewer members
        std::memcpy(&heap, told, std::min<size_t>(told->size, sizeof heap));
        functions(heap);
    });
}

} // namespace allocmark::audit

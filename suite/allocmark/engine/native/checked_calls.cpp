// SPDX-License-Identifier: BSD-3-Clause
#include "checked_calls.hpp"

#include <cstring>

#include "guarded_array.hpp"

namespace allocmark {

namespace {

bool wrong(am_trouble_kind kind, const Where &where, int64_t figure, am_trouble &trouble) {
    trouble = trouble_of(kind, where, 0);
    trouble.figure = uint64_t(figure);
    return false;
}

} // namespace

bool checked_get(int (*get)(void *, void *, void **, uint32_t), void *pool, void *local, void **objects,
                 uint32_t n, const Where &where, int &code, am_trouble &trouble) {
    thread_local GuardedArray guarded;
    void **const room = guarded.room(n);
    code = get(pool, local, room, n);
    int64_t index;
    if (code > 0) return wrong(AM_CODE, where, code, trouble);
    if (guarded.written_outside(index)) return wrong(AM_BEYOND, where, index, trouble);
    if (code != 0) return true;
    if (guarded.left_out(index)) return wrong(AM_LEFT_OUT, where, index, trouble);
    std::memcpy(objects, room, n * sizeof *objects);
    return true;
}

bool checked_put(void (*put)(void *, void *, void *const *, uint32_t), void *pool, void *local,
                 void *const *objects, uint32_t n, const Where &where, am_trouble &trouble) {
    thread_local ArrayCopy copy;
    copy.of(objects, n);
    put(pool, local, objects, n);
    int64_t index;
    return !copy.changed(objects, index) || wrong(AM_CHANGED, where, index, trouble);
}

} // namespace allocmark

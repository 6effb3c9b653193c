// SPDX-License-Identifier: BSD-3-Clause
/**
 * The backend `replay`: hands out the addresses that another backend handed out, in the same order to the
 * same actors, and ignores what comes back. What a workload costs on it beyond the floor is what these
 * addresses cost: caches, pages, NUMA nodes. They lie in a mirror of the backend's memory.
 */
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <allocmark/say.h>

#include "arena.hpp"
#include "copy.hpp"
#include "mirror.hpp"

using allocmark::Arena;
using allocmark::Mirror;
using allocmark::Original;

namespace {

using List = std::vector<void *>;

constexpr size_t kTurns = 4; // of every object on average, when their order never repeats itself

std::vector<Original> originals(const am_event *events, uint64_t n, const uint64_t *object_sizes,
                                const am_pages *pages) {
    std::vector<Original> found;
    found.reserve(n);
    for (uint64_t i = 0; i < n; ++i)
        found.push_back({events[i].object, object_sizes[events[i].pool], pages[events[i].pool]});
    return found;
}

/**
 * How many entries of the list are enough, when they are used over and over: those before it repeats itself,
 * if it does so from its beginning to its end and at least twice. Else all. (Knuth, Morris, Pratt.)
 */
size_t period(const List &list) {
    std::vector<uint32_t> border(list.size() + 1); // of the first i entries: how many also end them
    for (size_t i = 1, length = 0; i < list.size(); border[++i] = uint32_t(length)) {
        while (length > 0 && list[i] != list[length]) length = border[length];
        length += list[i] == list[length];
    }
    const size_t shortest = list.size() - border[list.size()];
    return 2 * shortest <= list.size() ? shortest : list.size();
}

size_t distinct(List list) {
    std::sort(list.begin(), list.end());
    return size_t(std::unique(list.begin(), list.end()) - list.begin());
}

/** How much of the list is used. It is read all the time, and must not be what fills the caches. */
size_t enough(const List &list) {
    return std::min(period(list), kTurns * distinct(list));
}

} // namespace

struct am_replay {
    Mirror mirror;
    uint32_t n_actors;
    std::vector<std::string> names; // of the pools
    std::vector<List> lists;        // by pool and actor

    am_replay(const am_event *events, uint64_t n, const char *const *pools, const uint64_t *object_sizes,
              const am_pages *pages, uint32_t n_pools, uint32_t actors)
        : mirror(originals(events, n, object_sizes, pages)), n_actors(actors), names(pools, pools + n_pools),
          lists(size_t(n_pools) * actors) {
        for (uint64_t i = 0; i < n; ++i)
            list(events[i].pool, events[i].actor).push_back(mirror.at(events[i].object));
        for (List &each : lists) each.resize(enough(each));
    }
    List &list(uint32_t pool, uint32_t actor) { return lists[size_t(pool) * n_actors + actor]; }
};

namespace {

am_replay *chosen; // what the table replays

/** An actor's list of a pool, and where it is there. It lies in the actor's arena, as the floor's does. */
struct Place {
    uint32_t next, length;
    void **objects;
};

int init(const allocmark_init *, allocmark_error *) {
    return 0;
}

/** By its name: an engine creates the pools in a drawn order. */
int pool_create(const allocmark_pool_spec *spec, void **pool, allocmark_error *) {
    const auto &names = chosen->names;
    const auto found = std::find(names.begin(), names.end(), std::string_view(spec->name));
    if (found == names.end()) return -ENOENT;
    *pool = &chosen->list(uint32_t(found - names.begin()), 0);
    return 0;
}

void pool_destroy(void *) {}

int thread_enter(void *pool, const allocmark_thread *thread, void **local, allocmark_error *error) try {
    const List &list = static_cast<const List *>(pool)[thread->slot];
    Arena &arena = *Arena::mine;
    *local = arena.kept(&list, [&] {
        Place *const mine = arena.make<Place>("replay", 0);
        mine->length = uint32_t(list.size());
        mine->objects = arena.array<void *>("replay's pointers", list.size()).data();
        std::copy(list.begin(), list.end(), mine->objects);
        return mine;
    });
    return 0;
} catch (const std::bad_alloc &) {
    allocmark_say(error, "no memory for the addresses that are handed out again");
    return -ENOMEM;
}

void thread_leave(void *, void *) {} // the arena keeps the memory

/** A get over the end of the list. */
[[gnu::noinline]] int split(Place &mine, void **objects, uint32_t n) {
    if (mine.length == 0) return -ENOENT; // nothing was recorded
    for (uint32_t done = 0; done < n;) {
        if (mine.next == mine.length) mine.next = 0;
        const uint32_t part = std::min(n - done, mine.length - mine.next);
        std::memcpy(objects + done, &mine.objects[mine.next], part * sizeof *objects);
        mine.next += part;
        done += part;
    }
    return 0;
}

// As the floor does it: the two are compared.
int get_bulk(void *, void *local, void **objects, uint32_t n) {
    Place &mine = *static_cast<Place *>(local);
    if (mine.next + n > mine.length) [[unlikely]] {
        if (mine.next < mine.length || n > mine.length) return split(mine, objects, n);
        mine.next = 0;
    }
    void *const *next = mine.objects + mine.next;
    mine.next += n;
    allocmark::copy(objects, next, n);
    return 0;
}

void put_bulk(void *, void *, void *const *, uint32_t) {}
void put_all(void *, void *) {}

// As the floor does it, too.
int get_sized(void *pool, void *local, void **objects, uint32_t n, uint64_t, uint32_t) {
    return get_bulk(pool, local, objects, n);
}

int resize(void *, void *, void *to, void *to_local, void **object) {
    return get_bulk(to, to_local, object, 1);
}

uint32_t regions(void *, allocmark_region *out, uint32_t capacity) {
    const std::vector<allocmark_region> all = chosen->mirror.regions();
    std::copy_n(all.begin(), std::min<size_t>(all.size(), capacity), out);
    return uint32_t(all.size());
}

const allocmark_backend kTable = {
    .abi = ALLOCMARK_ABI_VERSION,
    .size = sizeof(allocmark_backend),
    .init = init,
    .pool_create = pool_create,
    .pool_destroy = pool_destroy,
    .thread_enter = thread_enter,
    .thread_leave = thread_leave,
    .get_bulk = get_bulk,
    .put_bulk = put_bulk,
    .fini = nullptr,
    .available = nullptr,
    .regions = regions,
    .facts = nullptr,
    .trips = nullptr,
    .cached = nullptr,
    .calls = nullptr,
    .get_sized = get_sized,
    .resize = resize,
    .any_size = nullptr,
    .put_all = put_all,
};

} // namespace

extern "C" {

am_replay *am_replay_new(const am_event *events, uint64_t n, const char *const *names,
                         const uint64_t *object_sizes, const am_pages *pages, uint32_t n_pools,
                         uint32_t n_actors, allocmark_error *error) try {
    auto replay = std::make_unique<am_replay>(events, n, names, object_sizes, pages, n_pools, n_actors);
    allocmark_say(error, "%s", replay->mirror.note().c_str());
    return replay.release();
} catch (const std::exception &problem) {
    allocmark_say(error, "%s", problem.what());
    return nullptr;
}

const void *am_replay_table(am_replay *replay) {
    chosen = replay;
    return &kTable;
}

uint64_t am_replay_objects(const am_replay *replay) {
    return replay->mirror.objects();
}

void am_replay_free(am_replay *replay) {
    delete replay;
}

} // extern "C"

// SPDX-License-Identifier: BSD-3-Clause
/** The engine's memory, laid out so that no two of its hot cache lines evict each other. */
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "draws.hpp"

namespace allocmark {

/** Something that the engine touches while it measures, and where it lies. */
struct Piece {
    const char *what;
    uint32_t index; // of a pool, a queue, a kind of call
    uintptr_t address;
    size_t bytes;
};

/**
 * All that one actor touches at each instruction, its stack included; or all that the actors share.
 *
 * The L1 data cache of AMD's Zen looks for a line in one place only: the set is address bits 6 to 11, and the
 * way is predicted by a hash of 8 bits, the exclusive ors of bits 12 and 27, 13 and 26, 14 and 25, 15 and 20,
 * 16 and 21, 17 and 22, 18 and 23, 19 and 24. Two lines that agree in set and hash evict each other, however
 * empty the cache is. Memory from anywhere has such a pair in one process of ten, which is then up to twice
 * as slow as its twins for its whole life.
 *
 * The pieces of an arena lie in one window of 1 MB that begins at a multiple of 1 MB. There only bits 12 to
 * 19 differ, so no two pages have the same hash. In every window bit 24 is 0, so the last bit of the hash is
 * bit 19: actors have lower halves, what they share is in an upper half, and those do not collide either.
 *
 * By default the pieces lie one behind the other. With a seed, each begins at a random line of a page of its
 * own: how a case meets the memory of the backend, which lies where the backend likes, then differs between
 * processes, and can be averaged. What is larger than the L1 cache, or finds no room, lies elsewhere.
 *
 * For one thread at a time. Memory is given back with the arena, so what is made here owns none.
 */
class Arena {
  public:
    enum class Half { kActor, kShared };
    static constexpr size_t kLine = 64;

    Arena(Half half, const Draws &draws);
    ~Arena();
    Arena(const Arena &) = delete;

    /** Zeroed memory in cache lines of its own. */
    char *take(const char *what, uint32_t index, size_t bytes, size_t alignment = kLine) {
        return place(what, index, bytes, alignment, 0);
    }
    /** The same in pages of its own: `mapped` bytes of them, from the beginning of the first one. */
    char *take_pages(const char *what, uint32_t index, size_t bytes, size_t mapped) {
        return place(what, index, bytes, kLine, mapped);
    }
    template <class T, class... Arguments>
    T *make(const char *what, uint32_t index, Arguments &&...arguments) {
        static_assert(std::is_trivially_destructible_v<T>);
        return new (take(what, index, sizeof(T), alignof(T))) T(std::forward<Arguments>(arguments)...);
    }
    template <class T> std::span<T> array(const char *what, size_t n) {
        static_assert(std::is_trivially_destructible_v<T>);
        if (n == 0) return {};
        const auto first = reinterpret_cast<T *>(take(what, 0, n * sizeof(T), alignof(T)));
        std::uninitialized_value_construct_n(first, n);
        return {first, n};
    }
    template <class T> std::span<T> copy(const char *what, const T *from, size_t n) {
        const std::span<T> copied = array<T>(what, n);
        std::copy_n(from, n, copied.data());
        return copied;
    }

    /** What `make` gave for `key`: the same for each thread that takes over from one that has ended, and with
     * this arena. */
    template <class Make> void *kept(const void *key, Make make) {
        for (const auto &[known, thing] : kept_)
            if (known == key) return thing;
        kept_.emplace_back(key, make());
        return kept_.back().second;
    }

    /** For a thread to run on, with a guard page at each end. */
    std::span<char> stack() const { return stack_; }

    /** Tells of hot memory that was not taken from here. */
    void note(const char *what, uint32_t index, const void *at, size_t bytes) {
        pieces_.push_back({what, index, reinterpret_cast<uintptr_t>(at), bytes});
    }
    const std::vector<Piece> &pieces() const { return pieces_; }

    /** That of the actor whose thread this is. */
    static thread_local Arena *mine;

  private:
    char *place(const char *what, uint32_t index, size_t bytes, size_t alignment, size_t mapped);
    char *elsewhere(const char *what, uint32_t index, size_t bytes, size_t alignment, size_t mapped,
                    size_t offset);

    const size_t page_;
    Draws draws_;
    std::span<char> reserved_, stack_;
    uintptr_t next_, end_;                   // of the window: always at a line
    std::vector<std::span<char>> elsewhere_; // what did not fit there
    std::vector<Piece> pieces_;
    std::vector<std::pair<const void *, void *>> kept_;
};

} // namespace allocmark

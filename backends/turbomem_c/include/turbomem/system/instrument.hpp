// SPDX-License-Identifier: BSD-3-Clause
/// What AddressSanitizer, its leak checker and Valgrind are told about a pool's memory. Their headers are
/// used where they are installed; nothing here is left in a program that runs without those tools, but for
/// the few no-ops of a Valgrind request.
#pragma once

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#define TURBOMEM_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TURBOMEM_ASAN 1
#endif
#endif

#ifdef TURBOMEM_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/lsan_interface.h>
#endif

#if !defined(TURBOMEM_NO_VALGRIND) && __has_include(<valgrind/memcheck.h>)
#define TURBOMEM_VALGRIND 1
#include <valgrind/memcheck.h>
#endif

namespace turbomem::instrument {

#ifdef TURBOMEM_ASAN
inline constexpr bool address_sanitizer = true;
#else
inline constexpr bool address_sanitizer = false;
#endif
#ifdef TURBOMEM_VALGRIND
inline constexpr bool valgrind_headers = true;
#else
inline constexpr bool valgrind_headers = false;
#endif

/// Objects may own memory from malloc: the leak checker has to look for pointers in the regions of `memory`,
/// which outlives this.
template <class Memory> class leak_root {
  public:
#ifdef TURBOMEM_ASAN
    explicit leak_root(const Memory &memory) noexcept : memory_(memory) {
        for (unsigned i = 0; i < memory.regions(); ++i)
            __lsan_register_root_region(memory.region(i), memory.size());
    }
    ~leak_root() {
        for (unsigned i = 0; i < memory_.regions(); ++i)
            __lsan_unregister_root_region(memory_.region(i), memory_.size());
    }
    leak_root(const leak_root &) = delete;
    leak_root &operator=(const leak_root &) = delete;

  private:
    const Memory &memory_;
#else
    explicit leak_root(const Memory &) noexcept {}
#endif
};

/// Any access is reported from now on.
inline void forbid([[maybe_unused]] const volatile void *start, [[maybe_unused]] std::size_t bytes) noexcept {
#ifdef TURBOMEM_ASAN
    __asan_poison_memory_region(start, bytes);
#endif
#ifdef TURBOMEM_VALGRIND
    VALGRIND_MAKE_MEM_NOACCESS(start, bytes);
#endif
}

/// Reading and writing is fine again; contents count as initialised.
inline void permit([[maybe_unused]] const volatile void *start, [[maybe_unused]] std::size_t bytes) noexcept {
#ifdef TURBOMEM_ASAN
    __asan_unpoison_memory_region(start, bytes);
#endif
#ifdef TURBOMEM_VALGRIND
    VALGRIND_MAKE_MEM_DEFINED(start, bytes);
#endif
}

/// Reading is reported until something was written.
inline void uninitialised([[maybe_unused]] void *start, [[maybe_unused]] std::size_t bytes) noexcept {
#ifdef TURBOMEM_VALGRIND
    VALGRIND_MAKE_MEM_UNDEFINED(start, bytes);
#endif
}

/// Valgrind counts the objects of `pool` as heap blocks from here on: with the stack that got each of them,
/// and those that nobody points to as leaks. `guard` bytes around an object are nobody's.
inline void pool_made([[maybe_unused]] const void *pool, [[maybe_unused]] std::size_t guard) noexcept {
#ifdef TURBOMEM_VALGRIND
    VALGRIND_CREATE_MEMPOOL(pool, guard, 0);
#endif
}

inline void pool_gone([[maybe_unused]] const void *pool) noexcept {
#ifdef TURBOMEM_VALGRIND
    VALGRIND_DESTROY_MEMPOOL(pool);
#endif
}

/// The object may be used; what it contains is not initialised.
inline void object_out([[maybe_unused]] const void *pool, [[maybe_unused]] void *object,
                       [[maybe_unused]] std::size_t bytes) noexcept {
#ifdef TURBOMEM_ASAN
    __asan_unpoison_memory_region(object, bytes);
#endif
#ifdef TURBOMEM_VALGRIND
    VALGRIND_MEMPOOL_ALLOC(pool, object, bytes);
#endif
}

/// Any access to the object is reported as a use after free.
inline void object_in([[maybe_unused]] const void *pool, [[maybe_unused]] void *object,
                      [[maybe_unused]] std::size_t bytes) noexcept {
#ifdef TURBOMEM_VALGRIND
    VALGRIND_MEMPOOL_FREE(pool, object);
#endif
#ifdef TURBOMEM_ASAN
    __asan_poison_memory_region(object, bytes);
#endif
}

} // namespace turbomem::instrument

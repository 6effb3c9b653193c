// SPDX-License-Identifier: BSD-3-Clause
/** Classes of every form that allocmark/backend.hpp takes. */
#include <allocmark/backend.hpp>

#include <array>
#include <cstdlib>
#include <cstring>
#include <memory_resource>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

std::string option;

/** A pool of single objects, with everything that is optional but `enter`. */
struct Full {
    static constexpr std::size_t kBytes = 256;
    explicit Full(const allocmark_pool_spec &spec) : objects(spec.objects) {
        if (spec.object_size > 64) throw std::invalid_argument("objects have 64 bytes, no more");
        if (spec.objects > 4) throw std::bad_alloc();
        put_all();
    }
    static void init(const allocmark_init &init) {
        option = init.n_options ? init.options[0].value : "";
        if (option == "broken") throw std::runtime_error("the licence has run out");
    }
    static void fini() { option = "ended"; }
    void *get() {
        if (free.empty()) return nullptr;
        void *object = free.back();
        free.pop_back();
        return object;
    }
    void put(void *object) { free.push_back(object); }
    void put_all() {
        for (free.clear(); free.size() < objects;) free.push_back(memory + 64 * free.size());
    }
    int available() const { return int(free.size()); }
    std::array<allocmark_region, 1> regions() const { return {{{std::uintptr_t(memory), kBytes}}}; }
    void facts(const allocmark::Emit &emit) const {
        emit("free", free.size());
        emit("option", option);
    }
    alignas(64) char memory[kBytes];
    std::size_t objects;
    std::vector<void *> free;
};

/** A pool of bulks whose threads keep what they use. */
struct Threads {
    struct Local {
        bool get(void **objects, std::uint32_t n) {
            for (std::uint32_t i = 0; i < n; ++i) objects[i] = &here;
            return n <= 2;
        }
        void put(void *const *, std::uint32_t n) { taken += n; }
        void put_all() { taken = 1000; }
        char here;
        std::uint32_t taken = 0;
    };
    Local *enter(const allocmark_thread &thread) {
        if (thread.slot == 7) throw std::runtime_error("no seventh thread");
        return new Local;
    }
    void leave(Local *local) {
        left += local->taken;
        delete local;
    }
    std::uint64_t available() const { return left; }
    std::uint64_t left = 0;
};

/** An allocator that throws, as those of the standard library do. */
struct Resource {
    void *allocate(std::size_t bytes, std::size_t alignment) {
        if (++calls % 4 == 0) throw std::bad_alloc();
        return std::pmr::new_delete_resource()->allocate(bytes, alignment);
    }
    void deallocate(void *object, std::size_t bytes, std::size_t alignment) {
        --calls;
        std::pmr::new_delete_resource()->deallocate(object, bytes, alignment);
    }
    std::uint64_t available() const { return calls; }
    std::uint64_t calls = 0;
};

/** One that knows no alignment. */
struct Plain {
    char *allocate(std::size_t bytes) { return static_cast<char *>(std::malloc(bytes)); }
    void deallocate(void *object, std::size_t) { std::free(object); }
};

/** One that needs no size to take back: each object may have its own. */
struct AnySize {
    void *allocate(std::size_t bytes) { return std::memset(std::malloc(asked = bytes), 0xa5, bytes); }
    void deallocate(void *object) { std::free(object); }
    std::uint64_t available() const { return asked; }
    std::uint64_t asked = 0;
};

} // namespace

ALLOCMARK_BACKEND(full, Full)
ALLOCMARK_BACKEND(threads, Threads)
ALLOCMARK_BACKEND(resource, Resource)
ALLOCMARK_BACKEND(plain, Plain)
ALLOCMARK_BACKEND(any_size, AnySize)

// SPDX-License-Identifier: BSD-3-Clause
/// A program with plugins that use TurboMem, each compiled by itself.
///
///     host crosswise PLUGIN…     everybody uses everybody's pools
///     host unload PLUGIN…        plugins are unloaded while threads that called them live on
///     host outlive PLUGIN        a pool's maker is unloaded before the threads that used the pool end
///     host orphan PLUGIN         it is unloaded before the pool is used, forked with and closed
///     host serve PLUGIN          a plugin makes and closes pools that the host uses
///     host interrupt PLUGIN      what a signal handler may call allocates nothing, on a thread's first call
///     host load PLUGIN…          all of them at once
#include "plugin.hpp"

#include "../native/check.hpp"

#include <dlfcn.h>
#include <malloc.h>
#include <sys/wait.h>
#include <unistd.h>

#include <barrier>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string_view>
#include <thread>
#include <vector>

namespace {

class library {
  public:
    explicit library(const char *file) : file_(file), handle_(::dlopen(file, RTLD_NOW | RTLD_LOCAL)) {
        if (handle_ == nullptr) std::fprintf(stderr, "%s\n", ::dlerror());
        CHECK(handle_ != nullptr);
        void *const found = ::dlsym(handle_, "plugin");
        CHECK(found != nullptr);
        call = reinterpret_cast<const calls *(*)()>(found)();
    }
    library(library &&other) noexcept
        : call(other.call), file_(other.file_), handle_(std::exchange(other.handle_, nullptr)) {}
    library &operator=(library &&) = delete;
    ~library() {
        if (handle_ != nullptr) CHECK(::dlclose(handle_) == 0);
    }
    bool loaded() const {
        void *const again = ::dlopen(file_, RTLD_NOW | RTLD_NOLOAD);
        if (again != nullptr) ::dlclose(again);
        return again != nullptr;
    }
    void unload() { CHECK(::dlclose(std::exchange(handle_, nullptr)) == 0); }

    const calls *call;

  private:
    const char *file_;
    void *handle_;
};

/// Long enough for the kernel to interrupt whatever runs.
void wait_busily(std::chrono::milliseconds time) {
    const auto end = std::chrono::steady_clock::now() + time;
    while (std::chrono::steady_clock::now() < end) {
    }
}

/// Every object of the pool, by these calls, each written all over: all are its own.
void take_all(const calls &by, shared_pool &p, std::size_t size, std::size_t objects) {
    std::vector<void *> all;
    while (void *const object = by.get(&p)) {
        CHECK(owns(p, object));
        std::memset(object, 0x5a, size);
        all.push_back(object);
    }
    CHECK(all.size() == objects);
    for (void *object : all) by.put(&p, object);
}

/// Whether a pointer into nowhere is found.
[[maybe_unused]] bool refuses(const calls &by, shared_pool &p) {
    int outside = 0;
    try {
        by.put(&p, &outside);
        return false;
    } catch (const turbomem::misuse &found) {
        return found.kind() == turbomem::misuse_kind::foreign_pointer;
    }
}

void crosswise(std::vector<library> plugins) {
    constexpr std::size_t objects = 64;
    std::vector<const calls *> who{&these_calls};
    for (const library &l : plugins) who.push_back(l.call);
    std::vector<shared_pool *> pools;
    auto size = [](std::size_t i) { return std::size_t{64} << 3 * i; };
    for (std::size_t i = 0; i < who.size(); ++i) pools.push_back(who[i]->open(size(i), objects));
    auto use = [&](std::size_t i, std::size_t k) { take_all(*who[i], *pools[k], size(k), objects); };
    auto use_all = [&] {
        for (std::size_t i = 0; i < who.size(); ++i) {
            for (std::size_t k = 0; k < pools.size(); ++k) use(i, k);
        }
    };
    use_all();
    std::thread(use_all).join();
    for (shared_pool *p : pools) CHECK(left(*p) == objects);
    // In a child of fork, too, whose other threads are gone with their caches.
    std::barrier both(2);
    std::thread keeper([&] {
        use_all();
        both.arrive_and_wait();
        both.arrive_and_wait();
    });
    both.arrive_and_wait();
    const pid_t child = ::fork();
    CHECK(child >= 0);
    if (child == 0) {
        use_all();
        std::thread(use_all).join();
        ::_exit(0);
    }
    int status = 0;
    CHECK(::waitpid(child, &status, 0) == child && status == 0);
    both.arrive_and_wait();
    keeper.join();
    // Ended by another than who made it.
    for (std::size_t i = 0; i < pools.size(); ++i) who[(i + 1) % who.size()]->close(pools[i]);
    if constexpr (shared_pool::checked) {
        // Looked for among all checked pools.
        shared_pool *const p = who.back()->open(64, objects);
        for (const calls *by : who) CHECK(refuses(*by, *p));
        who[0]->close(p);
    }
    // Addresses come again.
    for (int round = 0; round < 100; ++round) {
        const std::size_t i = static_cast<std::size_t>(round) % who.size();
        shared_pool *const p = who[i]->open(size(i), objects);
        for (const calls *by : who) take_all(*by, *p, size(i), objects);
        who[(i + 1) % who.size()]->close(p);
    }
}

void unload(const std::vector<const char *> &files) {
    std::barrier turn(2);
    const calls *current = nullptr;
    shared_pool *p = nullptr;
    constexpr int rounds = 40;
    // Makes its last call and then sleeps in the kernel, from where it comes back when the plugin is gone.
    std::thread sleeper([&] {
        for (int i = 0; i < rounds; ++i) {
            turn.arrive_and_wait();
            take_all(*current, *p, 64, 100);
            turn.arrive_and_wait();
        }
    });
    int kept = 0;
    for (int i = 0; i < rounds; ++i) {
        library l(files[static_cast<std::size_t>(i) % files.size()]);
        current = l.call;
        p = current->open(64, 100);
        turn.arrive_and_wait();
        turn.arrive_and_wait();
        take_all(*current, *p, 64, 100);
        current->close(p);
        l.unload();
        kept += l.loaded() ? 1 : 0;
        wait_busily(std::chrono::milliseconds(5));
    }
    sleeper.join();
    std::printf("%d of %d stayed mapped\n", kept, rounds);
}

void outlive(const char *file) {
    std::barrier turn(2);
    library l(file);
    shared_pool *const p = l.call->open(64, 100);
    std::thread user([&] {
        take_all(these_calls, *p, 64, 100);
        turn.arrive_and_wait();
        turn.arrive_and_wait();
    });
    turn.arrive_and_wait();
    l.call->close(p);
    l.unload();
    CHECK(!l.loaded());
    turn.arrive_and_wait();
    user.join();
}

void orphan(const char *file) {
    library l(file);
    shared_pool *const p = l.call->open(64, 100);
    l.unload();
    CHECK(!l.loaded());
    std::barrier turn(2);
    std::thread user([&] {
        take_all(these_calls, *p, 64, 100);
        turn.arrive_and_wait();
        turn.arrive_and_wait();
    });
    turn.arrive_and_wait();
    const pid_t child = ::fork();
    CHECK(child >= 0);
    if (child == 0) {
        // As likely as not its place in memory is the user's, whose cache is not its own.
        std::thread([&] { take_all(these_calls, *p, 64, 100); }).join();
        CHECK(cached(*p) == 0);
        these_calls.close(p);
        ::_exit(0);
    }
    int status = 0;
    CHECK(::waitpid(child, &status, 0) == child && status == 0);
    turn.arrive_and_wait();
    user.join();
    these_calls.close(p);
}

/// Of this process, in bytes.
std::size_t address_space() {
    std::size_t pages = 0;
    std::FILE *const f = std::fopen("/proc/self/statm", "r");
    CHECK(f != nullptr && std::fscanf(f, "%zu", &pages) == 1);
    std::fclose(f);
    return pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

void serve(const char *file) {
    const library l(file);
    auto round = [&](std::size_t objects) {
        shared_pool *const p = l.call->open(64, objects);
        take_all(these_calls, *p, 64, objects);
        l.call->close(p);
    };
    for (int i = 0; i < 20; ++i) round(1000);
    const std::size_t before = address_space();
    for (int i = 0; i < 400; ++i) round(1000);
    CHECK(address_space() < before + 400 * 1000 * sizeof(void *) / 2); // half of the pointers to all objects
}

void interrupt(const char *file) {
    const library l(file);
    shared_pool *const p = l.call->open(64, 16);
    std::vector<void *> all;
    while (void *const object = l.call->get(p)) all.push_back(object);
    CHECK(all.size() == 16);
    std::thread([&] {
        void *volatile warm = std::malloc(1); // what the C library allocates for a thread
        std::free(warm);
        const std::size_t before = ::mallinfo2().uordblks;
        void *const object = l.call->get(p);
        const std::size_t after = ::mallinfo2().uordblks;
        CHECK(object == nullptr && after == before);
    }).join();
    for (void *object : all) l.call->put(p, object);
    l.call->close(p);
}

void load(std::vector<library> plugins) {
    std::vector<shared_pool *> pools;
    for (const library &l : plugins) pools.push_back(l.call->open(64, 100));
    for (std::size_t i = 0; i < pools.size(); ++i) take_all(*plugins[i].call, *pools[i], 64, 100);
    std::thread([&] {
        for (std::size_t i = 0; i < pools.size(); ++i)
            take_all(*plugins[i].call, *pools[pools.size() - 1 - i], 64, 100);
    }).join();
    for (std::size_t i = 0; i < pools.size(); ++i) plugins[i].call->close(pools[i]);
    std::printf("%zu plugins\n", pools.size());
}

} // namespace

int main(int argc, char **argv) {
    CHECK(argc >= 3);
    const std::string_view what = argv[1];
    const std::vector<const char *> files(argv + 2, argv + argc);
    auto all = [&] { return std::vector<library>(files.begin(), files.end()); };
    if (what == "crosswise") crosswise(all());
    if (what == "unload") unload(files);
    if (what == "outlive") outlive(files[0]);
    if (what == "orphan") orphan(files[0]);
    if (what == "serve") serve(files[0]);
    if (what == "interrupt") interrupt(files[0]);
    if (what == "load") load(all());
}

// SPDX-License-Identifier: BSD-3-Clause
/// Children of fork: which slots are free in them, and that no lock is held for ever.
#include <atomic>

/// The next thread that comes to this point, with a lock, stays until a fork is past or waits for it.
void stay_for_a_fork() noexcept;
static std::atomic<bool> stay{false};
#define TURBOMEM_POINT(name)                                                                                 \
    (__builtin_strcmp(#name, "listing") == 0 && stay.exchange(false) ? stay_for_a_fork() : void())

#include "../../src/turbomem.cpp"
#include "check.hpp"
#include "turbomem/per_thread.hpp"

#include <pthread.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <thread>
#include <vector>

using namespace turbomem;

namespace {

constexpr page_options base{.kind = page_kind::base};

/// Run in a child, which must end well, and soon.
template <class Body> void in_child(Body body) {
    const pid_t child = ::fork();
    CHECK(child >= 0);
    if (child == 0) {
        ::alarm(60); // rather than wait for ever for a lock
        body();
        ::syscall(SYS_exit_group, 0); // _exit() of ThreadSanitizer complains of threads that are not there
    }
    int status = 0;
    CHECK(::waitpid(child, &status, 0) == child && status == 0);
}

/// A thread whose place in memory no other thread had.
template <class Body> void in_new_place(Body body) {
    alignas(64) static std::byte stack[std::size_t{1} << 20];
    pthread_attr_t attributes;
    CHECK(::pthread_attr_init(&attributes) == 0 &&
          ::pthread_attr_setstack(&attributes, stack, sizeof stack) == 0);
    pthread_t thread;
    const auto run = [](void *b) -> void * { return (*static_cast<Body *>(b))(), nullptr; };
    CHECK(::pthread_create(&thread, &attributes, run, &body) == 0 && ::pthread_join(thread, nullptr) == 0);
}

/// Those of threads that per_thread gave a cache, and that are not there.
void a_child_has_every_slot() {
    if (thread_sanitizer) return; // which lets no child of fork have threads
    using numbers = pool<int, threads::per_thread>;
    numbers p({.objects = 600, .magazine = 16, .max_threads = 2, .pages = base});
    const auto use = [](auto &door) {
        for (int i = 0; i < 100; ++i) door.deallocate(door.allocate());
    };
    std::atomic<int> step{0};
    std::thread other([&] {
        use(p);
        step = 1;
        while (step != 2) std::this_thread::yield();
    });
    while (step != 1) std::this_thread::yield();
    use(p);
    in_child([&] {
        in_new_place([&] { use(p); });
        for (int i = 0; i < 3; ++i) std::thread([&] { use(p); }).join();
        CHECK(p.available() == 600 && p.statistics().guest_calls == 0);
    });
    in_child([&] {
        auto mine = p.enter();
        use(mine);
        CHECK(p.available() == 600 && p.statistics().guest_calls == 0);
    });
    step = 2;
    other.join();
}

std::atomic<bool> staying{false}, forked{false};
pid_t forking = 0;

bool sleeps(pid_t thread) {
    std::FILE *const f = std::fopen(("/proc/self/task/" + std::to_string(thread) + "/stat").c_str(), "r");
    CHECK(f != nullptr);
    char state = 0;
    CHECK(std::fscanf(f, "%*d (%*[^)]) %c", &state) == 1);
    std::fclose(f);
    return state == 'S';
}

/// While another thread is about to list a pool, with the lock.
template <class List> void a_child_can_list(List list) {
    list(); // whatever is made on a first call is there
    stay = true;
    staying = forked = false;
    forking = static_cast<pid_t>(::syscall(SYS_gettid));
    std::thread other(list);
    while (!staying) std::this_thread::yield();
    in_child(list);
    other.join();
}

} // namespace

void stay_for_a_fork() noexcept {
    staying = true;
    while (!forked && !sleeps(forking)) std::this_thread::yield();
}

int main() {
    CHECK(::pthread_atfork(nullptr, [] { forked = true; }, nullptr) == 0);
    a_child_has_every_slot();
    a_child_can_list(
        [] { pool<int, checking::checked<>>({.objects = 16, .max_threads = 2, .pages = base}); });
    a_child_can_list([] {
        turbomem_options o{};
        o.size = sizeof o;
        o.object_size = 64;
        o.objects = 16;
        o.pages = TURBOMEM_PAGES_BASE;
        turbomem_pool *p = nullptr;
        CHECK(turbomem_create(&o, &p, nullptr) == 0 && turbomem_destroy(p) == 0);
    });
}

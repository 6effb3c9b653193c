// SPDX-License-Identifier: BSD-3-Clause
/// Caches of CPUs: the sequences themselves, then threads that are preempted, interrupted and sent from CPU
/// to CPU all the time, stranded objects, fork, a kernel that refuses barriers, and a debugger's steps. Where
/// the process has no restartable sequences the same runs on the fall-back.
#include "turbomem/per_cpu.hpp"
#include "check.hpp"
#include "refusals.hpp"
#include "stamps.hpp"
#include "turbomem/system/topology.hpp"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

using namespace turbomem;

namespace {

struct one_exchange : exchange {
    using exchange::exchange;
    std::uint32_t nodes() const noexcept { return 1; }
    const exchange &on(std::uint32_t) const noexcept { return *this; }
};
using route = threads::per_cpu::route<one_exchange>;

/// A route that starts with every object of its memory.
struct world {
    world(std::uint32_t n, std::uint32_t magazine, bool caching = true)
        : objects(n), memory(n * stamped_size),
          to(exchange_options{.objects = n, .magazine = magazine, .max_threads = 8, .caching = caching}) {
        to.exchange().stock(memory.data(), stamped_size, n);
    }
    std::uint64_t available() const { return to.exchange().available() + to.objects(); }

    /// Whoever takes all finds each object once, and puts them back.
    void check_whole() {
        CHECK(available() == objects);
        std::vector<void *> all(objects + 1);
        CHECK(!to.get_bulk(all.data(), objects + 1));
        CHECK(to.get_bulk(all.data(), objects));
        CHECK(available() == 0);
        CHECK(to.get_up_to(all.data() + objects, 1) == 0);
        std::sort(all.begin(), all.end() - 1);
        CHECK(std::adjacent_find(all.begin(), all.end() - 1) == all.end() - 1);
        to.put_bulk(all.data(), objects);
        CHECK(available() == objects);
    }

    std::uint32_t objects;
    std::vector<std::byte> memory;
    route to;
};

/// On a made-up registration, as every processor can run them: nobody restarts anything.
void check_sequences() {
#ifdef TURBOMEM_RSEQ
    struct alignas(32) {
        std::uint32_t cpu_start = 1, cpu = 1;
        std::uint64_t descriptor = 0;
    } made_up;
    constexpr std::uint32_t capacity = 40;
    struct {
        magazine header;
        void *slots[capacity]{};
    } memory;
    magazine &m = memory.header;
    cpu_cell cells[2];
#ifdef __x86_64__
    std::byte *here = nullptr;
    asm("movq %%fs:0, %0" : "=r"(here));
#else
    auto *here = static_cast<std::byte *>(__builtin_thread_pointer());
#endif
    const cpu_cells view{reinterpret_cast<std::byte *>(&made_up) - here, cells, 2, capacity};
    std::array<void *, capacity + 1> in{}, out{};
    std::uintptr_t top = 0;

    CHECK(cpu_lately(view) == 1);
    CHECK(cpu_get(view, out.data(), 1) == sequence::refused);
    CHECK(cpu_put(view, in.data(), 1) == sequence::refused);
    CHECK(cpu_detach(view, &top) == sequence::refused);
    CHECK(cpu_attach(view, reinterpret_cast<std::uintptr_t>(&m)) == sequence::done);
    CHECK(cells[0].top == cpu_cell::none && cells[1].top == reinterpret_cast<std::uintptr_t>(&m));
    CHECK(cpu_attach(view, reinterpret_cast<std::uintptr_t>(&m)) == sequence::refused);
    for (std::uint32_t held = 0; held <= capacity; ++held) {
        for (std::uint32_t n = 0; n <= capacity + 1; ++n) {
            for (std::size_t i = 0; i < in.size(); ++i) in[i] = cells + 1000 * held + 100 * n + i;
            m.count = held;
            std::fill_n(m.slots(), capacity, &m);
            const bool fits = held + n <= capacity;
            CHECK(cpu_put(view, in.data(), n) == (fits ? sequence::done : sequence::refused));
            CHECK(m.count == held + (fits ? n : 0));
            for (std::uint32_t i = 0; i < capacity; ++i)
                CHECK(m.slots()[i] == (fits && i >= held && i < held + n ? in[i - held] : &m));
            out.fill(nullptr);
            const std::uint32_t has = m.count;
            CHECK(cpu_get(view, out.data(), n) == (n <= has ? sequence::done : sequence::refused));
            CHECK(m.count == (n <= has ? has - n : has));
            for (std::uint32_t i = 0; i < out.size(); ++i)
                CHECK(out[i] == (n <= has && i < n ? m.slots()[has - n + i] : nullptr));
        }
    }
    CHECK(cpu_put(view, in.data(), 1ull << 33) == sequence::refused);
    for (const std::uint32_t unknown : {2u, UINT32_MAX, UINT32_MAX - 1}) { // hot-plugged; not registered
        made_up.cpu = unknown;
        CHECK(cpu_get(view, out.data(), 0) == sequence::refused);
        CHECK(cpu_put(view, in.data(), 0) == sequence::refused);
        CHECK(cpu_detach(view, &top) == sequence::refused);
        CHECK(cpu_attach(view, 8) == sequence::refused);
    }
    made_up.cpu = 1;
    CHECK(cpu_detach(view, &top) == sequence::done);
    CHECK(top == reinterpret_cast<std::uintptr_t>(&m) && cells[1].top == cpu_cell::none);
    CHECK(cpu_detach(view, &top) == sequence::refused);
    CHECK(made_up.descriptor % 32 == 0);
#endif
}

void check_one_thread() {
    for (const std::uint32_t magazine : {1u, 2u, 7u, 256u}) {
        world w(1000, magazine);
        w.check_whole();
        dice d(magazine);
        std::vector<void *> held;
        std::array<void *, 80> some{};
        for (int i = 0; i < 4000; ++i) {
            const std::uint32_t n = d.roll(0, 80);
            if (d.roll(0, 1) == 0) {
                const bool may = n <= w.objects - held.size();
                CHECK(w.to.get_bulk(some.data(), n) == may);
                if (!may) continue;
                std::for_each_n(some.begin(), n, hold);
                held.insert(held.end(), some.begin(), some.begin() + n);
            } else {
                const std::size_t k = std::min<std::size_t>(n, held.size());
                std::for_each(held.end() - static_cast<long>(k), held.end(), release);
                w.to.put_bulk(held.data() + held.size() - k, static_cast<std::uint32_t>(k));
                held.resize(held.size() - k);
            }
            CHECK(w.available() == w.objects - held.size());
        }
        std::for_each(held.begin(), held.end(), release);
        w.to.put_bulk(held.data(), static_cast<std::uint32_t>(held.size()));
        w.check_whole();
    }
    world uncached(100, 8, false);
    CHECK(uncached.to.fallback() != nullptr);
    uncached.check_whole();
}

/// What one CPU caches, another finds before it fails; and what threads with slots cache.
void check_stranded() {
    world w(200, 50);
    const auto cpus = pin::allowed();
    std::array<void *, 60> some{};
    auto strand = [&](int cpu) {
        const pin here(cpu);
        CHECK(w.to.get_bulk(some.data(), 60));
        w.to.put_bulk(some.data(), 60);
    };
    strand(cpus.front());
    {
        const pin here(cpus.back());
        w.check_whole();
    }
    strand(cpus.front());
    strand(cpus.back());
    w.check_whole();
    if (w.to.fallback() == nullptr && cpus.size() > 1) CHECK(w.to.counters().depot.reclaims >= 2);

    std::thread([&] {
        cache &slot = w.to.exchange().enter();
        CHECK(slot.get_bulk(some.data(), 60));
        slot.put_bulk(some.data(), 60);
        CHECK(slot.objects() != 0); // and it never leaves
    }).join();
    w.check_whole();
}

/// Let the calling thread be interrupted, or no more.
void take_signals(bool yes) {
    sigset_t one;
    ::sigemptyset(&one);
    ::sigaddset(&one, SIGUSR1);
    CHECK(::pthread_sigmask(yes ? SIG_UNBLOCK : SIG_BLOCK, &one, nullptr) == 0);
}

route *for_signals = nullptr;
std::atomic<std::uint64_t> in_handler{0};

void interrupted(int) {
    void *some[3];
    if (for_signals == nullptr || !for_signals->get_bulk(some, 3)) return;
    for (void *object : some) hold(object);
    for (void *object : some) release(object);
    for_signals->put_bulk(some, 3);
    in_handler.fetch_add(1, std::memory_order_relaxed);
}

struct shape {
    const char *name;
    std::uint32_t magazine, most_held, most_bulk;
    bool ample; ///< objects enough that no get may fail
};

/// Threads, four a CPU, that come and go, hop from CPU to CPU and are interrupted all the time; handlers get
/// and put, too, unless the fall-back is what runs, which is not for handlers.
void stress(const shape &s, std::uint32_t steps) {
    const auto cpus = pin::allowed();
    const auto threads = static_cast<std::uint32_t>(4 * std::min<std::size_t>(cpus.size(), 4));
    const std::uint32_t in_hands = 2 * s.magazine + s.most_bulk + 3;
    const auto all_cells = static_cast<std::uint32_t>(2 * s.magazine * cpus.size());
    world w(s.ample ? threads * (s.most_held + 2 * in_hands) + all_cells : s.most_held + 30, s.magazine);
    swap_board board;
    std::atomic<std::uint32_t> at_work{threads};
    std::atomic<std::uint64_t> got{0}, failed{0};
    for_signals = w.to.fallback() == nullptr ? &w.to : nullptr;

    auto life = [&](std::uint64_t seed) {
        take_signals(true);
        dice d(seed);
        std::vector<void *> held, bulk(s.most_bulk);
        auto put = [&](std::uint32_t n) {
            void **const first = held.data() + held.size() - n;
            std::for_each_n(first, n, release);
            w.to.put_bulk(first, n);
            held.resize(held.size() - n);
        };
        std::uint64_t my_got = 0, my_failed = 0;
        for (std::uint32_t i = 0; i < steps; ++i) {
            const std::uint32_t what = d.roll(0, 199);
            const auto room = static_cast<std::uint32_t>(s.most_held - held.size());
            if (what == 0) {
                cpu_set_t one;
                CPU_ZERO(&one);
                CPU_SET(cpus[d.roll(0, static_cast<std::uint32_t>(cpus.size() - 1))], &one);
                CHECK(::sched_setaffinity(0, sizeof one, &one) == 0);
            } else if (what < 95 && room != 0) {
                const std::uint32_t n = d.roll(1, std::min(room, s.most_bulk));
                if (!w.to.get_bulk(bulk.data(), n)) {
                    ++my_failed;
                    continue;
                }
                std::for_each_n(bulk.begin(), n, hold);
                held.insert(held.end(), bulk.begin(), bulk.begin() + n);
                my_got += n;
            } else if (what < 110 && !held.empty()) {
                if (void *other = board.swap(d.roll(0, 63), held.back()))
                    held.back() = other;
                else
                    held.pop_back();
            } else if (!held.empty()) {
                put(d.roll(1, std::min(s.most_bulk, static_cast<std::uint32_t>(held.size()))));
            }
        }
        put(static_cast<std::uint32_t>(held.size()));
        take_signals(false);
        got.fetch_add(my_got, std::memory_order_relaxed); // read after the join
        failed.fetch_add(my_failed, std::memory_order_relaxed);
    };
    std::vector<std::thread> lives;
    for (std::uint32_t t = 0; t < threads; ++t) {
        lives.emplace_back([&, t] {
            std::thread(life, 2 * t).join(); // one that comes and goes
            life(2 * t + 1);
            at_work.fetch_sub(1, std::memory_order_release);
        });
    }
    while (at_work.load(std::memory_order_acquire) != 0) {
        ::kill(::getpid(), SIGUSR1);
        std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
    for (std::thread &t : lives) t.join();
    for_signals = nullptr;
    for (auto &place : board.places()) {
        if (void *object = place.load(std::memory_order_relaxed)) {
            release(object);
            w.to.put_bulk(&object, 1);
        }
    }
    w.check_whole();
    const cpu_caches::counters c = w.to.counters();
    std::printf("%-24s %9llu got %7llu failed %8llu exchanges %6llu reclaims %6llu restarts\n", s.name,
                static_cast<unsigned long long>(got), static_cast<unsigned long long>(failed),
                static_cast<unsigned long long>(c.depot.exchanges),
                static_cast<unsigned long long>(c.depot.reclaims),
                static_cast<unsigned long long>(c.restarts));
    CHECK(got != 0);
    if (s.ample) CHECK(failed == 0);
}

/// Run in a child process, which must end well.
template <class Body> void in_child(Body body) {
    const pid_t child = ::fork();
    CHECK(child >= 0);
    if (child == 0) {
        body();
        std::_Exit(0);
    }
    int status = 0;
    CHECK(::waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

void refuse_membarrier() {
    sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0), // the number of the system call
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog program{std::size(code), code};
    CHECK(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    CHECK(::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

void check_fork_and_refusal() {
    world w(200, 50);
    std::array<void *, 200> some{};
    CHECK(w.to.get_bulk(some.data(), 60));
    w.to.put_bulk(some.data(), 60);
    in_child([&] { w.check_whole(); });
    w.check_whole();
    const auto cpus = pin::allowed();
    if (emulated || w.to.fallback() != nullptr || cpus.size() < 2) return;
    // A kernel that refuses barriers from now on: what lies on the other CPU is out of reach, and not lost.
    in_child([&] {
        {
            const pin there(cpus.front());
            CHECK(w.to.get_bulk(some.data(), 200));
            w.to.put_bulk(some.data(), 200);
        }
        const pin here(cpus.back());
        refuse_membarrier();
        for (int i = 0; i < 3; ++i) {
            CHECK(!w.to.get_bulk(some.data(), 200));
            CHECK(w.available() == 200);
        }
        CHECK(w.to.get_bulk(some.data(), 100));
        w.to.put_bulk(some.data(), 100);
        CHECK(w.available() == 200);
    });
}

/// A thread that stops at every instruction completes no sequence; its calls end all the same.
void check_single_steps() {
    world w(100, 10);
    if (emulated || w.to.fallback() != nullptr) return;
    std::array<void *, 4> some{};
    CHECK(w.to.get_bulk(some.data(), 4)); // from now on the CPU has a magazine
    const pid_t child = ::fork();
    CHECK(child >= 0);
    if (child == 0) {
        if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) std::_Exit(2);
        ::raise(SIGSTOP);
        w.to.put_bulk(some.data(), 4);
        const bool got = w.to.get_bulk(some.data(), 4);
        std::_Exit(got && w.to.counters().restarts >= 16 ? 0 : 1);
    }
    int status = 0;
    CHECK(::waitpid(child, &status, 0) == child);
    for (int steps = 0; WIFSTOPPED(status); ++steps) {
        CHECK(steps < 200'000);
        CHECK(::ptrace(PTRACE_SINGLESTEP, child, nullptr, nullptr) == 0);
        CHECK(::waitpid(child, &status, 0) == child);
    }
    CHECK(WIFEXITED(status));
    if (WEXITSTATUS(status) == 2) return; // no permission to be traced
    CHECK(WEXITSTATUS(status) == 0);
}

} // namespace

/// usage: per_cpu STEPS: steps of a thread in each shape. Prints what the caches are of first.
int main(int argc, char **argv) {
    const auto steps = static_cast<std::uint32_t>(argc > 1 ? std::stoul(argv[1]) : 20'000);
    const char *why = world(1, 1).to.fallback();
    std::printf("%s\n", why == nullptr ? "CPUs" : why);
    std::fflush(stdout);
    struct sigaction action{};
    action.sa_handler = interrupted;
    action.sa_flags = SA_RESTART;
    CHECK(::sigaction(SIGUSR1, &action, nullptr) == 0);
    take_signals(false);

    check_sequences();
    check_one_thread();
    check_stranded();
    check_fork_and_refusal();
    check_single_steps();
    const shape shapes[] = {
        {"one object a magazine", 1, 40, 8, true},
        {"small magazines", 16, 200, 90, true},
        {"usual magazines", 256, 2000, 300, true},
        {"exhaustion", 8, 100, 40, false},
    };
    for (const shape &s : shapes) stress(s, steps);
    if (why == nullptr) CHECK(in_handler != 0);
}

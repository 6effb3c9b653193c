// SPDX-License-Identifier: BSD-3-Clause
/// The calling thread: who it is and which CPUs it may use; and threads that the library starts.
#pragma once

#include "turbomem/error.hpp"

#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace turbomem {

namespace detail {

/// A number that no other living thread has, and that every shared object of the process agrees on: where the
/// thread's control block lies. Read anew at each call, since a fiber may go on in another thread.
[[gnu::always_inline]] inline std::uintptr_t this_thread() noexcept {
#if defined(__x86_64__)
    std::uintptr_t self;
    asm volatile("movq %%fs:0, %0" : "=r"(self));
    return self;
#elif defined(__aarch64__)
    std::uintptr_t self;
    asm volatile("mrs %0, tpidr_el0" : "=r"(self));
    return self;
#else
    return reinterpret_cast<std::uintptr_t>(&errno);
#endif
}

/// A number of the calling thread for as long as it lives. Threads that ask for theirs one after the other
/// have consecutive ones, so that a remainder spreads them evenly; each shared object counts by itself.
inline std::uint32_t thread_number() noexcept {
    static constinit std::atomic<std::uint32_t> next{0};
    thread_local const std::uint32_t mine = next.fetch_add(1, std::memory_order_relaxed); // relaxed: a number
    return mine;
}

/// CPUs of this machine that the process may use, at least 1.
inline std::uint32_t cpus() noexcept {
    return std::max(1u, std::thread::hardware_concurrency());
}

/// A thread that no signal of the program is delivered to, or nothing when there are too many threads.
template <class Work> std::optional<std::thread> quiet_thread(Work work) {
    sigset_t all, before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    std::optional<std::thread> thread;
    try {
        thread.emplace(std::move(work));
    } catch (const std::system_error &) {
        // whoever asked does the work
    }
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return thread;
}

} // namespace detail

/// Keeps the calling thread on some CPUs for as long as it lives; then it may run where it might before.
/// To be destroyed by the thread that made it.
class [[nodiscard]] pin {
  public:
    /// Throws error: EINVAL when this process may use none of these CPUs, or the kernel's errno.
    explicit pin(const std::vector<int> &cpus) : before_(get()) {
        mask wanted(before_.bytes());
        for (int cpu : cpus) wanted.add(cpu);
        if (::sched_setaffinity(0, wanted.bytes(), wanted.get()) != 0) {
            const int code = errno;
            std::string list;
            for (int cpu : cpus) list += (list.empty() ? "" : ", ") + std::to_string(cpu);
            throw error(code, "cannot keep the thread on CPU " + (list.empty() ? "(none)" : list) + ": " +
                                  (code == EINVAL ? "not among those that this process may use"
                                                  : std::strerror(code)));
        }
    }
    explicit pin(int cpu) : pin(std::vector<int>{cpu}) {}

    pin(const pin &) = delete;
    pin &operator=(const pin &) = delete;
    ~pin() { ::sched_setaffinity(0, before_.bytes(), before_.get()); }

    /// CPUs the calling thread may run on. Throws error with the kernel's errno.
    static std::vector<int> allowed() {
        const mask m = get();
        std::vector<int> cpus;
        for (int cpu = 0; cpu < m.cpus(); ++cpu) {
            if (m.has(cpu)) cpus.push_back(cpu);
        }
        return cpus;
    }

  private:
    /// As many CPUs as the kernel was built for, which may be more than cpu_set_t holds.
    class mask {
      public:
        explicit mask(std::size_t bytes) : words_((bytes + sizeof(word) - 1) / sizeof(word)) {}
        std::size_t bytes() const noexcept { return words_.size() * sizeof(word); }
        int cpus() const noexcept { return static_cast<int>(bytes() * 8); }
        cpu_set_t *get() noexcept { return reinterpret_cast<cpu_set_t *>(words_.data()); }
        void add(int cpu) noexcept {
            if (cpu >= 0 && cpu < cpus()) CPU_SET_S(static_cast<std::size_t>(cpu), bytes(), get());
        }
        bool has(int cpu) const noexcept {
            return CPU_ISSET_S(static_cast<std::size_t>(cpu), bytes(), const_cast<mask *>(this)->get());
        }

      private:
        using word = unsigned long; // what cpu_set_t is made of
        std::vector<word> words_;
    };

    static mask get() {
        // The kernel refuses a mask that is shorter than its own.
        for (std::size_t bytes = sizeof(cpu_set_t); bytes <= std::size_t{1} << 16; bytes *= 2) {
            mask m(bytes);
            if (::sched_getaffinity(0, m.bytes(), m.get()) == 0) return m;
            if (errno != EINVAL) break;
        }
        const int code = errno;
        throw error(code, std::string("cannot read the thread's CPUs: ") + std::strerror(code));
    }

    mask before_;
};

} // namespace turbomem

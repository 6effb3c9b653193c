// SPDX-License-Identifier: BSD-3-Clause
/// Barriers of which only the rare side pays: the frequent side has a fence for the compiler, the rare side a
/// system call that makes every running thread of the process pass a full barrier.
#pragma once

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>

/// A point at which a test may interrupt the thread. Nothing unless the program defines it before any
/// include.
#ifndef TURBOMEM_POINT
#define TURBOMEM_POINT(name) static_cast<void>(0)
#endif

namespace turbomem {

/// One of the commands of membarrier(2), for the calling process.
template <int Register, int Issue> class membarrier {
  public:
    membarrier() noexcept : available_(call(Register)) {}

    /// Whether the kernel has it, and no filter is in the way.
    bool available() const noexcept { return available_; }

    /// When this returns true, every other thread has passed the barrier between the call and the return;
    /// false: no barrier was made. Wait-free; a few microseconds, less in a process of one thread.
    [[nodiscard]] bool operator()() const noexcept {
        if (!available_) return false;
        // The intent to use it is the process's: a child of fork may have to declare its own.
        return call(Issue) || (call(Register) && call(Issue));
    }

  private:
    static bool call(int command) noexcept { return ::syscall(SYS_membarrier, command, 0, 0) == 0; }

    bool available_;
};

/// A full memory barrier (Linux 4.14).
using process_barrier =
    membarrier<MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, MEMBARRIER_CMD_PRIVATE_EXPEDITED>;

/// The cheap half: keeps the compiler, not the processor, from moving memory accesses across it.
inline void light_barrier() noexcept {
    std::atomic_signal_fence(std::memory_order_seq_cst);
}

} // namespace turbomem

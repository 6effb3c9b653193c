// SPDX-License-Identifier: BSD-3-Clause
/// The expensive half of an asymmetric barrier: the frequent side pays a compiler fence, the rare side a
/// system call that makes every running thread of the process pass a full barrier.
#pragma once

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>

namespace turbomem {

class process_barrier {
  public:
    process_barrier() noexcept : available_(enrol()) {}

    /// Whether the kernel has it (Linux 4.14, and no filter in the way).
    bool available() const noexcept { return available_; }

    /// When this returns true, every other thread has passed a full barrier between the call and the return;
    /// false: no barrier was made. Wait-free; a few microseconds, less in a process of one thread.
    [[nodiscard]] bool operator()() const noexcept {
        if (!available_) return false;
        // The intent to use it is the process's: a child of fork may have to declare its own.
        return issue() || (enrol() && issue());
    }

  private:
    static bool command(int what) noexcept { return ::syscall(SYS_membarrier, what, 0, 0) == 0; }
    static bool enrol() noexcept { return command(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED); }
    static bool issue() noexcept { return command(MEMBARRIER_CMD_PRIVATE_EXPEDITED); }

    bool available_;
};

/// The cheap half: keeps the compiler, not the processor, from moving memory accesses across it.
inline void light_barrier() noexcept {
    std::atomic_signal_fence(std::memory_order_seq_cst);
}

} // namespace turbomem

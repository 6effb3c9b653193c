// SPDX-License-Identifier: BSD-3-Clause
/// Threads that come and go, more of them than slots, and a fork: nothing is lost.
#include <turbomem/turbomem.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <thread>
#include <vector>

int main() {
    turbomem::pool<void, turbomem::threads::per_thread> buffers(
        {.object_size = 256, .objects = 4'096, .max_threads = 2});

    std::vector<std::thread> crowd;
    for (int i = 0; i < 8; ++i) {
        crowd.emplace_back([&] {
            std::array<void *, 16> some;
            for (int round = 0; round < 1'000; ++round) {
                if (buffers.try_allocate(some)) buffers.deallocate(some);
            }
        });
    }
    for (std::thread &t : crowd) t.join();
    std::printf("%lu of 4096 are back\n", buffers.available());
    std::fflush(stdout);

    // The child has a copy of the pool, and takes from it what any thread of the parent had cached.
    if (fork() == 0) {
        unsigned long got = 0;
        while (buffers.try_allocate() != nullptr) ++got;
        std::printf("the child got %lu\n", got);
        std::fflush(stdout);
        _exit(got == 4'096 ? 0 : 1);
    }
    int status = 0;
    wait(&status);
    return WEXITSTATUS(status);
}

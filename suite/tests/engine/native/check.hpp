// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <thread>

/// End the program with the place and the condition that did not hold.
#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                             \
            std::_Exit(1);                                                                                   \
        }                                                                                                    \
    } while (false)

/// Threads of this process.
inline std::ptrdiff_t threads() {
    return std::distance(std::filesystem::directory_iterator("/proc/self/task"), {});
}

/// There are `wanted` threads: one that was joined may be listed for a moment longer.
inline bool threads_become(std::ptrdiff_t wanted) {
    for (int look = 0; look < 1000 && threads() != wanted; ++look)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return threads() == wanted;
}

/// Whether a process that does `what` lives on.
template <class What> bool survives(What what) {
    const pid_t child = fork();
    if (child == 0) {
        std::signal(SIGSEGV, SIG_DFL); // no report: it is what may be expected
        what();
        _exit(0);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

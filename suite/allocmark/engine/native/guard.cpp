// SPDX-License-Identifier: BSD-3-Clause
/** The guard of a process: ends with it everything that it started, and says how it ended. */
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdio>
#include <ctime>

#include "engine.h"

namespace {

constexpr unsigned kSecondsToCleanUp = 2;
constexpr timespec kNap = {0, 1'000'000};
constexpr int kMostNaps = 2000; // 2 s: what the kernel does not let go then is left
constexpr int kManyFiles = 1024;

void close_files(int first, int last) {
    if (first > last || syscall(SYS_close_range, unsigned(first), unsigned(last), 0) == 0) return;
    for (int each = first; each <= last && each < kManyFiles; ++each) close(each);
}

/** Kills all children until there are none: their own become this process's, which is the subreaper. */
void end_children() {
    for (int naps = 0; naps < kMostNaps; ++naps) {
        if (FILE *children = std::fopen("/proc/thread-self/children", "r")) {
            for (pid_t child; std::fscanf(children, "%d", &child) == 1;) kill(child, SIGKILL);
            std::fclose(children);
        }
        pid_t ended;
        while ((ended = waitpid(-1, nullptr, WNOHANG)) > 0) {
        }
        if (ended < 0 && errno == ECHILD) return;
        nanosleep(&kNap, nullptr);
    }
}

/** Reaps what has ended; whether the worker has. */
bool has_ended(pid_t worker, am_ending &ending) {
    int status;
    for (pid_t ended; (ended = waitpid(-1, &status, WNOHANG)) > 0;) {
        if (ended != worker) continue;
        ending.status = status;
        return true;
    }
    return false;
}

bool is_ignored(int signal) {
    return signal == SIGCHLD || signal == SIGCONT || signal == SIGURG || signal == SIGWINCH;
}

/** Waits until the worker has ended. The parent ends it by SIGTERM, or by its own end. */
am_ending watched(pid_t worker, pid_t parent, const sigset_t &all) {
    am_ending ending{};
    bool orphaned = false;
    while (!has_ended(worker, ending)) {
        if (!orphaned && getppid() != parent) { // the worker meets the end of its requests, and cleans up
            orphaned = true;
            alarm(kSecondsToCleanUp);
        }
        siginfo_t info{};
        const int signal = sigwaitinfo(&all, &info);
        if (orphaned ? signal == SIGALRM : signal == SIGTERM && info.si_pid == parent) {
            kill(worker, SIGKILL);
        } else if (signal > 0 && !is_ignored(signal) && getppid() == parent && info.si_pid != parent) {
            if (!ending.signal) ending = {0, signal, info.si_pid == worker ? 0 : info.si_pid};
            kill(worker, SIGKILL);
        }
    }
    return ending;
}

} // namespace

void am_guard(int64_t worker, int64_t parent, int32_t report) {
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, nullptr);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    prctl(PR_SET_PDEATHSIG, SIGHUP);
    // Ends of pipes that it kept open would hide that the worker is gone.
    close_files(STDERR_FILENO + 1, report - 1);
    close_files(std::max(report, int32_t(STDERR_FILENO)) + 1, INT_MAX);
    const am_ending ending = watched(pid_t(worker), pid_t(parent), all);
    end_children();
    if (report >= 0 && write(report, &ending, sizeof ending) == sizeof ending) _exit(0);
    _exit(WIFEXITED(ending.status) ? WEXITSTATUS(ending.status) : 128 + WTERMSIG(ending.status));
}

void am_end_with(int64_t guard) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != pid_t(guard)) _exit(1); // it has gone before
}

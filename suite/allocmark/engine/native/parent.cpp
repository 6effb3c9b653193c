// SPDX-License-Identifier: BSD-3-Clause
/** Ends a process when its parent is gone, even from inside a backend that never returns. */
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "engine.h"

namespace {

constexpr unsigned kSecondsToCleanUp = 2;

pid_t self, parent;

// Handlers: only calls that are safe there. A fork inherits both, and they are not meant for it.
void parent_gone(int) {
    if (getpid() == self && getppid() != parent) alarm(kSecondsToCleanUp);
}

void give_up(int) {
    if (getpid() != self) _exit(1);
    kill(-self, SIGKILL); // the group, if it is ours
    kill(self, SIGKILL);
}

} // namespace

void am_end_with_parent(int64_t expected) {
    self = getpid();
    parent = pid_t(expected);
    struct sigaction action{};
    action.sa_flags = SA_RESTART;
    action.sa_handler = give_up;
    sigaction(SIGALRM, &action, nullptr);
    action.sa_handler = parent_gone;
    sigaction(SIGHUP, &action, nullptr);
    prctl(PR_SET_PDEATHSIG, SIGHUP);
    parent_gone(SIGHUP); // it may have gone before
}

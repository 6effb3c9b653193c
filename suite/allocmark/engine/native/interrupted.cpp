// SPDX-License-Identifier: BSD-3-Clause
#include "interrupted.hpp"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

namespace allocmark::audit {

namespace {

constexpr int kSignal = SIGURG;       // one that comes late is ignored
constexpr long kEvery = 60'000;       // ns
constexpr long kNap = 8'000;          // ns
constexpr int kMostNaps = 8;          // the others may wait for what this thread has
constexpr uint64_t kOthersBeats = 16; // in a pause

std::atomic<uint64_t> stopped{0};

/** Of the calling thread: who calls the backend, how far they were after its last pause, and its timer. */
thread_local std::span<const Pulse> everybody;
thread_local uint64_t seen_beats;
thread_local timer_t timer;

uint64_t beats() {
    uint64_t sum = 0;
    for (const Pulse &pulse : everybody) sum += pulse.beats.load(std::memory_order_relaxed);
    return sum;
}

/** Only once, so that the thread gets on before the next time. */
void pause_later() {
    const itimerspec once = {{0, 0}, {0, kEvery}};
    timer_settime(timer, 0, &once, nullptr);
}

/** Stops here until others have made some calls. Does only what a signal handler may. */
void pause_here(int) {
    const int kept = errno;
    const uint64_t before = beats();
    if (before != seen_beats) { // else all threads might wait for one another
        stopped.fetch_add(1, std::memory_order_relaxed);
        const timespec nap = {0, kNap};
        for (int naps = 0; naps < kMostNaps && beats() < before + kOthersBeats; ++naps)
            nanosleep(&nap, nullptr);
        seen_beats = beats();
    }
    pause_later();
    errno = kept;
}

} // namespace

Interrupted::Interrupted(std::span<const Pulse> all) {
    everybody = all;
    seen_beats = beats();
    struct sigaction action = {};
    action.sa_handler = pause_here;
    action.sa_flags = SA_RESTART;
    sigaction(kSignal, &action, nullptr);
    prctl(PR_SET_TIMERSLACK, 1); // ns, of this thread: else a nap takes 50 us more
    sigevent event = {};
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = kSignal;
    event._sigev_un._tid = pid_t(syscall(SYS_gettid));
    armed_ = timer_create(CLOCK_MONOTONIC, &event, &timer) == 0;
    if (armed_) pause_later();
}

Interrupted::~Interrupted() {
    if (armed_) timer_delete(timer);
}

uint64_t Interrupted::pauses() {
    return stopped.load(std::memory_order_relaxed);
}

} // namespace allocmark::audit

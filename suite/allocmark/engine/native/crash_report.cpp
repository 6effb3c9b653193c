// SPDX-License-Identifier: BSD-3-Clause
/** When this process crashes: writes down which function of the backend it was in. */
#include <signal.h>
#include <unistd.h>
#include <unwind.h>

#include <cstring>
#include <initializer_list>

#include "doing.hpp"
#include "engine.h"

namespace allocmark {

thread_local const char *Doing::now = nullptr;
thread_local const allocmark_backend *Doing::backend = nullptr;

namespace {

pid_t self;
int report;

/** In the measured loop: the function of the table that is on the stack. A tail call takes it off. */
_Unwind_Reason_Code look(_Unwind_Context *frame, void *) {
    const auto function = _Unwind_GetRegionStart(frame);
    if (function == reinterpret_cast<uintptr_t>(Doing::backend->get_bulk)) Doing::now = "get_bulk";
    if (function == reinterpret_cast<uintptr_t>(Doing::backend->put_bulk)) Doing::now = "put_bulk";
    const auto put_all = reinterpret_cast<uintptr_t>(Doing::backend->put_all); // 0: there is none
    if (put_all && function == put_all) Doing::now = "put_all";
    return Doing::now ? _URC_END_OF_STACK : _URC_NO_REASON;
}

// The process is lost: that some of this is not safe in a handler costs the report at worst. A second fault
// ends it.
void crashed(int signal) {
    if (getpid() == self) { // and no fork of it
        if (!Doing::now && Doing::backend) {
            _Unwind_Backtrace(look, nullptr);
            if (!Doing::now) Doing::now = "get_bulk, put_bulk or a touch of an object";
        }
        char line[128] = "{\"crashed_in\": \"";
        if (Doing::now) {
            std::strcat(std::strcat(line, Doing::now), "\"}\n");
            [[maybe_unused]] const ssize_t written = write(report, line, std::strlen(line));
        }
    }
    raise(signal); // as soon as this returns: the handler is off
}

} // namespace

} // namespace allocmark

void am_report_crashes(int32_t descriptor) {
    using namespace allocmark;
    self = getpid();
    report = descriptor;
    for (const int signal : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT}) {
        struct sigaction action{};
        sigaction(signal, nullptr, &action);
        if (action.sa_handler != SIG_DFL) continue; // a sanitizer's is better
        action.sa_handler = crashed;
        action.sa_flags = int(SA_RESETHAND);
        sigaction(signal, &action, nullptr);
    }
}

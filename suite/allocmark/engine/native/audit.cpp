// SPDX-License-Identifier: BSD-3-Clause
#include "audit.h"

#include <allocmark/say.h>

#include <cstring>

#include "audited.hpp"

using namespace allocmark::audit;

extern "C" am_verdict am_audit_run(const am_audit *audit, uint64_t *calls, allocmark_error *found) {
    static constexpr struct {
        const char *name;
        void (*check)(Subject &);
    } kChecks[] = {{"counting", counting},     {"threads", threads},       {"regions", regions},
                   {"destroying", destroying}, {"contention", contention}, {"one_way", one_way},
                   {"sizes", sizes},           {"at_once", at_once}};
    // Never freed: after a fault, threads that are left behind may still use it.
    Subject *subject = nullptr;
    am_verdict verdict = AM_SOUND;
    try {
        subject = new Subject(*audit);
        for (const auto &each : kChecks)
            if (std::strcmp(each.name, audit->check) == 0) each.check(*subject);
    } catch (const NotServed &reason) {
        allocmark_say(found, "%s", reason.what());
        verdict = AM_NOT_SERVED;
    } catch (const std::exception &problem) {
        allocmark_say(found, "%s", problem.what());
        verdict = AM_FAULT;
    }
    *calls = subject ? subject->calls.load() : 0;
    if (subject) subject->finish();
    return verdict;
}

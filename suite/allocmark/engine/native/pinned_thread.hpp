// SPDX-License-Identifier: BSD-3-Clause
/** A thread that is on one CPU from its first instruction on. */
#pragma once

#include <pthread.h>
#include <sched.h>

#include <cstdint>

namespace allocmark {

/** Starts `run(argument)` on a CPU below CPU_SETSIZE. 0, or the error's number: the CPU may not be used. */
inline int start_on(int32_t cpu, pthread_t *thread, void *(*run)(void *), void *argument) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setaffinity_np(&attributes, sizeof set, &set);
    const int code = pthread_create(thread, &attributes, run, argument);
    pthread_attr_destroy(&attributes);
    return code;
}

} // namespace allocmark

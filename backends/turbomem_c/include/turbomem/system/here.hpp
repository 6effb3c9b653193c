// SPDX-License-Identifier: BSD-3-Clause
/// Objects that each shared object has one of.
#pragma once

#include <pthread.h>

namespace turbomem::detail {

/// The T of the shared object whose code asks for it, made when it is first asked for. It goes when that
/// shared object is unloaded, and stays for good if it is not idle() then: others may still refer to it.
///
/// A pool that asks while it is made ends before its T, also one of static storage duration.
template <class T> T &here() {
    static constinit T *made = nullptr;
    struct keeper {
        keeper() { made = new T; }
        ~keeper() {
            if (made->idle()) delete made;
            made = nullptr;
        }
    };
    static const keeper keep;
    if (made == nullptr) made = new T; // asked for by the very last destructors
    return *made;
}

/// To be called once, by what `It` makes and returns: its mutex `lock` is held over forks, so that a child
/// finds it free, and what it guards whole. Without memory for the handlers a child may find it locked for
/// ever.
template <auto It> void hold_lock_over_fork() noexcept {
    ::pthread_atfork([] { It().lock.lock(); }, [] { It().lock.unlock(); }, [] { It().lock.unlock(); });
}

} // namespace turbomem::detail

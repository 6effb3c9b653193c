// SPDX-License-Identifier: BSD-3-Clause
/// Objects that each shared object has one of.
#pragma once

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

} // namespace turbomem::detail

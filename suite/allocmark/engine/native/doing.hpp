// SPDX-License-Identifier: BSD-3-Clause
/** What a thread is doing, for the report of a crash. Set around calls of the backend, but not in the
 * measured loop. */
#pragma once

#include "allocmark/backend.h"

namespace allocmark {

class Doing {
  public:
    /** One call of the backend, by the name of its function. */
    explicit Doing(const char *call) : before_(now) { now = call; }
    ~Doing() { now = before_; }
    Doing(const Doing &) = delete;

    static constinit thread_local const char *now; // nullptr: nothing that is known
    static constinit thread_local const allocmark_backend
        *backend; // of an actor's thread: it runs tapes where `now` is nullptr

  private:
    const char *const before_;
};

} // namespace allocmark

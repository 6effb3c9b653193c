// SPDX-License-Identifier: BSD-3-Clause
/** A thread that is stopped again and again, wherever it is, while others go on: a backend must bear that. */
#pragma once

#include <cstdint>
#include <span>

#include "stall_watch.hpp"

namespace allocmark::audit {

/** While it exists, the calling thread is. Where that is not possible, nothing happens. */
class Interrupted {
  public:
    /** `all` are the threads that call the backend, this one too. */
    explicit Interrupted(std::span<const Pulse> all);
    ~Interrupted();
    Interrupted(const Interrupted &) = delete;

    /** How often threads of this process were stopped. */
    static uint64_t pauses();

  private:
    bool armed_;
};

} // namespace allocmark::audit

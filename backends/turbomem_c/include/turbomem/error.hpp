// SPDX-License-Identifier: BSD-3-Clause
/// What the library throws. For all layers.
#pragma once

#include <cerrno>
#include <stdexcept>
#include <string>

namespace turbomem {

static_assert(sizeof(void *) == 8, "TurboMem is for 64-bit systems");

/// What creating or entering a pool throws: one line for a person, and a positive errno value.
class error : public std::runtime_error {
  public:
    error(int code, const std::string &what) : std::runtime_error(what), code_(code) {}

    int code() const noexcept { return code_; }

  private:
    int code_;
};

/// A specification that no machine could serve (EINVAL).
class invalid_options : public error {
  public:
    explicit invalid_options(const std::string &what) : error(EINVAL, what) {}
};

/// More memory than this machine gives (ENOMEM).
class out_of_memory : public error {
  public:
    explicit out_of_memory(const std::string &what) : error(ENOMEM, what) {}
};

/// Pages or a node that were required and cannot be had; the errno value says why. What degrades silently
/// elsewhere fails here.
class unmet_requirement : public error {
  public:
    using error::error;
};

/// A slot that does not exist (EINVAL) or that another thread is using (EBUSY).
class invalid_slot : public error {
  public:
    using error::error;
};

} // namespace turbomem

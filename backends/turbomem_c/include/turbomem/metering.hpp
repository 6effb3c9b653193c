// SPDX-License-Identifier: BSD-3-Clause
/// Metering policies: whether every call is counted. What slow paths do is counted always, see
/// pool_statistics.
#pragma once

#include "turbomem/policies.hpp"

namespace turbomem::metering {

/// A call that the cache serves leaves no trace. The default.
struct none {
    using family = policy::metering;
    static constexpr bool enabled = false;
};

/// Calls and objects are counted, so that pool_statistics has the cache's hits and the average burst. A call
/// that the cache serves does two additions more, to numbers that its thread alone writes; with
/// threads::per_cpu and without a cache they are atomic.
struct calls {
    using family = policy::metering;
    static constexpr bool enabled = true;
};

} // namespace turbomem::metering

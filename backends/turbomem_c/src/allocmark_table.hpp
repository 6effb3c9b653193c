// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// The address of the `allocmark_backend` of that kind, which lives as long as the process: "plain",
/// "checked", "per_thread" or "per_cpu"; else null.
extern "C" const void *allocmark_turbomem_table(const char *kind);

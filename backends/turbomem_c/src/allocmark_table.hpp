// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// The address of the `allocmark_backend` of this library; it lives as long as the process.
extern "C" const void *allocmark_turbomem_table(void);

// SPDX-License-Identifier: BSD-3-Clause
/// Points at which a test may interrupt a thread; nothing unless the including program defines it.
#pragma once

#ifndef TURBOMEM_POINT
#define TURBOMEM_POINT(name) static_cast<void>(0)
#endif

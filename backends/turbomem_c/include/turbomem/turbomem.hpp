// SPDX-License-Identifier: BSD-3-Clause
/// All of TurboMem for C++: pools of fixed-size objects that threads share without a lock. Begin with
/// pool.hpp (the pool and its handles), policies.hpp (what can be chosen), size_classes.hpp, allocator.hpp.
///
/// For 64-bit Linux, C++20 with exceptions, gcc 12 and clang 14 or later. Each header may be included alone.
/// What is in a namespace `detail` may change at any time. In all headers:
///
/// - Sizes and everything called `bytes` are bytes. Counts are objects unless another thing is named.
/// - A slot is the right to one cache.
/// - A bulk of n is all or none: a get that fails has taken nothing, and what is in its array is then
///   undefined. n = 0 always works. Functions called `…_up_to` take what there is and say how much.
/// - Wait-free: done within a bounded number of the thread's own steps. Lock-free: may repeat a step, but
///   only because another thread's succeeded. Neither waits for another thread, not even for a dead one.
/// - What is exact at rest is exact while no thread is in a call.
/// - Create and destroy an object of this library while no other thread uses it. A handle (`local`,
///   `session`, `cache`) is for one thread at a time. Anything else may be called by any thread at any time.
/// - Errors are exceptions derived from `error`, thrown by what creates, enters, or reads from the kernel.
///   Gets and puts throw nothing, except those of checked pools, which throw `misuse`.
///
/// Probes for tracers, provider turbomem: pool_create (name, objects), pool_destroy (name, objects); and,
/// with the depot's address and a number of objects, refill (a get goes to the depot), flush (a magazine goes
/// there), exhausted (a get fails), guest_call.
///
/// Macros: define TURBOMEM_NO_PROBES to do without probes, TURBOMEM_NO_VALGRIND to do without Valgrind's
/// headers where they are installed, and TURBOMEM_POINT(name) in tests that interrupt threads. The library
/// sets TURBOMEM_ASAN, TURBOMEM_TSAN, TURBOMEM_VALGRIND and TURBOMEM_RSEQ to say what it found.
#pragma once

#include "turbomem/allocator.hpp"
#include "turbomem/checking.hpp"
#include "turbomem/error.hpp"
#include "turbomem/hardened.hpp"
#include "turbomem/metering.hpp"
#include "turbomem/name.hpp"
#include "turbomem/numa.hpp"
#include "turbomem/operations.hpp"
#include "turbomem/options.hpp"
#include "turbomem/per_cpu.hpp"
#include "turbomem/per_thread.hpp"
#include "turbomem/policies.hpp"
#include "turbomem/pool.hpp"
#include "turbomem/size_classes.hpp"
#include "turbomem/slots.hpp"

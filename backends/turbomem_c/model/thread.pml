/* SPDX-License-Identifier: BSD-3-Clause */
/* What the models share: a thread, and the points at which it may die.
 *
 * POINT(name) stands where the code has TURBOMEM_POINT(name); models of parts without such points use it
 * likewise. With -DKILL a thread may stop there for ever, and the others must still end. */

bool killed; /* some thread stopped: what it had in its hands is gone */

#ifdef KILL
#define POINT(name) if :: skip :: atomic { killed = true; goto stopped } fi
#else
#define POINT(name) skip
#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * The tape: what one actor does, as flat instructions. Python writes it (workload/tape/compile.py), the
 * interpreter runs it. Everything random was drawn when it was written.
 *
 * Each actor keeps, for every pool it uses, the objects it holds in a ring ordered by age: `get` and
 * `receive` append at the young end. An actor at a queue that carries objects of several pools keeps all in
 * one ring instead, the mixed one, whose number follows that of the last pool. There and in such queues the
 * pool stands in the address: see tagged.hpp.
 */
#ifndef ALLOCMARK_TAPE_H
#define ALLOCMARK_TAPE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum am_op {
    AM_GET,        /* take n from pool `target`, `arg` times over */
    AM_GET_READ,   /* the same, and read the first `aux` bytes of each right after each bulk */
    AM_GET_WRITE,  /* the same, written */
    AM_READ,       /* read the first `arg` bytes of the youngest n of pool `target` */
    AM_WRITE,      /* the same, written */
    AM_PUT_OLDEST, /* give the oldest n of pool `target` back, `arg` times over */
    AM_PUT_NEWEST, /* the same, the youngest n */
    AM_PUT_RANDOM, /* give n back; index[arg+i] is the place of the i-th, counted from the oldest left */
    AM_SEND,       /* the oldest n of pool `aux` go to queue `target`; waits for room for all n */
    AM_RECEIVE,    /* n objects of pool `aux` come from queue `target`; waits for all n */
    AM_IDLE,       /* spin for `n` ns, which are taken off the actor's time */
    AM_LOOP,       /* run up to the matching AM_END `arg` times; nests AM_LOOP_DEPTH deep */
    AM_END,        /* end of a loop's body; `arg` is the index of its first instruction */
    AM_HALT,       /* end of the tape */

    AM_GET_SIZED, /* take n from pool `target`, asking for `arg` bytes of each; `aux` 1: all zeros */
    AM_TOUCH_AT,  /* touch `arg` bytes of the n-th youngest of ring `target`; `aux` 1: write, 0: read */
    AM_RESIZE,    /* n of pool `target` become objects of pool `aux`; `arg` 1: the youngest, 0: the oldest */

    /* On the mixed ring, which has objects of several pools: */
    AM_MIXED_GET,        /* take n from pool `target`; `arg` and `aux` as in AM_GET_SIZED; `arg` 0: plain */
    AM_MIXED_READ,       /* read the first `arg` bytes of the youngest n; UINT32_MAX: as many as each has */
    AM_MIXED_WRITE,      /* the same, written */
    AM_MIXED_PUT_OLDEST, /* give n back, each to its pool, `arg` times over */
    AM_MIXED_PUT_NEWEST, /* the same, the youngest n */
    AM_MIXED_PUT_RANDOM, /* as AM_PUT_RANDOM */
    AM_MIXED_SEND,       /* the oldest n go to queue `target`; waits for room for all n */
    AM_MIXED_RECEIVE,    /* n come from queue `target`; waits for all n */

    AM_PUT_ALL, /* all n that are held of pool `target`, at once where the backend can */
    AM_OPS
} am_op;

enum { AM_LOOP_DEPTH = 8 };

/** 16 bytes: four to a cache line. */
typedef struct am_insn {
    uint16_t op;     /* am_op */
    uint16_t target; /* pool or queue */
    uint32_t n;      /* objects, or ns */
    uint32_t arg;    /* see am_op */
    uint16_t aux;    /* see am_op */
    uint16_t step;   /* which step of the workload this is, for messages */
} am_insn;

#ifdef __cplusplus
}
#endif

#endif

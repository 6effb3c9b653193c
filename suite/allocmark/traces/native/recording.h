/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * A recording: what the preloaded recorder writes down of one process, before it is made into a trace.
 *
 * A page with an `am_recording` comes first, then chunks. Each belongs to one thread: an `am_recorded_chunk`,
 * then records of 16 bytes up to the first whose second word is 0.
 *
 * The process writes into a file in shared memory, so whatever ends it leaves what was written. The command
 * that records drains full chunks into a file on the disk, which has the same form, and hands them back:
 * fresh pages would cost more than everything else.
 */
#ifndef ALLOCMARK_RECORDING_H
#define ALLOCMARK_RECORDING_H

#include <stdint.h>

#define AM_RECORDING_MAGIC 0x31444345524d41ull /* "AMRECD1" */
#define AM_CHUNK_MAGIC 0x4b4e4843u             /* "CHNK" */

/** A link in the folder of the recordings: nothing more is to be recorded. It leads to the errno of why. */
#define AM_STOP ".stop"

enum {
    AM_RECORDING_PAGE = 4096,
    AM_RECORDING_VERSION = 1,
    AM_COMMAND_BYTES = 3072,
    AM_LARGEST_STEP = 6,      /* of a thread's chunks, each twice as long as the one before: 256 KiB */
    AM_MOST_UNREAD = 1 << 30, /* bytes of a file that nobody drains: then the recording stops */
};

/** What a record says. One that returns an object is taken after the call, one that gives it up before. */
typedef enum am_record_kind {
    AM_R_MALLOC = 1,
    AM_R_CALLOC,
    AM_R_ALIGNED,   /* behind AM_R_ALIGNMENT */
    AM_R_FREE,      /* of an address */
    AM_R_LEAVE,     /* realloc was called for an address */
    AM_R_ARRIVE,    /* and returned this one; 0 with size 0: it freed; 0 else: it failed */
    AM_R_ALIGNMENT, /* the first word is the alignment of the next record */
    AM_R_TIME,      /* the first word is the clock: more passed than a record holds */
} am_record_kind;

/**
 * Two words. `where`: address in 48 bits, above it the size's low 16. `what`: kind in 4 bits, ticks since
 * the record before in 28, the size's next 32 bits. `what` is written last.
 */
typedef struct am_record {
    uint64_t where, what;
} am_record;

typedef struct am_recording {
    uint64_t magic;
    uint32_t version, pid, parent, command_bytes;
    uint64_t ticks, ns;             /* the clock of records, and CLOCK_MONOTONIC at the same moment */
    uint64_t started;               /* CLOCK_REALTIME, ns */
    int32_t stopped;                /* errno of what ended the recording early, or 0 */
    uint32_t inherited;             /* 1: begun by a fork, with objects of the parent */
    char command[AM_COMMAND_BYTES]; /* arguments, each with its NUL */
} am_recording;

/** Whose turn it is. */
typedef enum am_chunk_state { AM_WRITING = 1, AM_FULL, AM_DRAINED } am_chunk_state;

typedef struct am_recorded_chunk {
    uint32_t magic, thread;   /* threads are counted from 0 */
    uint32_t bytes, number;   /* of the whole chunk; counted in the thread */
    uint64_t ticks, ns;       /* at its beginning: the first record counts from there */
    uint32_t state, ended;    /* am_chunk_state; 1: the thread has ended, and does not take it again */
    uint64_t next, unused[2]; /* the process's own */
} am_recorded_chunk;

#endif

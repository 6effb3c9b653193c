/* SPDX-License-Identifier: BSD-3-Clause */
/* depot.hpp and the slow calls of cache.hpp: THREADS threads, the last GUESTS of them without a cache, get and put
 * single objects through SHARDS shards, each with two sides of full magazines and a stack of empty ones, and the stack
 * of partly filled ones. Which side is pushed to, and which is looked at first, is any: that is only for speed.
 *
 * Magazines hold M = 2 objects, so those in one stack are alike and a stack is a number; that no magazine gets into
 * two hands is tagged_stack.pml's to show. What one stack does is one step; that of several is several.
 *
 *   conservation   no object and no magazine is lost or made
 *   pop_empty      with magazines_needed() it never fails; with fewer (-DMAGAZINES) it fails only if there was an
 *                  instant at which the depot had none, and the put goes on with loose objects
 *   get            fails only if there was an instant at which the depot had no object
 *   retire         at most THREADS magazines are partly filled
 *
 * Mutants: MAGAZINES=3 claimed to be enough (-DENOUGH), ONE_PASS, NO_TOP_UP, LOST_REST. */
#include "thread.pml"

#ifndef THREADS
#define THREADS 2
#endif
#ifndef GUESTS
#define GUESTS 0
#endif
#ifndef OPERATIONS
#define OPERATIONS 4
#endif
#define M 2
#define SHARDS 2
#define OBJECTS 4
#define SPARES_KEPT 2
#ifndef SPARES_MOVED
#define SPARES_MOVED 1
#endif
#ifndef MAGAZINES
#define MAGAZINES (OBJECTS / M + (5 + SPARES_KEPT) * THREADS) /* magazines_needed() */
#define ENOUGH
#endif
#define NONE 3 /* no magazine */

byte fulls[2 * SHARDS], empties[SHARDS];
byte fresh; /* magazines that were never used */
byte partial = 0, loose = 0;
byte out = 0;   /* objects with threads, not counting magazines in hand */
byte ended = 0;
bool stocked = false;

/* Per thread. The stacks that changed since it read their tags, as bits; whether, since its call began, there was
 * an instant without an empty magazine or without an object. */
byte changed[THREADS];
bool no_empty[THREADS], no_object[THREADS];
#define EMPTY_OF(s) (1 << (s))
#define FULL_OF(s, side) (4 << (2 * (s) + (side)))
#define PARTIAL 64
#define LOOSE 128
#define FULLS (fulls[0] + fulls[1] + fulls[2] + fulls[3])

inline note(stack) { /* in the step that changed a stack */
    t = 0;
    do
    :: t < THREADS ->
        changed[t] = changed[t] | stack;
        no_empty[t] = no_empty[t] || empties[0] + empties[1] + fresh == 0;
        no_object[t] = no_object[t] || FULLS + partial + loose == 0;
        t++
    :: else -> break
    od;
    t = 0
}
inline begin() {
    d_step {
        no_empty[me] = (empties[0] + empties[1] + fresh == 0);
        no_object[me] = (FULLS + partial + loose == 0)
    }
}
/* depot::changes(), read one stack after the other: first to remember, then to compare. */
inline before(stack) { changed[me] = changed[me] & ~(stack) }
inline now(stack) { moved = moved || (changed[me] & (stack)) }

inline push_full(s) { if :: push_side(s, 0) :: push_side(s, 1) fi }
inline push_side(s, side) { d_step { fulls[2 * (s) + side]++; note(FULL_OF(s, side)) } }
inline push_empty(s, n) { d_step { empties[s] = empties[s] + n; note(EMPTY_OF(s)) } }
inline pop_full(s) {
    if
    :: pop_side(s, 0); if :: !got -> pop_side(s, 1) :: else fi
    :: pop_side(s, 1); if :: !got -> pop_side(s, 0) :: else fi
    fi
}
inline pop_side(s, side) {
    d_step {
        if
        :: fulls[2 * (s) + side] > 0 -> fulls[2 * (s) + side]--; got = true; source = s; note(FULL_OF(s, side))
        :: else -> got = false
        fi
    }
}
inline pop_empty_of(s) { /* up to SPARES_MOVED */
    d_step {
        got = empties[s] > 0;
        if
        :: empties[s] > SPARES_MOVED -> spares = SPARES_MOVED
        :: else -> spares = empties[s]
        fi;
        empties[s] = empties[s] - spares;
        if :: got -> note(EMPTY_OF(s)) :: else fi
    }
}

inline take_fresh() { /* up to SPARES_MOVED */
    d_step {
        got = fresh > 0;
        if
        :: fresh > SPARES_MOVED -> spares = SPARES_MOVED
        :: else -> spares = fresh
        fi;
        fresh = fresh - spares;
        if :: got -> note(0) :: else fi
    }
}

inline pop_empty() {
    POINT(pop_empty);
    pop_empty_of(own);
    if :: !got -> take_fresh() :: else fi;
    if :: !got -> pop_empty_of(own); if :: !got -> pop_empty_of(1 - own) :: else fi :: else fi;
#ifndef ONE_PASS
    moved = true;
    do
    :: !got && moved ->
        before(EMPTY_OF(0));
        before(EMPTY_OF(1));
        pop_empty_of(own);
        if :: !got -> pop_empty_of(1 - own) :: else fi;
        moved = false;
        now(EMPTY_OF(0));
        now(EMPTY_OF(1))
    :: else -> break
    od;
#endif
    assert(got || no_empty[me]);
#ifdef ENOUGH
    assert(got)
#endif
}

/* spares.hpp */
inline take() {
    if
    :: spares == 0 -> pop_empty()
    :: else -> got = true
    fi;
    if
    :: got -> spares--
    :: else
    fi
}
inline keep() {
    if
    :: spares == SPARES_KEPT -> push_empty(source, SPARES_MOVED); spares = spares - SPARES_MOVED
    :: else
    fi;
    spares++
}
inline give_back() {
    if
    :: spares != 0 -> push_empty(own, spares); spares = 0
    :: else
    fi
}

/* 1: a magazine was loaded, 2: a loose object was got, 0: neither. */
inline take_from_depot() {
    found = 0;
    POINT(take_from_depot);
    pop_full(own);
    if :: !got -> pop_full(1 - own) :: else fi;
    n = M;
    if
    :: !got ->
        d_step {
            if
            :: partial > 0 -> partial--; got = true; n = 1; source = own; note(PARTIAL)
            :: else
            fi
        }
    :: else
    fi;
    if
    :: got ->
        POINT(loaded);
        if
        :: loaded != NONE -> keep()
        :: else
        fi;
        d_step { loaded = n; found = 1; n = 0; source = 0 }
    :: else ->
        d_step { n = 0; if :: loose > 0 -> loose--; out++; found = 2; note(LOOSE) :: else fi }
    fi
}

inline get() {
    begin();
    if
    :: (loaded == NONE || loaded == 0) && previous == M -> d_step { previous = loaded; loaded = M; found = 1 }
    :: loaded != NONE && loaded != 0 -> found = 1
    :: else ->
        take_from_depot();
#ifndef ONE_PASS
        moved = true;
#endif
        do
        :: found == 0 && moved ->
            before(FULL_OF(0, 0)); before(FULL_OF(0, 1)); before(FULL_OF(1, 0)); before(FULL_OF(1, 1));
            before(PARTIAL); before(LOOSE);
            take_from_depot();
            moved = false;
            now(FULL_OF(0, 0)); now(FULL_OF(0, 1)); now(FULL_OF(1, 0)); now(FULL_OF(1, 1));
            now(PARTIAL); now(LOOSE)
        :: else -> break
        od;
        skip /* spin cannot break into a d_step */
    fi;
    d_step {
        assert(found || no_object[me]);
        if
        :: found == 1 -> loaded--; out++
        :: else
        fi;
        held = held + (found != 0)
    }
}

inline put() {
    begin();
    if
    :: loaded == NONE || loaded == M -> /* make_room */
        if
        :: previous == 0 -> got = true
        :: else ->
            take();
            if
            :: got && previous == M -> push_full(own)
            :: else
            fi
        fi;
        if
        :: got -> d_step { previous = loaded; loaded = 0 }
        :: else
        fi
    :: else -> got = true
    fi;
    POINT(room);
    d_step {
        if
        :: got -> loaded++
        :: else -> loose++; note(LOOSE)
        fi;
        held--; out--
    }
}

/* Put a partly filled magazine away. */
inline retire() {
    got = false;
#ifndef NO_TOP_UP
    d_step { if :: partial > 0 -> partial--; got = true; note(PARTIAL) :: else fi };
#endif
    POINT(retire);
    if
    :: got ->
        push_full(own);
#ifndef LOST_REST
        push_empty(own, 1)
#endif
    :: else ->
        d_step { partial++; assert(partial <= THREADS); note(PARTIAL) }
    fi
}

inline unload() {
    if
    :: previous == M -> push_full(own)
    :: previous == 0 -> push_empty(own, 1)
    :: else
    fi;
    previous = NONE;
    if
    :: loaded == M -> push_full(own)
    :: loaded == 0 -> push_empty(own, 1)
    :: loaded == 1 -> retire()
    :: else
    fi;
    loaded = NONE;
    give_back()
}

active [THREADS] proctype thread() {
    byte me = _pid, own = _pid % SHARDS, source, loaded = NONE, previous = NONE;
    byte spares = 0, held = 0, left = OPERATIONS, n, t, found;
    bool got, moved;
    stocked;
    do
    :: left > 0 -> left--; get(); if :: me >= THREADS - GUESTS -> unload() :: else fi
    :: left > 0 && held > 0 -> left--; put(); if :: me >= THREADS - GUESTS -> unload() :: else fi
    :: left == 0 -> break
    od;
    unload();
    ended++;
stopped:
    skip
}

active proctype census() {
    d_step {
        fulls[0] = 1; fulls[2] = OBJECTS / M - 1;
        fresh = MAGAZINES - OBJECTS / M;
        stocked = true
    }
end:
    ended == THREADS;
    assert(FULLS + partial + fresh + empties[0] + empties[1] == MAGAZINES);
    assert(M * FULLS + partial + loose + out == OBJECTS)
}

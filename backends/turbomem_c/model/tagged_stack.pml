/* SPDX-License-Identifier: BSD-3-Clause */
/* tagged_stack.hpp: no node lost, none in two hands, no waiting.
 *
 * THREADS threads push and pop OPERATIONS times each, one node or two at once, in every order and interleaving,
 * holding up to HAND nodes meanwhile. TAGS is how many values the tag has: the code's 2^32 cannot wrap between a load and its
 * compare-and-swap in any run worth the name, so here it is larger than the changes that can happen.
 *
 * Accesses are sequentially consistent here; the orders that the code asks for are ThreadSanitizer's to check.
 *
 * Mutants: TAGS=1 is a stack without tag, TAGS=2 one whose tag wraps too soon; LOCKED one with a lock. */
#include "thread.pml"

#ifndef THREADS
#define THREADS 2
#endif
#ifndef OPERATIONS
#define OPERATIONS 4
#endif
#ifndef TAGS
#define TAGS 32
#endif
#define NODES 3
#define HAND 3

byte head_index = 0, head_tag = 0; /* one word of the code */
byte next[NODES + 1];              /* magazine::next */
byte holder[NODES + 1];            /* 0: in the stack; else 1 + the thread */
byte ended = 0;
bool stocked = false;
#ifdef LOCKED
bool locked = false;
#define LOCK do :: atomic { !locked -> locked = true; break } :: else od
#define UNLOCK locked = false
#else
#define LOCK skip
#define UNLOCK skip
#endif

/* head_.compare_exchange_*(seen, changed(seen, index)) */
inline exchange_head(index, done) {
    d_step {
        if
        :: head_index == seen_index && head_tag == seen_tag ->
            head_index = index;
            head_tag = (seen_tag + 1) % TAGS;
            done = true
        :: else ->
            seen_index = head_index;
            seen_tag = head_tag;
            done = false
        fi
    }
}

inline load_head() {
    POINT(look);
    d_step { seen_index = head_index; seen_tag = head_tag }
}

/* node goes below, second on top of it; 0: one node alone */
inline push(node, second) {
    LOCK;
    upper = node;
    if :: second != 0 -> next[second] = node; upper = second :: else fi;
    load_head();
    done = false;
    do
    :: !done ->
        next[node] = seen_index;
        POINT(push);
        atomic {
            exchange_head(upper, done);
            if
            :: done ->
                holder[node] = 0;
                held--;
                if :: second != 0 -> holder[second] = 0; held-- :: else fi
            :: else
            fi
        }
    :: else -> break
    od;
    UNLOCK
}

inline take(node) {
    assert(holder[node] == 0); /* else two have it */
    holder[node] = 1 + _pid;
    held++
}

inline pop(two) {
    LOCK;
    load_head();
    done = false;
    do
    :: !done && seen_index != 0 ->
        node = seen_index;
        second = 0;
        below = next[node];
        if
        :: two && below != 0 -> second = below; below = next[second]
        :: else
        fi;
        POINT(pop);
        atomic {
            exchange_head(below, done);
            if
            :: done ->
                take(node);
                if :: second != 0 -> take(second) :: else fi
            :: else
            fi
        }
    :: else -> break
    od;
    UNLOCK
}

active [THREADS] proctype thread() {
    byte seen_index, seen_tag, node, second, upper, below, held = 0, left = OPERATIONS;
    bool done;
    stocked;
    do
    :: left > 0 && held < HAND -> left--; pop(false)
    :: left > 0 && held + 1 < HAND -> left--; pop(true)
    :: left > 0 && held > 0 ->
        left--;
        if
        :: holder[1] == 1 + _pid -> node = 1
        :: holder[2] == 1 + _pid -> node = 2
        :: holder[3] == 1 + _pid -> node = 3
        fi;
        second = 0;
        if
        :: node != 1 && holder[1] == 1 + _pid -> second = 1
        :: node != 2 && holder[2] == 1 + _pid -> second = 2
        :: node != 3 && holder[3] == 1 + _pid -> second = 3
        :: true
        fi;
        push(node, second)
    :: left == 0 -> break
    od;
    ended++;
stopped:
    skip
}

/* At the end every node is in the stack or in one hand. */
active proctype census() {
    byte i, seen = 0;
    d_step { next[3] = 2; next[2] = 1; next[1] = 0; head_index = 3; stocked = true }
end:
    ended == THREADS;
    d_step {
        i = head_index;
        do
        :: i != 0 && seen <= NODES -> assert(holder[i] == 0); seen++; i = next[i]
        :: else -> break
        od;
        assert(seen <= NODES);
        i = 1;
        do
        :: i <= NODES -> seen = seen + (holder[i] != 0); i++
        :: else -> break
        od;
        assert(seen == NODES)
    }
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* claim.hpp and cache.hpp: an owner at work while THREADS - 1 reclaimers take what lies in its cache. Every
 * object is in one place at any time; nothing waits.
 *
 * The owner's plain stores go through a store buffer that drains when it likes: in order (x86), or, with
 * -DWEAK, in any order that keeps stores to one place and release stores behind what they release (Arm). The
 * owner's read-modify-writes drain it, with WEAK only those that release; so does the reclaimer's process
 * barrier. Loads happen in program order. What a stack of the depot does is one step: see tagged_stack.pml.
 *
 * Objects have names, 1 to OBJECTS; a slot keeps the name of what was last in it, as in the code.
 *
 * Mutants: NO_BARRIER, LOOK_FIRST, STAYS_OPEN, KEEPS_MAGAZINE, DONE_UNCHECKED, WAITS; NUMBERS=1 is a request
 * without a number of its own, which takes two reclaimers to go wrong. */
#include "thread.pml"

#ifndef THREADS
#define THREADS 2
#endif
#ifndef OPERATIONS
#define OPERATIONS 3 /* of the owner */
#endif
#ifndef ROUNDS
#define ROUNDS 1 /* of each reclaimer */
#endif
#ifndef NUMBERS
#define NUMBERS 8 /* larger than the requests there can be */
#endif
#define M 2 /* cache capacity: objects in a magazine */
#define OBJECTS 5
#define MAGAZINES 6
#define BUFFERED 3 /* stores on their way */

/* Memory that both sides look at: the slots of magazine m from (m - 1) * M, then the owner's fields. */
#define SLOT(m, i) (((m) - 1) * M + (i))
#define COUNT (MAGAZINES * M)
#define LOADED (COUNT + 1)
#define PREVIOUS (COUNT + 2)
#define PREVIOUS_COUNT (COUNT + 3)
#define CELLS (COUNT + 4)
#define CLOSED 255 /* closed_to_others: below every count */
byte cell[CELLS];

/* The owner's store buffer, oldest first. */
byte pending = 0;
byte where[BUFFERED], what[BUFFERED];
bool releases[BUFFERED];

/* claim::word_ */
#define GONE(w) ((w) & 3)
#define BEHIND 4
#define COPYING 8
#define DISTURBED 16
#define NUMBER 32
int word = 0;

/* The depot: full, partly filled and empty magazines; what each holds is `count`. */
byte count[MAGAZINES + 1];
mtype = { fulls, partials, empties, in_hand };
mtype place[MAGAZINES + 1];

/* Who has each object: 0 is the pool, else 1 + a thread. */
byte holder[OBJECTS + 1];
byte ended = 0;
bool stocked = false;

inline received(o) {
    assert(o != 0 && holder[o] == 0); /* else it is handed out twice */
    holder[o] = 1 + _pid
}
inline returned(o) {
    assert(holder[o] == 1 + _pid);
    holder[o] = 0
}

/* ---- memory ---- */

hidden byte k;
inline drain(i) { /* the i-th store reaches memory */
    cell[where[i]] = what[i];
    k = i;
    do
    :: k + 1 < pending -> where[k] = where[k + 1]; what[k] = what[k + 1]; releases[k] = releases[k + 1]; k++
    :: else -> break
    od;
    pending--;
    where[pending] = 0; what[pending] = 0; releases[pending] = false
}
inline drain_all() {
    do
    :: pending > 0 -> drain(0)
    :: else -> break
    od
}
inline store(to, value, release) {
    d_step {
        pending < BUFFERED ->
        where[pending] = to; what[pending] = value; releases[pending] = release; pending++
    }
}
/* The owner sees its own stores. */
inline load(from, into) {
    d_step {
        into = cell[from];
        k = 0;
        do
        :: k < pending -> if :: where[k] == from -> into = what[k] :: else fi; k++
        :: else -> break
        od
    }
}

active proctype store_buffer() {
end:
    do
    :: d_step { pending > 0 -> drain(0) }
#ifdef WEAK
    :: d_step { pending > 1 && !releases[1] && where[1] != where[0] -> drain(1) }
    :: d_step { pending > 2 && !releases[2] && where[2] != where[0] && where[2] != where[1] -> drain(2) }
#endif
    od
}
#ifdef WEAK
#define ACQUIRES skip
#else
#define ACQUIRES drain_all() /* any locked instruction drains the buffer */
#endif
#define RELEASES drain_all()

/* ---- the depot, as one step a stack ---- */

inline pop(kind, m) {
    m = 1;
    do
    :: m <= MAGAZINES && place[m] != kind -> m++
    :: else -> break
    od;
    if
    :: m > MAGAZINES -> m = 0
    :: else -> place[m] = in_hand
    fi
}
inline give(m, n) { /* depot::give; retire() without its topping up, which depot.pml has */
    assert(place[m] == in_hand);
    count[m] = n;
    if
    :: n == M -> place[m] = fulls
    :: n == 0 -> place[m] = empties
    :: else -> place[m] = partials
    fi
}

/* ---- the owner: cache.hpp ---- */

/* The owner's own fields, of which memory may still have older values. */
byte loaded = 1, previous = 2, previous_count = M, here = M;

inline set_loaded(m) { store(LOADED, m, false); loaded = m }
inline set_previous(m, n) {
    store(PREVIOUS, m, false);
    store(PREVIOUS_COUNT, n, false);
    previous = m;
    previous_count = n
}

inline settle() {
#ifdef WAITS
    do :: word & COPYING :: else -> break od;
#endif
    seen = word;
    do
    :: (seen & DISTURBED) && !(seen & COPYING) ->
        POINT(settle);
        d_step {
            ACQUIRES;
            if
            :: word == seen -> word = seen & ~(NUMBER - 1); done = true
            :: else -> seen = word; done = false
            fi
        }
        if :: done -> break :: else fi
    :: else -> break
    od
}
inline abandon() {
    seen = word;
    POINT(abandon);
    do
    :: d_step {
        RELEASES;
        if
        :: word == seen -> word = seen & ~(NUMBER - 1); done = true
        :: else -> seen = word; done = false
        fi
       }
       if :: done -> break :: else fi
    od
}

inline open() {
#ifndef STAYS_OPEN
    store(COUNT, CLOSED, false);
#endif
    POINT(open);
    settle();
    if
    :: seen & BEHIND -> set_previous(0, 0)
    :: else
    fi;
#ifndef KEEPS_MAGAZINE
    if
    :: seen & COPYING -> move_out()
    :: else ->
#endif
        gone = GONE(seen);
        if
        :: gone != 0 ->
            assert(gone <= here);
            here = here - gone;
            i = 0;
            do
            :: i < here -> load(SLOT(loaded, i + gone), o); store(SLOT(loaded, i), o, false); i++
            :: else -> break
            od
        :: else
        fi
#ifndef KEEPS_MAGAZINE
    fi
#endif
}

inline move_out() {
    gone = GONE(seen);
    assert(gone <= here);
    old = loaded;
    m = 0;
    if
    :: here > gone ->
        d_step { ACQUIRES; pop(empties, m) };
        assert(m != 0);
        i = gone;
        do
        :: i < here -> load(SLOT(old, i), o); store(SLOT(m, i - gone), o, false); i++
        :: else -> break
        od
    :: else
    fi;
    here = here - gone;
    set_previous(0, 0);
    set_loaded(m);
    abandon();
    if
    :: seen & COPYING
    :: else -> d_step { RELEASES; give(old, 0) }
    fi
}

inline close() {
    POINT(close);
    store(COUNT, here, true)
}

inline take_top() {
    here--;
    load(SLOT(loaded, here), o);
    d_step { received(o); held[held_n] = o; held_n++ }
}

/* A get of n, or of what there is. */
inline get() {
#ifdef LOOK_FIRST
    seen = word;
#endif
    here = here - n; /* may wrap: the sign is kept in `short_of` */
    short_of = here > M;
    store(COUNT, (short_of -> CLOSED : here), true);
    POINT(lowered);
#ifndef LOOK_FIRST
    seen = word;
#endif
    if
    :: !short_of && !(seen & DISTURBED) ->
        i = n;
        here = here + n;
        do
        :: i > 0 -> take_top(); i--
        :: else -> break
        od
    :: else ->
        here = here + n;
        open();
        wanted = n;
        do
        :: wanted > 0 && here > 0 -> take_top(); wanted--
        :: wanted > 0 && here == 0 && previous_count != 0 -> /* swap */
            m = previous;
            set_previous(loaded, 0);
            set_loaded(m);
            here = M
        :: wanted > 0 && here == 0 && previous_count == 0 ->
            d_step { ACQUIRES; pop(fulls, m); if :: m == 0 -> pop(partials, m) :: else fi }
            if
            :: m == 0 -> break
            :: else
            fi;
            if
            :: loaded != 0 -> d_step { RELEASES; give(loaded, 0) }
            :: else
            fi;
            here = count[m];
            set_loaded(m)
        :: wanted == 0 -> break
        od;
        close()
    fi
}

inline give_back() {
    d_step { held_n--; o = held[held_n]; held[held_n] = 0; returned(o) }
}

inline put() {
    if
    :: loaded != 0 && here < M ->
        give_back();
        store(SLOT(loaded, here), o, false);
        POINT(filled);
        here++;
        store(COUNT, here, true)
    :: else ->
        open();
        give_back();
        if
        :: loaded == 0 || here == M -> /* make_room */
            if
            :: previous != 0 && previous_count == 0 -> m = previous
            :: else -> d_step { ACQUIRES; pop(empties, m) }; assert(m != 0)
            fi;
            if
            :: previous_count != 0 -> d_step { RELEASES; give(previous, M) }
            :: else
            fi;
            set_previous(loaded, (loaded != 0 -> M : 0));
            set_loaded(m);
            here = 0
        :: else
        fi;
        store(SLOT(loaded, here), o, false);
        here++;
        close()
    fi
}

inline leave() {
    open();
    if
    :: previous != 0 -> d_step { RELEASES; give(previous, previous_count) }
    :: else
    fi;
    if
    :: loaded != 0 -> d_step { RELEASES; give(loaded, here) }
    :: else
    fi;
    set_loaded(0);
    set_previous(0, 0);
    here = 0;
    close()
}

#define OWNER 1 /* its _pid: the second process declared */
active proctype owner() {
    byte held[OBJECTS], held_n = 1, left = OPERATIONS, n, i, m, o, old, gone, wanted;
    int seen;
    bool done, short_of;
    assert(_pid == OWNER);
    stocked;
    held[0] = OBJECTS;
    do
    :: left > 0 -> left--; if :: n = 1 :: n = 2 fi; get()
    :: left > 0 && held_n > 0 -> left--; put()
    :: left == 1 -> left--; leave()
    :: left == 0 -> break
    od;
    ended++;
stopped:
    skip
}

/* ---- a reclaimer ---- */

inline request() {
    seen = word;
    do
    :: !(seen & DISTURBED) ->
        next = ((((seen / NUMBER) + 1) % NUMBERS) * NUMBER) | DISTURBED;
        POINT(request);
        d_step {
            if
            :: word == seen -> word = next; seen = next
            :: else -> seen = word
            fi
        }
    :: else -> break
    od
}

inline surrender() {
    top = cell[COUNT];
    gone = GONE(seen);
    l = cell[LOADED];
    p = ((seen & BEHIND) -> 0 : cell[PREVIOUS]);
    p_count = (p == 0 -> 0 : cell[PREVIOUS_COUNT]);
    if
    :: top == CLOSED || top < gone || top - gone + p_count == 0
    :: else ->
        POINT(take);
        d_step {
            mine = DISTURBED | COPYING | BEHIND | (seen & ~(NUMBER - 1)) | top;
            done = (word == seen);
            if :: done -> word = mine :: else fi
        }
        if
        :: done ->
            i = gone;
            do
            :: i < top -> o = cell[SLOT(l, i)]; cell[SLOT(to, here_r)] = o; here_r++; i++
            :: else -> break
            od;
            POINT(copied);
#ifdef DONE_UNCHECKED
            word = mine & ~COPYING;
#else
            d_step {
                done = (word == mine);
                if
                :: done -> word = mine & ~COPYING
                :: else -> give(l, 0)
                fi
            }
#endif
            if
            :: p != 0 -> d_step { give(p, p_count) }
            :: else
            fi
        :: else
        fi
    fi
}

active [THREADS - 1] proctype reclaimer() {
    byte rounds = ROUNDS, to = 0, here_r = 0, top, gone, l, p, p_count, i, o;
    int seen, next, mine;
    bool done;
    stocked;
    do
    :: rounds > 0 ->
        rounds--;
        request();
        if
        :: !(seen & COPYING) ->
#ifndef NO_BARRIER
            d_step { drain_all() };
#endif
            POINT(barrier);
            d_step { pop(empties, to) };
            assert(to != 0);
            surrender();
            d_step { /* get what was found, and put it all back */
                i = 0;
                do
                :: i < here_r -> o = cell[SLOT(to, i)]; received(o); i++
                :: else -> break
                od
            };
            d_step {
                i = 0;
                do
                :: i < here_r -> o = cell[SLOT(to, i)]; returned(o); i++
                :: else -> break
                od;
                give(to, here_r);
                to = 0; here_r = 0
            }
        :: else
        fi
    :: else -> break
    od;
    ended++;
stopped:
    skip
}

/* ---- before and after ---- */

active proctype census() {
    byte i, m, o, top, seen[OBJECTS + 1];
    d_step {
        cell[SLOT(1, 0)] = 1; cell[SLOT(1, 1)] = 2; cell[SLOT(2, 0)] = 3; cell[SLOT(2, 1)] = 4;
        cell[COUNT] = here; cell[LOADED] = loaded; cell[PREVIOUS] = previous; cell[PREVIOUS_COUNT] = previous_count;
        place[1] = in_hand; place[2] = in_hand;
        m = 3;
        do
        :: m <= MAGAZINES -> place[m] = empties; m++
        :: else -> break
        od;
        holder[OBJECTS] = 1 + OWNER;
        stocked = true
    }
end:
    d_step { ended == THREADS && pending == 0 -> skip }
    d_step {
        assert(!(word & COPYING) && cell[COUNT] == here && cell[LOADED] == loaded);
        /* Every object once: with a thread, in the depot, or in the cache and not gone. */
        o = 1;
        do
        :: o <= OBJECTS -> seen[o] = (holder[o] != 0); o++
        :: else -> break
        od;
        m = 1;
        do
        :: m <= MAGAZINES ->
            i = 0; top = 0;
            if
            :: place[m] != in_hand -> top = count[m]
            :: else ->
                if
                :: m == loaded -> i = GONE(word); top = here
                :: m == previous && !(word & BEHIND) -> top = previous_count
                :: else -> assert(false) /* a magazine is lost */
                fi
            fi;
            do
            :: i < top -> o = cell[SLOT(m, i)]; assert(o != 0); seen[o]++; i++
            :: else -> break
            od;
            m++
        :: else -> break
        od;
        o = 1;
        do
        :: o <= OBJECTS -> assert(seen[o] == 1); o++
        :: else -> break
        od
    }
}

# SPDX-License-Identifier: BSD-3-Clause
"""From a trace to a workload that does much the same, and how much: sizes, lifetimes, bulk, cross-thread frees."""

from __future__ import annotations

import bisect
import json
import math
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, islice

from allocmark.errors import UsageError, printable
from allocmark.traces.trace_file import FREE, REALLOC, Trace

MOST_EVENTS = 5_000_000  #: that are looked at, from the beginning
SHORT = 16  #: gets that a short-lived object lives at most
LARGEST = 1 << 20  #: bytes of an object of the workload: a pool reserves as much for each
MOST_SIZES = 48  #: that the workload draws from
MOST_POOLS = 8
TURNS = 16  #: gets of one iteration, in bulks
CROSSING = 0.02  #: share of frees by other threads from which the workload has a second actor
QUEUED = 64  #: objects on their way to it at most


@dataclass(frozen=True)
class Habits:
    """What a trace does. ``lifetimes`` are in objects got meanwhile, of those that were freed, ascending; ``held`` is
    how many objects live, in the mean. ``crossing``: the share of frees by another thread than the one that got."""

    sizes: Counter[int]
    lifetimes: Sequence[int]
    held: float
    bulk: int
    crossing: float
    events: int


@dataclass(frozen=True)
class Fit:
    """The workload's text, and by what it was judged: name, the trace's figure, the workload's."""

    text: str
    figures: Sequence[tuple[str, str, str]]


def habits(trace: Trace) -> Habits:
    """Counted over the trace's calls. UsageError when it frees nothing."""
    sizes: Counter[int] = Counter()
    born: dict[int, tuple[int, int]] = {}  # by slot: gets so far, and the thread
    lifetimes: list[int] = []
    runs: Counter[int] = Counter()  # gets in a row, weighted with their number
    row: dict[int, int] = {}
    gets = events = crossing = held = 0
    for event in islice(trace.calls(), MOST_EVENTS):
        events += 1
        held += len(born)
        if event.kind == REALLOC:
            continue
        if event.kind == FREE:
            at, thread = born.pop(event.slot)
            lifetimes.append(gets - at)
            crossing += thread != event.thread
            if length := row.pop(event.thread, 0):
                runs[length] += length
            continue
        gets += 1
        sizes[max(1, event.size)] += 1
        born[event.slot] = gets, event.thread
        row[event.thread] = row.get(event.thread, 0) + 1
    if not lifetimes:
        raise UsageError(f"{trace.path}: it frees nothing, and a workload needs objects that come back")
    return Habits(
        sizes=sizes,
        lifetimes=sorted(lifetimes),
        held=held / max(1, events),
        bulk=max(1, min(32, _weighted_median(runs))) if runs else 1,
        crossing=crossing / len(lifetimes),
        events=events,
    )


def fitted(trace: Trace, name: str) -> Fit:
    """A workload called ``name``, as `allocmark run` takes it."""
    own = habits(trace)
    small = Counter({size: n for size, n in own.sizes.items() if size <= LARGEST})
    if not small:
        raise UsageError(f"{trace.path}: all of its objects are larger than {LARGEST:,} bytes")
    choice = _representatives(small)
    short = bisect.bisect_right(own.lifetimes, SHORT) / len(own.lifetimes)
    crossing = max(1, round(TURNS * own.crossing)) if own.crossing >= CROSSING else 0
    quick = min(round(TURNS * short), TURNS - max(1, crossing))
    kept = TURNS - quick - crossing
    objects = max(own.bulk, round(own.held))
    share = (kept + crossing) / TURNS
    release = min(("random", "oldest"), key=lambda which: _distance(own, quick / TURNS, objects / share, which))
    text = _yaml(trace, name, own, choice, objects, (quick, kept, crossing), release)
    left_out = 1 - small.total() / own.sizes.total()
    figures = [
        ("sizes: largest distance of the distributions", "", f"{_sizes_apart(own.sizes, choice):.1%}"),
        ("  median", f"{_weighted_median(own.sizes):,}", f"{_weighted_median(choice):,}"),
        (f"  larger than {LARGEST >> 20} MiB, left out", f"{left_out:.2%}", "0.00%"),
        (
            "lifetimes: largest distance of the distributions",
            "",
            f"{_distance(own, quick / TURNS, objects / share, release):.1%}",
        ),
        (f"  at most {SHORT} gets", f"{short:.1%}", f"{quick / TURNS:.1%}"),
        ("objects held, in the mean", f"{own.held:,.0f}", f"{objects:,}"),
        ("gets in a row (bulk)", f"{own.bulk}", f"{own.bulk}"),
        ("freed by another thread", f"{own.crossing:.1%}", f"{crossing / TURNS:.1%}"),
        ("threads at once", f"{trace.most_threads}", "2" if crossing else "1"),
        ("times, resizing, zeroing and alignment", "not told", "none"),
    ]
    return Fit(text, figures)


def workload_name(file: str) -> str:
    """A name as workloads have it."""
    word = re.sub(r"[^a-z0-9]+", "_", file.lower()).strip("_")
    return word if word[:1].isalpha() else f"trace_{word}".rstrip("_")


def _weighted_median(counts: Counter[int]) -> int:
    half, seen = counts.total() / 2, 0
    for value, n in sorted(counts.items()):
        seen += n
        if seen >= half:
            return value
    return 0


def _representatives(sizes: Counter[int]) -> Counter[int]:
    """Sizes for all sizes: the usual ones themselves, the others put together with their neighbours."""
    if len(sizes) <= MOST_SIZES:
        return Counter(sizes)
    usual = {size for size, _ in sizes.most_common(MOST_SIZES // 2)}
    rest = sorted((size, n) for size, n in sizes.items() if size not in usual)
    step = sum(n for _, n in rest) / (MOST_SIZES // 2)
    found = Counter({size: sizes[size] for size in usual})
    group: Counter[int] = Counter()
    for size, n in rest:
        group[size] += n
        if group.total() >= step:
            found[_weighted_median(group)] += group.total()
            group = Counter()
    if group:
        found[_weighted_median(group)] += group.total()
    return found


def _sizes_apart(sizes: Counter[int], choice: Counter[int]) -> float:
    points = sorted({*sizes, *choice})
    shares = [accumulate([counts[p] / counts.total() for p in points]) for counts in (sizes, choice)]
    return max(abs(a - b) for a, b in zip(shares[0], shares[1], strict=True))


def _distance(own: Habits, quick: float, mean: float, release: str) -> float:
    """The largest distance between the lifetimes of the trace and of a workload whose quick objects live for a bulk."""
    most = 0.0
    for place, lived in enumerate(own.lifetimes):
        if place % max(1, len(own.lifetimes) // 2000) and place + 1 < len(own.lifetimes):
            continue
        share = bisect.bisect_right(own.lifetimes, lived) / len(own.lifetimes)
        later = 1 - math.exp(-(lived + 1) / mean) if release == "random" else float(lived >= mean)
        most = max(most, abs(share - (quick * min(1.0, (lived + 1) / own.bulk) + (1 - quick) * later)))
    return most


def _pools(choice: Counter[int]) -> dict[str, int]:
    """Pools by their object sizes: each serves about as many gets; the last one the largest."""
    step, seen = choice.total() / MOST_POOLS, 0
    sizes: list[int] = []
    for size, n in sorted(choice.items()):
        seen += n
        if seen >= step * (len(sizes) + 1):
            sizes.append(-(-size // 16) * 16)
    sizes.append(-(-max(choice) // 16) * 16)
    return {f"p{size}": size for size in sorted({*sizes[: MOST_POOLS - 1], sizes[-1]})}


def _yaml(
    trace: Trace,
    name: str,
    own: Habits,
    choice: Counter[int],
    objects: int,
    turns: tuple[int, int, int],
    release: str,
) -> str:
    quick, kept, crossing = turns
    file = printable(os.fsencode(trace.path.name).decode(errors="replace"))
    pools = _pools(choice)
    drawn: Counter[str] = Counter()
    for size, n in choice.items():
        drawn[next(pool for pool, holds in pools.items() if holds >= size)] += n
    # Random draws go beyond the mean.
    room = {
        pool: math.ceil(
            min(1.0, 1.5 * drawn[pool] / choice.total() + 0.02) * objects
            + 2 * TURNS * own.bulk
            + QUEUED * bool(crossing)
        )
        for pool in pools
    }
    smallest = min(choice.values())
    weights = ", ".join(f"{size}: {max(1, round(n / smallest))}" for size, n in sorted(choice.items()))
    get = f"get: {{from: [{', '.join(pools)}], n: {own.bulk}, size: sizes}}"
    lines = [
        "# SPDX-License-Identifier: BSD-3-Clause",
        "format: 1",
        f"name: {name}",
        f"summary: Fitted to the recorded program {_quoted(trace.about.process.command)}.",
        f"source: {json.dumps(f'{file}, {own.events} calls; made by `allocmark workloads from-trace`')}",
        "distributions:",
        f"  sizes: {{choice: {{{weights}}}}}",
        "pools:",
        *(f"  {pool}: {{object_size: {size}, objects: {room[pool]}, cache: 256}}" for pool, size in pools.items()),
    ]
    if crossing:
        lines += ["queues:", f"  crossing: {{capacity: {QUEUED}}}"]
    lines += ["actors:", "  gets:"]
    if quick:
        lines += [
            f"    - repeat:                # short-lived: {quick} of {TURNS}",
            f"        times: {quick}",
            "        steps:",
            f"          - {get}",
            "          - touch: {bytes: 8, how: write}",
            f"          - put: {{which: newest, n: {own.bulk}}}",
        ]
    if kept:
        lines += [
            f"    - repeat:                # held: {kept} of {TURNS}",
            f"        times: {kept}",
            "        steps:",
            f"          - {get}",
            "          - touch: {bytes: 8, how: write}",
            f"          - hold: {{objects: {objects}, release: {release}}}",
        ]
    if crossing:
        lines += [
            f"    - repeat:                # freed by another thread: {crossing} of {TURNS}",
            f"        times: {crossing}",
            "        steps:",
            f"          - {get}",
            "          - touch: {bytes: 8, how: write}",
            f"          - send: {{to: crossing, n: {own.bulk}}}",
            "  frees:",
            "    - receive: {from: crossing}",
            "    - put: all",
        ]
    return "\n".join(lines) + "\n"


def _quoted(command: Sequence[str]) -> str:
    word = re.sub(r"[^\w./-]", "", command[0].rsplit("/", 1)[-1]) if command else ""
    return word or "of no name"

# SPDX-License-Identifier: BSD-3-Clause
"""The overview: who is cheapest where, how often, and at what price; no score is made of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from allocmark.output.html.page_tables import Column, Datum, Table, text, unbroken
from allocmark.output.html.view import CaseView, Standing, View
from allocmark.output.text.figures import counted, figure, plain
from allocmark.stats import Estimate

Link = Callable[[str, str], str]  # (kind, name) → address

_TIMES = "\N{MULTIPLICATION SIGN}"
_MOST_NAMES = 3  # more would make the row taller than all it says
_HEAT = (1.02, 1.1, 1.5, 2.0, 5.0, 20.0)  # ratios to the cheapest at which the shade of an entry changes


def facts(view: View) -> list[tuple[str, str]]:
    """Which run this is, on what machine, how measured: names and texts."""
    header = view.run.header
    environment = header.environment
    machine = environment.get("machine")
    machine = machine if isinstance(machine, dict) else {}
    settings = header.settings
    cells = [cell for _, cell in view.cells]
    used, marked = sum(cell.used for cell in cells), sum(cell.disturbed for cell in cells)
    numa = machine.get("numa_nodes")
    parts = [
        ("{} cores", machine.get("cores")),
        (f"{{}} NUMA node{'' if numa == 1 else 's'}", numa),
        ("{} GiB", machine.get("memory_gib")),
        ("under {}", machine.get("hypervisor")),
    ]
    samples = ""
    if settings.get("blocks") and settings.get("sample_ms"):
        samples = f"{settings['blocks']} blocks of {settings['sample_ms']:g} ms a cell"
    found = [
        ("Machine", plain(", ".join([str(machine.get("cpu", "not known")), *_formatted(parts)]))),
        ("System", plain(", ".join(str(environment[k]) for k in ("os", "kernel") if environment.get(k)))),
        ("Backends", ", ".join(f"{plain(b.name)} {plain(b.version)}".strip() for b in view.backends)),
        ("Samples", samples),
        ("Disturbed", f"{marked:,} of {used:,} samples, used all the same" if marked else "no sample"),
        ("Measured", plain(header.created.replace("T", " ").replace("+00:00", " UTC"))),
        ("Run", plain(f"{header.id}, seed {header.seed}")),
    ]
    return [(name, said) for name, said in found if said]


def _formatted(parts: list[tuple[str, Any]]) -> Iterator[str]:
    return (form.format(value) for form, value in parts if value is not None)


def state(view: View) -> str:
    """A line when the run is not whole; nothing otherwise."""
    planned, done = len(view.run.header.plan), len(view.run.cases)
    if view.run.torn is not None:
        return f"The run file is cut off at line {view.run.torn}: {done} of {counted(planned, 'case')} are shown."
    if done < planned:
        return f"The run is not complete: {done} of {counted(planned, 'case')} were measured."
    return ""


def winners(view: View, link: Link) -> Table:
    """A row a cell of a workload, a column a backend variant: how many times the cheapest each one costs."""
    rivals = view.rivals
    return Table.of(
        "Cost in multiples of the cheapest",
        (
            Column("workload"),
            Column("parameters"),
            Column("cheapest", False, "who is not dearer than the cheapest for certain, by 99 % intervals"),
            *(Column(view.name(label), True, "times the cheapest; below it net of the floor") for label in rivals),
        ),
        [
            [
                text(plain(case.workload), href=link("workload", case.workload)),
                unbroken(case.title),
                _cheapest(view, case.standing),
                *(_multiple(case, label) for label in rivals),
            ]
            for case in view.cases
        ],
    )


def _cheapest(view: View, found: Standing) -> Datum:
    names = ", ".join(view.name(label) for label in found.level)
    if len(found.level) > _MOST_NAMES:
        names = f"{len(found.level)} of them, underlined"
    if found.word == "none":
        return Datum("no figures", tone="muted")
    if found.word in ("cheapest", "alone"):
        return Datum(names, tone="cheaper" if found.word == "cheapest" else "muted")
    return Datum(found.word, tone="same" if found.word == "same" else "unsure", note=names)


def _multiple(case: CaseView, label: str) -> Datum:
    cell = case.cell(label)
    if cell is None:
        return Datum("not asked", tone="muted")
    if not cell.values:
        return Datum(cell.cell.status if cell.cell.status != "ok" else "no figure", tone="bad")
    ratio, net = case.standing.ratios.get(label), case.standing.net_ratios.get(label)
    if ratio is None:
        return Datum("no pairs", tone="muted")
    # Only what is dearer for certain is shaded.
    tone = "first" if label in case.standing.level else f"heat{sum(ratio.value > limit for limit in _HEAT)}"
    note = "" if net is None or label == case.standing.best else f"net {figure(net)}"
    return Datum(f"{figure(ratio)}{_TIMES}", ratio.value, tone=tone, note=note)


@dataclass(frozen=True)
class Count:
    """How a backend variant stands over the cells it was measured in."""

    label: str
    alone: int
    shared: int
    unsure: int
    dearer: int
    missing: int
    worst: tuple[Estimate, CaseView] | None


def counts(view: View) -> list[Count]:
    """One for each backend variant that was measured."""
    found = []
    for label in view.rivals:
        said = [case.standing for case in view.cases if label in case.standing.ratios]
        leads = [s for s in said if label in s.level]
        ratios = [(r, g) for g in view.cases if (r := g.standing.ratios.get(label)) and label not in g.standing.level]
        found.append(
            Count(
                label,
                alone=sum(s.word == "cheapest" for s in leads),
                shared=sum(s.word == "same" for s in leads),
                unsure=sum(s.word == "cannot tell" for s in leads),
                dearer=len(said) - len(leads),
                missing=len(view.cases) - len(said),
                worst=max(ratios, key=lambda pair: pair[0].value, default=None),
            )
        )
    return found


def tally(view: View, link: Link) -> Table:
    """How often each backend is cheapest, and where it does worst."""
    return Table.of(
        "How often, and where it does worst",
        (
            Column("backend"),
            Column("cheapest", True, "cells in which it is cheaper than every other, for certain"),
            Column("same as the cheapest", True),
            Column("cannot tell", True, "cells in which it may be the cheapest"),
            Column("dearer", True, "cells in which another is cheaper for certain"),
            Column("without figures", True),
            Column("at worst", True, "times the cheapest"),
            Column("where"),
        ),
        [
            [
                unbroken(view.name(c.label), href=link("backend", c.label.partition(":")[0])),
                *(Datum(str(n), n, tone="" if n else "muted") for n in (c.alone, c.shared, c.unsure, c.dearer)),
                Datum(str(c.missing) if c.missing else "", c.missing),
                Datum(f"{figure(c.worst[0])}{_TIMES}", c.worst[0].value) if c.worst else Datum(),
                text(c.worst[1].place if c.worst else ""),
            ]
            for c in counts(view)
        ],
    )


@dataclass(frozen=True)
class MissingCell:
    """A backend variant that gave no figures, why, in how many cells, and the command that would change it."""

    name: str
    status: str
    reason: str
    fix: str
    cells: str


def missing(view: View) -> list[MissingCell]:
    """What was asked for and has no figures, each reason once."""
    found: dict[tuple[str, str, str, str], int] = {}
    for _, cell in view.cells:
        raw = cell.cell
        if raw.status != "ok":
            why = plain(raw.reason or "no reason given")
            key = (view.name(raw.label), raw.status, why, plain(raw.fix or ""))
            found[key] = found.get(key, 0) + 1
    left_out = view.run.header.settings.get("left_out")
    texts = left_out if isinstance(left_out, list) else []
    return [MissingCell(*key, counted(times, "cell")) for key, times in found.items()] + [
        MissingCell("left out", "", plain(str(text)), "", "") for text in texts
    ]


def headline(view: View) -> str:
    """What was measured, in one line."""
    variants, backends = len(view.rivals), len({label.partition(":")[0] for label in view.rivals})
    who = counted(backends, "backend")
    if variants > backends:
        who = f"{variants} variants of {who}"
    each = f"{counted(len(view.cases), 'cell')} each"
    return f"{who} on {counted(len(view.workloads), 'workload')}, {each}"

# SPDX-License-Identifier: BSD-3-Clause
"""The overview: what was measured, who is fastest in which case, and what has no figures. No score is made of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from allocmark.output.html.charts import Link
from allocmark.output.html.charts.cost_charts import ratios
from allocmark.output.html.charts.trade_offs import cost_and_memory, cost_and_tail
from allocmark.output.html.page_tables import Column, Datum, Table, tone, unbroken
from allocmark.output.html.run_view import CaseView, Standing, View
from allocmark.output.text.figures import counted, plain, significant
from allocmark.output.text.wording import disturbed, failures, machine_facts
from allocmark.stats import Verdict

_MOST_NAMES = 3  # more would make the row taller than all it says
_HEAT = (1.02, 1.1, 1.5, 2.0, 5.0, 20.0)  # multiples of the fastest at which the shade of an entry changes
_MANY = 0.5  # share of disturbed samples from which the page warns


def overview(view: View | None, link: Link) -> dict[str, Any]:
    """What the template shows; without a run, only that there is a history."""
    if view is None:
        return {"headline": "History over commits"}
    return {
        "headline": headline(view),
        "facts": facts(view),
        "alerts": list(_alerts(view)),
        "winners": winners(view, link),
        "tally": tally(view, link),
        "ratios": ratios(view),
        "trade_offs": [chart for chart in (cost_and_memory(view), cost_and_tail(view)) if chart],
        "missing": missing(view),
    }


def facts(view: View) -> list[tuple[str, str]]:
    """Which run this is, on what machine, how measured: names and texts."""
    header = view.run.header
    settings = header.settings
    samples = ""
    if settings.get("blocks") and settings.get("sample_ms"):
        rounds = sorted(case.rounds for case in view.run.cases)
        span = "" if not rounds else f"{rounds[0]}" if rounds[0] == rounds[-1] else f"{rounds[0]} to {rounds[-1]}"
        taken = f"{span} rounds of fresh processes; in each, " if span else ""
        samples = f"{taken}{settings['blocks']} samples of {settings['sample_ms']:g} ms of every backend"
    found = [
        ("Machine", machine_facts(header.environment)),
        ("Backends", ", ".join(f"{plain(b.name)} {b.version}".strip() for b in view.backends)),
        ("Libraries", "; ".join(library for b in view.backends for library in b.libraries)),
        ("Samples", samples),
        ("Disturbed", disturbed(cell for _, cell in view.cells) or "no sample"),
        ("Measured", plain(header.created.replace("T", " ").replace("+00:00", " UTC"))),
        ("Run", plain(f"{header.id}, seed {header.seed}")),
    ]
    return [(name, said) for name, said in found if said]


def _alerts(view: View) -> Iterator[str]:
    planned, done = len(view.run.header.plan), len(view.run.cases)
    if damage := view.run.damage:
        line, what = min(damage.items())
        more = f", and {counted(len(damage) - 1, 'more line')}" if len(damage) > 1 else ""
        yield f"The run file is damaged at line {line}{more} ({what}): {done} of {counted(planned, 'case')} are shown."
    elif done < planned:
        yield f"The run is not complete: {done} of {counted(planned, 'case')} were measured."
    cells = [cell for _, cell in view.cells]
    if sum(cell.disturbed for cell in cells) > _MANY * sum(cell.used for cell in cells):
        yield f"Most samples were disturbed: {disturbed(cells)}. A quieter machine gives narrower intervals."


def winners(view: View, link: Link) -> Table:
    """A row per case, a column per backend variant: how many times the cost of the fastest."""
    hint = "median in multiples of the fastest; below it the same net of the floor"

    def multiple(label: str) -> Column:
        return Column(view.name(label), lambda case: _multiple(case, label), True, hint)

    return Table.of(
        "Median cost in multiples of the fastest",
        (
            Column("workload", lambda case: Datum(plain(case.workload), href=link("workload", case.workload))),
            Column("parameters", lambda case: unbroken(case.title)),
            Column(
                "fastest",
                lambda case: _fastest(view, case.standing),
                False,
                "and all that are not slower for certain (99 %)",
            ),
            *map(multiple, view.rivals),
        ),
        [(case,) for case in view.cases],
        key="parameters",
    )


def _fastest(view: View, found: Standing) -> Datum:
    names = ", ".join(view.name(label) for label in found.level)
    if len(found.level) > _MOST_NAMES:
        names = f"{len(found.level)} of them, underlined"
    match found.word:
        case "none":
            return Datum("no figures", tone="muted")
        case "alone":
            return Datum(names, tone="muted")
        case "fastest":
            return Datum(names, tone=tone(Verdict.FASTER))
        case word:
            return Datum(word, tone=tone(Verdict(word)), note=names)


def _multiple(case: CaseView, label: str) -> Datum:
    cell, standing = case.cell(label), case.standing
    if cell is None:
        return Datum("not asked", tone="muted")
    if label not in standing.times:
        return Datum(cell.cell.status if cell.cell.status != "ok" else "no figure", tone="bad")
    times, net = standing.times[label], standing.net_times.get(label)
    # Only what is slower for certain is shaded.
    shade = "first" if label in standing.level else f"heat{sum(times > limit for limit in _HEAT)}"
    note = "" if net is None or label == standing.level[0] else f"net {significant(net)}"
    return _times(times, shade, note)


@dataclass(frozen=True)
class Count:
    """How a backend variant stands over the cases it was measured in."""

    label: str
    fastest: int
    same: int
    unsure: int
    slower: int
    missing: int
    worst: tuple[float, CaseView] | None


def counts(view: View) -> list[Count]:
    """One for each backend variant that was measured."""
    found = []
    for label in view.rivals:
        cases = [case for case in view.cases if label in case.standing.times]
        words = [case.standing.word for case in cases if label in case.standing.level]
        slower = [case for case in cases if label not in case.standing.level]
        found.append(
            Count(
                label,
                fastest=words.count("fastest"),
                same=words.count("same"),
                unsure=words.count("cannot tell"),
                slower=len(slower),
                missing=len(view.cases) - len(cases),
                worst=max(((g.standing.times[label], g) for g in slower), key=lambda pair: pair[0], default=None),
            )
        )
    return found


def tally(view: View, link: Link) -> Table:
    """How often each backend is the fastest, and where it does worst."""

    def column(title: str, figure: str, hint: str = "") -> Column:
        def entry(count: Count) -> Datum:
            n = getattr(count, figure)
            return Datum(str(n), n, tone="" if n else "muted")

        return Column(title, entry, True, hint)

    return Table.of(
        "In how many cases, and where it does worst",
        (
            Column("backend", lambda c: unbroken(view.name(c.label), link("backend", c.label.partition(":")[0]))),
            column("fastest", "fastest", "cases in which it is faster than every other, for certain"),
            column("same as the fastest", "same"),
            column("cannot tell", "unsure", "cases in which it may be the fastest"),
            column("slower", "slower", "cases in which another is faster for certain"),
            Column("without figures", lambda c: Datum(str(c.missing or ""), c.missing), True),
            Column("at worst", lambda c: _times(c.worst[0]) if c.worst else "", True, "multiple of the fastest"),
            Column("where", lambda c: c.worst[1].place if c.worst else ""),
        ),
        [(count,) for count in counts(view)],
    )


def _times(found: float, shade: str = "", note: str = "") -> Datum:
    return Datum(f"{significant(found)}\N{MULTIPLICATION SIGN}", found, tone=shade, note=note)


@dataclass(frozen=True)
class MissingCell:
    """A backend variant that gave no figures, why, in how many cases, and the command that would change it."""

    name: str
    status: str
    reason: str
    fix: str
    cases: str


def missing(view: View) -> list[MissingCell]:
    """What was asked for and has no figures, each reason once."""
    found = failures((cell.cell for _, cell in view.cells), view.names)
    left_out = view.run.header.settings.get("left_out")
    texts = left_out if isinstance(left_out, list) else []
    return [MissingCell(*key, counted(times, "case")) for key, times in found.items()] + [
        MissingCell("left out", "", plain(str(text)), "", "") for text in texts
    ]


def headline(view: View) -> str:
    """What was measured, in one line."""
    variants, backends = len(view.rivals), len({label.partition(":")[0] for label in view.rivals})
    who = counted(backends, "backend")
    if variants > backends:
        who = f"{variants} variants of {who}"
    return f"{who} on {counted(len(view.workloads), 'workload')}, {counted(len(view.cases), 'case')}"

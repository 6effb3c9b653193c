# SPDX-License-Identifier: BSD-3-Clause
"""The backends of one run against a baseline, or the same cells of two runs: the worst first."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from allocmark import stats
from allocmark.errors import UsageError
from allocmark.output.text import WIDTH
from allocmark.output.text.figures import Names, counted, figure, interval, layout, names_of, plain, wrapped
from allocmark.output.text.wording import heading, parameters_of, place, ratio_explained, verdicts_explained
from allocmark.results.records import MeasuredCell
from allocmark.results.store import Run
from allocmark.results.summary import CaseSummary, CellSummary, summarise
from allocmark.stats import Estimate, Verdict

_99, _98 = "99 % interval", "98 % interval"
_RIGHT = frozenset(("ratio", _99, _98, "net ratio", "ns/object", "before", "now"))
_SPARE = ("net ratio", "ns/object", _99, _98, "before", "now")  # what a narrow terminal goes without, in this order

Key = tuple[str, str, str, str]  # workload, parameters as JSON, backend, variant


def compare(runs: Sequence[Run], baseline: str | None = None, width: int = WIDTH) -> str:
    """The comparison as text, for a terminal of ``width`` columns.

    One run: every cell against the baseline of its case, in pairs. Two runs: every cell of the second
    against the same cell of the first; with a baseline, their ratios to it are compared, which removes what
    the machine did to both. Raises UsageError for an unknown baseline, for another number of runs, and for
    runs of different machines.
    """
    if len(runs) == 1:
        lines = _backends(runs[0], baseline, width)
    elif len(runs) == 2:
        lines = _runs(runs[0], runs[1], baseline, width)
    else:
        raise UsageError(f"{counted(len(runs), 'run')} to compare: give one or two")
    return "\n".join(lines) + "\n"


def _worst_first(ratio: Estimate | None) -> float:
    return -ratio.value if ratio else 0.0


def _backends(run: Run, baseline: str | None, width: int) -> Iterator[str]:
    summaries = summarise(run, baseline)
    names = names_of(run)
    for line in heading(run, summaries):
        yield from wrapped(line, width)
    yield ""
    varying, fixed = parameters_of(case.planned for case in summaries)
    bases = {case.baseline for case in summaries if case.baseline}
    ratios = [(case, cell) for case in summaries for cell in case.cells if cell.ratio]
    ratios.sort(key=lambda found: _worst_first(found[1].ratio))
    rows = [
        [
            figure(cell.ratio),
            interval(cell.ratio),
            str(cell.verdict),
            figure(cell.net_ratio),
            figure(cell.median),
            names[cell.cell.label],
            names[case.baseline] if case.baseline and len(bases) > 1 else "",
            place(cell.cell, varying),
        ]
        for case, cell in ratios
    ]
    headers = ("ratio", _99, "verdict", "net ratio", "ns/object", "backend", "baseline", "case")
    yield (layout(headers, rows, _RIGHT, width, _SPARE) if rows else "Nothing to compare: no case has two backends.")
    yield from _means(summaries, names, width)
    without = Counter(
        _without(case, cell, names)
        for case in summaries
        for cell in case.cells
        if not cell.ratio and not cell.cell.floor and cell.cell.label != case.baseline
    )
    lines = [f"{why} ({counted(times, 'case')})" for why, times in without.items()]
    yield from _listed("Without a ratio:", lines, width)
    yield ""
    base = names[next(iter(bases))] if len(bases) == 1 else "the baseline"
    yield from _fixed(fixed, width)
    yield from wrapped(f"{ratio_explained(base)} The worst first.", width)
    yield from wrapped(verdicts_explained("99 %", stats.MARGIN), width)


def _fixed(fixed: Mapping[str, str], width: int) -> Iterator[str]:
    """The parameters that no row of the table tells."""
    if said := "; ".join(f"{workload} {parameters}" for workload, parameters in fixed.items() if parameters):
        yield from wrapped(f"The same in all cases: {said}.", width)


def _means(summaries: Sequence[CaseSummary], names: Names, width: int) -> Iterator[str]:
    """The geometric mean of each backend's ratios, where it has several."""
    found: dict[str, list[CellSummary]] = {}
    for cell in (cell for case in summaries for cell in case.cells if cell.ratio):
        found.setdefault(names[cell.cell.label], []).append(cell)
    rows = []
    for name, cells in found.items():
        gross, net = ([e for cell in cells if (e := getattr(cell, what))] for what in ("ratio", "net_ratio"))
        means = [stats.geometric_mean(each) for each in (gross, net)]
        texts = [[figure(mean), interval(mean)] for mean in means]
        rows.append([name, str(len(gross)), *texts[0], str(len(net)), *texts[1]])
    if any(len(cells) > 1 for cells in found.values()):
        yield ""
        yield "Geometric means over these cases:"
        yield ""
        headers = ("backend", "cases", "ratio", _99, "net cases", "net ratio", f"net {_99}")
        yield layout(headers, rows, frozenset(headers[1:]), width, ("net cases", f"net {_99}", _99))


def _without(case: CaseSummary, cell: CellSummary, names: Names) -> str:
    status = "" if cell.cell.status == "ok" else f"{cell.cell.status}: "
    why = cell.no_ratio or case.no_baseline or "no reason given"
    return f"{names[cell.cell.label]} {cell.cell.workload}: {status}{plain(why)}"


@dataclass(frozen=True)
class _Seen:
    """A cell and the case it was measured in."""

    case: CaseSummary
    cell: CellSummary


def _runs(before: Run, now: Run, baseline: str | None, width: int) -> Iterator[str]:
    _same_machine(before, now)
    cases = [summarise(run, baseline) for run in (before, now)]
    first, second = map(_cells, cases)
    varying, fixed = parameters_of(case.planned for found in cases for case in found)
    names = {**names_of(before), **names_of(now)}
    for what, run, found in zip(("before: ", "now: "), (before, now), cases, strict=True):
        for line in heading(run, found):
            yield from wrapped(f"{what}{line}", width)
            what = ""
    yield ""
    shared = [key for key in second if key in first]
    if baseline is not None:
        # The baseline against itself, and the floor, say nothing.
        shared = [k for k in shared if not second[k].cell.cell.floor and not _is_baseline(second[k])]
    rated = [(first[key], second[key], *_judge(first[key], second[key], baseline)) for key in shared]
    rated.sort(key=lambda found: _worst_first(found[2]))
    rows = [
        [
            figure(ratio),
            interval(ratio),
            said,
            figure(old.cell.median if baseline is None else old.cell.ratio),
            figure(new.cell.median if baseline is None else new.cell.ratio),
            names[new.cell.cell.label],
            place(new.cell.cell, varying),
        ]
        for old, new, ratio, said in rated
    ]
    # Each interval may miss once in a hundred, so their ratio twice.
    headers = ("ratio", _98, "verdict", "before", "now", "backend", "case")
    yield (layout(headers, rows, _RIGHT, width, _SPARE) if rows else "Nothing to compare: the runs share no cell.")
    for what, mine, other in (("before", first, second), ("now", second, first)):
        only: dict[str, list[str]] = {}
        for seen in (seen for key, seen in mine.items() if key not in other):
            only.setdefault(place(seen.cell.cell, varying), []).append(names[seen.cell.cell.label])
        lines = [f"{where}: {', '.join(labels)}" for where, labels in only.items()]
        yield from _listed(f"Only {what}:", lines, width)
    yield ""
    yield from _fixed(fixed, width)
    what = "ns/object" if baseline is None else f"the ratio to {baseline}"
    yield from wrapped(f"before, now: {what}. ratio: now divided by before; below 1 is faster now.", width)
    yield from wrapped(verdicts_explained("98 %", stats.UNPAIRED_MARGIN), width)
    if baseline is None and any(said.startswith(Verdict.CANNOT_TELL) for *_, said in rated):
        hint = "The machine may have changed its speed between the runs: --baseline NAME compares ratios to a backend"
        yield from wrapped(f"{hint} that is in both runs, which removes that.", width)


def _is_baseline(seen: _Seen) -> bool:
    return seen.cell.cell.label == seen.case.baseline


def _same_machine(before: Run, now: Run) -> None:
    one, two = (run.header.environment.get("machine") for run in (before, now))
    if not isinstance(one, Mapping) or not isinstance(two, Mapping):
        run = before if not isinstance(one, Mapping) else now
        raise UsageError(f"{run.path}: does not say which machine measured it: compare runs that do")
    differing = [key for key in {**one, **two} if one.get(key) != two.get(key)]
    if differing:
        said = ", ".join(f"{key} {_fact(one.get(key))} and {_fact(two.get(key))}" for key in differing)
        raise UsageError(
            f"{before.path} and {now.path} are of different machines ({said}): compare runs of one machine"
        )


def _fact(value: Any) -> str:
    return plain(value if isinstance(value, str) else json.dumps(value))


def _key(cell: MeasuredCell) -> Key:
    return cell.workload, json.dumps(cell.parameters, sort_keys=True), cell.backend, cell.variant


def _cells(cases: Sequence[CaseSummary]) -> dict[Key, _Seen]:
    return {_key(cell.cell): _Seen(case, cell) for case in cases for cell in case.cells}


def _judge(before: _Seen, now: _Seen, baseline: str | None) -> tuple[Estimate | None, str]:
    """The ratio, and the verdict with its reason where there is none."""
    for when, seen in (("before", before), ("now", now)):
        if not seen.cell.values:
            status = "not measured" if seen.cell.cell.status == "ok" else seen.cell.cell.status
            return None, f"{Verdict.CANNOT_TELL}: {status} {when}"
    if before.case.planned.digest != now.case.planned.digest:
        return None, f"{Verdict.CANNOT_TELL}: the workload changed"
    if not stats.near(before.case.conditions.distance_ns, now.case.conditions.distance_ns):
        return None, f"{Verdict.CANNOT_TELL}: distance changed"
    if not stats.same_pace(before.case.conditions.pace_ns, now.case.conditions.pace_ns):
        return None, f"{Verdict.CANNOT_TELL}: CPU speed changed"
    old, new = (_figure(seen, baseline) for seen in (before, now))
    if old is None or new is None:
        return None, f"{Verdict.CANNOT_TELL}: no baseline {'before' if old is None else 'now'}"
    ratio = stats.unpaired_ratio(new, old)
    return ratio, stats.verdict(ratio, stats.UNPAIRED_MARGIN).value


def _figure(seen: _Seen, baseline: str | None) -> Estimate | None:
    if baseline is not None:
        return seen.cell.ratio
    return stats.estimate(list(seen.cell.values.values()), stats.RATIO_CONFIDENCE)


def _listed(title: str, lines: Sequence[str], width: int) -> Iterator[str]:
    if lines:
        yield ""
        yield title
        for line in lines:
            yield from wrapped(f"  {line}", width)

# SPDX-License-Identifier: BSD-3-Clause
"""A backend's page: what it is, where it is strong and weak against the others, and its history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from allocmark import stats
from allocmark.output.html.chart import Chart, ends, short
from allocmark.output.html.page_tables import Column, Datum, Table, number, said, span, text, unbroken
from allocmark.output.html.view import BackendView, CaseView, View, pools
from allocmark.output.text.figures import assignments, counted, figure, plain
from allocmark.stats import Estimate, Verdict

if TYPE_CHECKING:
    from allocmark.asv.history import History, Series


@dataclass(frozen=True)
class Rival:
    """A variant in a case, against the cheapest of the other backends there."""

    case: CaseView
    label: str
    other: str
    ratio: Estimate
    net_ratio: Estimate | None
    verdict: Verdict


def variants(view: View, backend: BackendView) -> Table:
    """The variants that were asked for, and what became of them."""
    rows = []
    for label in backend.labels:
        cells = [cell for _, cell in view.cells if cell.cell.label == label]
        ok = [cell for cell in cells if cell.values]
        reasons = list(dict.fromkeys(plain(c.cell.reason or "") for c in cells if c.cell.status != "ok"))
        shares = [
            share
            for cell in ok
            for facts in pools(cell.cell, "pages").values()
            if isinstance(share := facts.get("huge_share"), int | float)
        ]
        declared = list(dict.fromkeys(plain(str(c.cell.attestation.get("declared_pages", ""))) for c in ok))
        rows.append(
            [
                text(label.partition(":")[2]),
                text(", ".join(filter(None, declared))),
                Datum(_shares(shares), min(shares, default=None)),
                Datum(f"{len(ok)} of {len(cells)}", len(ok)),
                text("; ".join(reasons)),
            ]
        )
    return Table.of(
        f"Variants of {backend.name}",
        (
            Column("variant"),
            Column("declared pages"),
            Column("huge pages found", True, "share of the resident memory of its pools, by the kernel"),
            Column("cells with figures", True),
            Column("why not"),
        ),
        rows,
    )


def _shares(found: Sequence[float]) -> str:
    if not found:
        return ""
    low, high = f"{min(found):.0%}", f"{max(found):.0%}"
    return low if low == high else f"{low} to {high}"


def rivals(view: View, backend: BackendView) -> list[Rival]:
    """Each variant in each case against the cheapest of the other backends, the worst first."""
    found = []
    for case in view.cases:
        others = [c for c in case.measured if c.cell.backend != backend.name and not c.cell.floor and c.median]
        if not others:
            continue
        other = min(others, key=lambda c: c.median.value if c.median else 0.0)
        for label in backend.labels:
            cell = case.cell(label)
            ratio = stats.paired_ratio(cell.values, other.values) if cell and cell.values else None
            if ratio:
                net = stats.paired_ratio(case.net(label), case.net(other.cell.label))
                found.append(Rival(case, label, other.cell.label, ratio, net, stats.verdict(ratio)))
    return sorted(found, key=lambda rival: -rival.ratio.value)


def summary(view: View, found: Sequence[Rival]) -> list[str]:
    """Strengths and weaknesses in sentences, one a variant."""
    lines = []
    for label in dict.fromkeys(rival.label for rival in found):
        own = [rival for rival in found if rival.label == label]
        by = {verdict: [rival for rival in own if rival.verdict is verdict] for verdict in Verdict}
        parts = [
            f"{word} in {len(by[verdict])}" + _extreme(by[verdict], verdict)
            for verdict, word in (
                (Verdict.FASTER, "cheaper"),
                (Verdict.SLOWER, "dearer"),
                (Verdict.SAME, "the same"),
                (Verdict.CANNOT_TELL, "cannot tell"),
            )
            if by[verdict]
        ]
        lines.append(f"{view.name(label)}, of {counted(len(own), 'cell')}: {'; '.join(parts)}.")
    return lines


def _extreme(found: Sequence[Rival], verdict: Verdict) -> str:
    if verdict is Verdict.FASTER:
        rival = found[-1]
    elif verdict is Verdict.SLOWER:
        rival = found[0]
    else:
        return ""
    return f" (at most {figure(rival.ratio)} times as much, {rival.case.place})".replace(
        "at most", "down to" if verdict is Verdict.FASTER else "up to"
    )


def against(view: View, backend: BackendView, found: Sequence[Rival]) -> Chart | None:
    """This backend against the cheapest of the others in each cell; None when there is no other."""
    if not found:
        return None
    several = len({rival.label for rival in found}) > 1
    rows = [
        {
            "case": rival.case.workload,
            "label": rival.label,
            "row": rival.case.title + (f" · {view.name(rival.label)}" if several else ""),
            "place": f"against {view.name(rival.other)}",
            "gross": ends(rival.ratio),
            "net": ends(rival.net_ratio),
            "said": rival.verdict.value,
        }
        for workload in view.workloads
        for rival in found
        if rival.case.workload == workload.name
    ]
    table = Table.of(
        f"{backend.name} against the cheapest of the others, the worst first",
        (
            Column("workload"),
            Column("parameters"),
            Column("variant"),
            Column("cheapest other"),
            Column("ratio", True, "paired block by block; below 1 is cheaper"),
            Column("99 %", True),
            Column("net ratio", True),
            Column("verdict"),
        ),
        [
            [
                text(plain(rival.case.workload)),
                unbroken(rival.case.title),
                unbroken(view.name(rival.label) if several else ""),
                unbroken(view.name(rival.other)),
                number(rival.ratio),
                span(rival.ratio),
                number(rival.net_ratio),
                said(rival.verdict),
            ]
            for rival in found
        ],
    )
    best, worst = found[-1], found[0]
    return Chart(
        "forest",
        "Against the cheapest of the others",
        "ratio to the cheapest other backend",
        "left of 1 is cheaper",
        f"{counted(len(found), 'row')}, from {figure(best.ratio)} ({best.case.place}) to {figure(worst.ratio)} "
        f"({worst.case.place}).",
        {"rows": rows, "modes": ["gross", "net"], "unit": "ratio to the cheapest other", "ref": 1,
         "margin": stats.MARGIN},
        table,
        "Paired block by block, with 99 % intervals; the worst first within a workload.",
    )  # fmt: skip


def conformance(rows: Sequence[Mapping[str, Any]], backend: str) -> tuple[str, Table | None]:
    """The verdict of the acceptance kit in one line, and its cases."""
    own = [row for row in rows if str(row.get("backend", "")).partition(":")[0] == backend]
    if not own:
        return f"Not part of this run; to check it: allocmark conform {plain(backend)}", None
    verdicts = [str(row.get("verdict", "")) for row in own]
    passed, failed = verdicts.count("passed"), verdicts.count("failed")
    rest = len(own) - passed - failed
    line = f"{passed} of {counted(len(own), 'case')} passed" + (f", {failed} failed" if failed else "")
    line += f", {rest} not run" if rest else ""
    versions = dict.fromkeys(plain(str(row["version"])) for row in own if row.get("version"))
    line += f" (version {', '.join(versions)})." if versions else "."
    tones = {"passed": "good", "failed": "bad"}
    table = Table.of(
        "Acceptance kit",
        (Column("variant"), Column("case"), Column("verdict"), Column("why")),
        [
            [
                text(plain(str(row.get("backend", "")))),
                text(plain(str(row.get("case", "")))),
                text(verdict, tones.get(verdict, "muted")),
                text(plain(str(row.get("why") or ""))),
            ]
            for row, verdict in zip(own, verdicts, strict=True)
        ],
    )
    return line, table


def history(found: Sequence[History], backend: str, asv: str | None) -> list[Chart]:
    """Cost over commits: a chart for each machine and workload, a panel for each series, with the steps found."""
    charts = []
    for each in found:
        own = [series for series in each.series if series.backend == backend and series.points]
        for workload, measure in dict.fromkeys((series.workload, series.measure) for series in own):
            chosen = [s for s in own if (s.workload, s.measure) == (workload, measure)]
            charts.append(_history(each, workload, measure, chosen, asv))
    return charts


def _history(history: History, workload: str, measure: str, chosen: Sequence[Series], asv: str | None) -> Chart:
    unit = plain(chosen[0].unit)
    panels = [
        {
            "title": f"{plain(series.variant)}  {assignments(series.parameters)}".strip(),
            "points": [[p.commit, short(p.value), short(p.low), short(p.high)] for p in series.points],
            "steps": [[step.commit, short(step.before), short(step.after)] for step in series.steps],
        }
        for series in chosen
    ]
    used = sorted({p.commit for series in chosen for p in series.points})
    commits = [
        {"hash": plain(c.hash[:8]), "date": plain(c.date[:10]), "subject": plain(c.subject), "url": _safe(c.url)}
        for c in history.commits
    ]
    steps = [(series, step) for series in chosen for step in series.steps]
    steps.sort(key=lambda pair: -abs(_share(pair[1].before, pair[1].after)))
    table = Table.of(
        f"Steps in {workload} on {plain(history.machine)}, the largest first",
        (
            Column("commit"),
            Column("date"),
            Column("subject"),
            Column("variant"),
            Column("parameters"),
            Column("before", True, unit),
            Column("after", True, unit),
            Column("change", True, "above 0 is dearer"),
        ),
        [
            [
                Datum(history.commits[step.commit].hash[:8], step.commit, _safe(history.commits[step.commit].url)),
                text(history.commits[step.commit].date[:10]),
                text(plain(history.commits[step.commit].subject)),
                text(plain(series.variant)),
                text(assignments(series.parameters)),
                Datum(f"{step.before:.4g}", step.before),
                Datum(f"{step.after:.4g}", step.after),
                Datum(
                    f"{_share(step.before, step.after):+.1%}",
                    _share(step.before, step.after),
                    tone="dearer" if step.after > step.before else "cheaper",
                ),
            ]
            for series, step in steps
        ],
    )
    return Chart(
        "history",
        f"{plain(workload)}, {plain(measure)}, on {plain(history.machine)}",
        f"{unit} over commits",
        _LESS,
        f"{counted(len(chosen), 'series')} over {counted(len(used), 'commit')}, {counted(len(steps), 'step')} found.",
        {"panels": panels, "commits": commits, "unit": unit},
        table if steps else None,
        "Each panel has its own scale. A vertical line is a step that was found; a click on a point shows its commit.",
        more=(f"{asv}#{workload}.{measure}", "in asv") if asv else None,
    )


_LESS = "less is better"


def _share(before: float, after: float) -> float:
    return (after - before) / before if before else 0.0


def _safe(url: str | None) -> str | None:
    """An address that a click may follow: nothing that runs."""
    return url if url and url.startswith(("https://", "http://")) else None

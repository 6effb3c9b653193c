# SPDX-License-Identifier: BSD-3-Clause
"""A backend's page: what it is, where it is fast and slow against the others, and its history."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from allocmark import stats
from allocmark.errors import UsageError
from allocmark.output.html.charts import Chart, ends
from allocmark.output.html.charts.commit_charts import charts
from allocmark.output.html.charts.cost_charts import PAIRED, PAIRED_NOTE
from allocmark.output.html.page_tables import Column, Datum, Table, member, number, said, span, unbroken
from allocmark.output.html.run_view import BackendView, CaseView, View, pools
from allocmark.output.text.figures import counted, figure, plain
from allocmark.output.text.wording import kit_power
from allocmark.results.kept_conformance import UNCHECKED, KeptVerdict, kept_verdicts, told
from allocmark.results.summary import CellSummary
from allocmark.stats import Estimate, Verdict

if TYPE_CHECKING:
    from allocmark.asv.history import History


def backend_page(
    view: View | None,
    name: str,
    verdicts: Iterable[Mapping[str, Any]] = (),
    history: Iterable[History] = (),
    asv: str | None = None,
) -> dict[str, Any]:
    """What the template shows: of the run, of the acceptance kit (``verdicts``), and of the commits.

    ``asv`` is the address of asv's own page.
    """
    backend = next((each for each in view.backends if each.name == name), None) if view else None
    found = rivals(view, backend) if view and backend and not backend.floor else []
    kept = kept_verdicts(view.run.header.environment.get("machine", {})) if view else {}
    line, cases = conformance(verdicts, name, kept, _built_otherwise(view, kept) if view else ())
    return {
        "name": plain(name),
        "backend": backend,
        "variants": variants(view, backend, kept) if view and backend else None,
        "summary": summary(view, found) if view else [],
        "against": against(view, backend, found) if view and backend else None,
        "conformance": line,
        "cases": cases,
        "history": charts(history, name, asv),
    }


@dataclass(frozen=True)
class Rival:
    """A variant in a case, against the fastest of the other backends there."""

    case: CaseView
    label: str
    other: str
    ratio: Estimate
    net_ratio: Estimate | None
    verdict: Verdict


def variants(view: View, backend: BackendView, kept: Mapping[str, KeptVerdict]) -> Table:
    """The variants that were asked for, and what became of them. ``kept``: what the acceptance kit said of each."""
    rows = []
    for label in backend.labels:
        cells = [cell for _, cell in view.cells if cell.cell.label == label]
        rows.append((label, cells, [cell for cell in cells if cell.values]))
    return Table.of(
        f"Variants of {backend.name}",
        (
            Column("variant", lambda label, *_: label.partition(":")[2]),
            Column("declared pages", lambda _, __, ok: _each(c.cell.attestation.get("declared_pages") for c in ok)),
            Column("huge pages found", lambda _, __, ok: _shares(ok), True, "by the kernel, of the resident memory"),
            Column("cases with figures", lambda _, all_, ok: Datum(f"{len(ok)} of {len(all_)}", len(ok)), True),
            Column("acceptance kit", lambda *row: Datum() if backend.floor else _kept(kept, *row)),
            Column("why not", lambda _, all_, __: _each(c.cell.reason for c in all_ if c.cell.status != "ok")),
        ),
        rows,
    )


def _kept(
    kept: Mapping[str, KeptVerdict], label: str, cells: Sequence[CellSummary], ok: Sequence[CellSummary]
) -> Datum:
    text = _each(told(kept.get(label), cell.cell) for cell in ok or cells) or UNCHECKED
    tone = "good" if text == "passed" else "bad" if "failed" in text else "muted"
    return Datum(text, tone=tone)


def _each(texts: Iterable[object]) -> str:
    """Every text once."""
    return "; ".join(dict.fromkeys(plain(str(text)) for text in texts if text))


def _shares(cells: Sequence[CellSummary]) -> Datum:
    facts = [facts for cell in cells for facts in pools(cell.cell, "pages").values()]
    found = [share for each in facts if isinstance(share := each.get("huge_share"), int | float)]
    if not found:
        return Datum()
    low, high = f"{min(found):.0%}", f"{max(found):.0%}"
    return Datum(low if low == high else f"{low} to {high}", min(found))


def rivals(view: View, backend: BackendView) -> list[Rival]:
    """Each variant in each case against the fastest of the other backends, the worst first."""
    found = []
    for case in view.cases:
        others = [c for c in case.measured if c.cell.backend != backend.name and not c.cell.floor and c.median]
        if not others:
            continue
        other = min(others, key=lambda c: c.median.value if c.median else 0.0)
        for label in backend.labels:
            cell = case.cell(label)
            ratio = case.summary.ratio(cell, other) if cell and cell.values else None
            if cell and ratio:
                net = case.summary.net_ratio(cell, other)
                found.append(Rival(case, label, other.cell.label, ratio, net, case.summary.verdict(cell, other)))
    return sorted(found, key=lambda rival: -rival.ratio.value)


def summary(view: View, found: Sequence[Rival]) -> list[str]:
    """Strengths and weaknesses in a sentence per variant."""
    lines = []
    for label in dict.fromkeys(rival.label for rival in found):
        own = [rival for rival in found if rival.label == label]
        parts = []
        for verdict in (Verdict.FASTER, Verdict.SLOWER, Verdict.SAME, Verdict.CANNOT_TELL):
            if some := [rival for rival in own if rival.verdict is verdict]:
                parts.append(f"{verdict} in {len(some)}{_extreme(some, verdict)}")
        lines.append(f"{view.name(label)}, of {counted(len(own), 'case')}: {'; '.join(parts)}.")
    return lines


def _extreme(found: Sequence[Rival], verdict: Verdict) -> str:
    """The largest ratio of those slower, the smallest of those faster."""
    if verdict not in (Verdict.FASTER, Verdict.SLOWER):
        return ""
    rival, which = (found[-1], "down") if verdict is Verdict.FASTER else (found[0], "up")
    return f" (ratio {which} to {figure(rival.ratio)}, in {rival.case.place})"


def against(view: View, backend: BackendView, found: Sequence[Rival]) -> Chart | None:
    """This backend against the fastest of the others in each case; None when there is no other."""
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
        f"{backend.name} against the fastest of the others, the worst first",
        (
            Column("workload", lambda rival: plain(rival.case.workload)),
            Column("parameters", lambda rival: unbroken(rival.case.title)),
            Column("variant", lambda rival: unbroken(view.name(rival.label) if several else "")),
            Column("fastest other", lambda rival: unbroken(view.name(rival.other))),
            Column("ratio", lambda rival: number(rival.ratio), True, PAIRED),
            Column("99 % interval", lambda rival: span(rival.ratio), True, "of the ratio"),
            Column("net ratio", lambda rival: number(rival.net_ratio), True, "ratio of what is left above the floor"),
            Column("verdict", lambda rival: said(rival.verdict)),
        ),
        [(rival,) for rival in found],
        key="fastest other",
    )
    best, worst, unit = found[-1], found[0], "ratio to the fastest other backend"
    return Chart(
        "forest",
        "Against the fastest of the others",
        unit,
        "left of 1 is faster",
        f"{counted(len(found), 'row')}, from {figure(best.ratio)} ({best.case.place}) to {figure(worst.ratio)} "
        f"({worst.case.place}).",
        {"rows": rows, "modes": ["gross", "net"], "unit": unit, "ref": 1, "margin": stats.MARGIN},
        table,
        f"{PAIRED_NOTE} The fastest other is the one with the lowest median.",
    )


def read_verdicts(file: Path) -> list[dict[str, Any]]:
    """A file of what ``allocmark conform NAME --json`` printed.

    Each row has ``backend``, ``version``, ``case``, ``verdict``, ``why``. Raises UsageError, with the file and what to
    do, when it cannot be read or is something else.
    """
    wanted = "give what `allocmark conform NAME --json` printed"
    try:
        rows = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "not JSON"
        raise UsageError(f"{file}: {why}: {wanted}") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) and "verdict" in row for row in rows):
        raise UsageError(f"{file}: no verdicts in it: {wanted}")
    return rows


def conformance(
    rows: Iterable[Mapping[str, Any]],
    backend: str,
    kept: Mapping[str, KeptVerdict] = MappingProxyType({}),
    built_otherwise: Collection[str] = (),
) -> tuple[str, Table | None]:
    """The verdict of the acceptance kit in one line, and its cases.

    Where the cases are not at hand, the line is about what is ``kept`` of the machine. ``built_otherwise``: the labels
    of which another build was measured.
    """
    own = [row for row in rows if str(row.get("backend", "")).partition(":")[0] == backend]
    if not own:
        return _of_machine(backend, kept, built_otherwise), None
    verdicts = [str(row.get("verdict", "")) for row in own]
    passed, failed = verdicts.count("passed"), verdicts.count("failed")
    rest = len(own) - passed - failed
    line = f"{passed} of {counted(len(own), 'case')} passed" + (f", {failed} failed" if failed else "")
    line += f", {rest} not run" if rest else ""
    versions = _each(row.get("version") for row in own)
    line += f" (version {versions})." if versions else "."
    calls = sum(found for row in own if isinstance(found := row.get("calls"), int))
    if calls and not failed:
        line += f" {kit_power(calls)}."

    table = Table.of(
        "Acceptance kit",
        (
            member("variant", "backend"),
            member("case", "case"),
            Column("verdict", lambda row: _kit_verdict(row.get("verdict"))),
            member("why", "why"),
        ),
        [(row,) for row in own],
        key="case",
    )
    return line, table


def _built_otherwise(view: View, kept: Mapping[str, KeptVerdict]) -> frozenset[str]:
    measured = [cell.cell for _, cell in view.cells if cell.values]
    return frozenset(
        cell.label for cell in measured if (found := kept.get(cell.label)) and told(found, cell) != str(found)
    )


def _of_machine(backend: str, kept: Mapping[str, KeptVerdict], built_otherwise: Collection[str]) -> str:
    lines = [
        f"{label}, version {found.version or 'unknown'}"
        + (" in another build than was measured" if label in built_otherwise else "")
        + f", {found} on {found.created[:10]}"
        + (f": {kit_power(found.calls)}." if found.passed else ".")
        for label, found in kept.items()
        if label.partition(":")[0] == backend
    ]
    remedy = f"allocmark conform {backend}, or so:FILE for a library without a plugin"
    return plain(" ".join(lines) or f"Not checked on this machine. To check it: {remedy}")


def _kit_verdict(verdict: object) -> Datum:
    return Datum(plain(str(verdict)), tone={"passed": "good", "failed": "bad"}.get(str(verdict), "muted"))

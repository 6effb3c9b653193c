# SPDX-License-Identifier: BSD-3-Clause
"""Memory: how much is resident, and on which pages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from allocmark.output.html.charts import LESS, Chart, parameter_columns, short
from allocmark.output.html.page_tables import Column, Datum, Table, mib, unbroken
from allocmark.output.html.run_view import CaseView, View, WorkloadView, pools
from allocmark.output.text.figures import decimals, plain
from allocmark.results.memory import memory_of, resident
from allocmark.results.summary import CellSummary

_KINDS = (("base", "base pages"), ("thp", "transparent huge pages"), ("hugetlb", "hugetlb pages"))
OTHER = "the rest of the process"


def memory(view: View, workload: WorkloadView) -> Chart | None:
    """Resident memory by page kind, drawn for the case in which most is resident; the table has all."""
    measured = [(case, cell, resident(cell.cell)) for case in workload.cases for cell in case.measured]
    known = [(case, found) for case, _, found in measured if found is not None]
    if not known:
        return None
    largest = max(known, key=lambda pair: pair[1])[0]
    drawn = [(cell, total) for case, cell, total in measured if case is largest and total is not None]
    table = Table.of(
        f"Memory of {workload.name}",
        (
            *parameter_columns(workload),
            Column("backend", lambda _, cell, __: unbroken(view.name(cell.cell.label))),
            Column("process MiB", lambda *row: mib(row[2]), True, "resident after the samples, hugetlb pages included"),
            Column("live MiB", _known("live"), True, "objects held at most"),
            Column("arena MiB", _known("arena"), True, "what the backend has of the kernel, touched or not"),
            Column("growth MiB", _known("growth"), True, "from the first sample to the last"),
            Column("drained MiB", _known("retained"), True, "beyond the bare process, when every object was put back"),
            Column("pools MiB", _pools_resident, True, "resident in the regions that the backend reports"),
            Column("bytes over size", _over_size, True, "resident bytes per object asked for, beyond its size"),
            Column("declared", _declared, False, "page kind that the variant declares"),
            Column("found", _found, False, "share of huge pages, and the size of a page"),
            Column("counted in", _counted_in, False, "where the page kinds were counted"),
        ),
        measured,
        key="backend",
    )
    return Chart(
        "stack",
        "Memory and page kinds" + (f" ({largest.title})" if largest.title else ""),
        "MiB resident",
        LESS,
        "; ".join(f"{view.name(cell.cell.label)} {total / 2**20:,.4g} MiB" for cell, total in drawn) + ".",
        {
            "rows": [{"label": cell.cell.label, "parts": _parts(cell, total)} for cell, total in drawn],
            "kinds": [*(name for _, name in _KINDS), OTHER],
            "unit": "MiB resident",
        },
        table,
        "As the kernel counts it, after the samples. Where a backend does not say where its objects lie, they are in "
        f"“{OTHER}”.",
    )


def _known(what: str) -> Callable[..., Datum]:
    """The entry of a member of `Memory`."""
    return lambda _, cell, __: mib(getattr(found, what)) if (found := memory_of(cell.cell)) else Datum()


def _parts(cell: CellSummary, total: int) -> list[dict[str, Any]]:
    kinds = _by_kind(cell)
    parts = [{"kind": name, "mib": short(kinds[key] / 2**20)} for key, name in _KINDS if kinds[key]]
    return [*parts, {"kind": OTHER, "mib": short(max(total - sum(kinds.values()), 0) / 2**20)}]


def _by_kind(cell: CellSummary) -> dict[str, int]:
    found = {key: 0 for key, _ in _KINDS}
    for facts in pools(cell.cell, "pages").values():
        if facts.get("of") == "regions":
            for key in found:
                part = facts.get(key)
                found[key] += part if isinstance(part, int) else 0
    return found


def _pools_resident(_: CaseView, cell: CellSummary, __: object) -> Datum:
    found = [facts.get("resident") for facts in pools(cell.cell, "memory").values()]
    known = [n for n in found if isinstance(n, int)]
    return mib(float(sum(known)) if known and len(known) == len(found) else None)


def _over_size(_: CaseView, cell: CellSummary, __: object) -> Datum:
    found = [facts.get("over_size") for facts in pools(cell.cell, "memory").values()]
    known = [n for n in found if isinstance(n, int | float)]
    if not known:
        return Datum()
    return Datum(", ".join(f"{n:,.{min(decimals(n), 2)}f}" for n in known), max(known))


def _declared(_: CaseView, cell: CellSummary, __: object) -> str:
    return plain(str(cell.cell.attestation.get("declared_pages", "")))


def _counted_in(_: CaseView, cell: CellSummary, __: object) -> str:
    return ", ".join(dict.fromkeys(str(p.get("of", "")) for p in pools(cell.cell, "pages").values()))


def _found(_: CaseView, cell: CellSummary, __: object) -> str:
    said = []
    for facts in pools(cell.cell, "pages").values():
        share, size = facts.get("huge_share"), facts.get("page_size")
        if isinstance(share, int | float):
            said.append(f"{share:.0%} huge" + (f", pages of {_size(size)}" if isinstance(size, int) else ""))
        else:
            said.append(plain(str(facts.get("unknown", "not known"))))
    return "; ".join(dict.fromkeys(said))


def _size(n: int) -> str:
    return f"{n >> 20} MiB" if n >= 1 << 20 else f"{n >> 10} KiB"

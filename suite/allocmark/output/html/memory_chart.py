# SPDX-License-Identifier: BSD-3-Clause
"""Memory: how much is resident on which pages, and how much of it the objects come from."""

from __future__ import annotations

from typing import Any

from allocmark.output.html.chart import LESS, Chart, short, values_of, varying
from allocmark.output.html.page_tables import Column, Datum, Table, mib, text, unbroken, whole
from allocmark.output.html.view import View, WorkloadView, pools, resident
from allocmark.output.text.figures import decimals, plain
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
    rows = []
    for case, cell, total in measured:
        if case is largest and total is not None:
            kinds = _by_kind(cell)
            parts = [{"kind": name, "mib": short(kinds[key] / 2**20)} for key, name in _KINDS if kinds[key]]
            rest = {"kind": OTHER, "mib": short(max(total - sum(kinds.values()), 0) / 2**20)}
            rows.append({"label": cell.cell.label, "parts": [*parts, rest]})
    table = Table.of(
        f"Memory of {workload.name}",
        (
            *varying(workload),
            Column("backend"),
            Column("process MiB", True, "resident, hugetlb pages included, after the samples"),
            Column("pools MiB", True, "resident in the regions that the backend reports"),
            Column("bytes over size", True, "resident bytes an object asked for, beyond its size"),
            Column("declared", False, "page kind that the variant declares"),
            Column("found", False, "share of huge pages, and the size of a page"),
            Column("looked at", False, "where the page kinds were counted"),
        ),
        [
            [
                *values_of(workload, case),
                unbroken(view.name(cell.cell.label)),
                mib(total),
                mib(_pools_resident(cell)),
                _over_size(cell),
                text(plain(str(cell.cell.attestation.get("declared_pages", "")))),
                text(_found(cell)),
                text(", ".join(dict.fromkeys(str(p.get("of", "")) for p in pools(cell.cell, "pages").values()))),
            ]
            for case, cell, total in measured
        ],
    )
    return Chart(
        "stack",
        "Memory and page kinds" + (f" ({largest.title})" if largest.title else ""),
        "MiB resident",
        LESS,
        "; ".join(f"{view.name(c.cell.label)} {n / 2**20:,.4g} MiB" for g, c, n in measured if g is largest and n)
        + ".",
        {"rows": rows, "kinds": [*(name for _, name in _KINDS), OTHER], "unit": "MiB resident"},
        table,
        "By the kernel's own accounting, after the samples. Where a backend does not say where its objects lie, "
        f"they are in “{OTHER}”.",
    )


def _by_kind(cell: CellSummary) -> dict[str, int]:
    found = {key: 0 for key, _ in _KINDS}
    for facts in pools(cell.cell, "pages").values():
        if facts.get("of") == "regions":
            for key in found:
                part = facts.get(key)
                found[key] += part if isinstance(part, int) else 0
    return found


def _pools_resident(cell: CellSummary) -> float | None:
    found = [facts.get("resident") for facts in pools(cell.cell, "memory").values()]
    known = [n for n in found if isinstance(n, int)]
    return float(sum(known)) if known and len(known) == len(found) else None


def _over_size(cell: CellSummary) -> Datum:
    found = [facts.get("over_size") for facts in pools(cell.cell, "memory").values()]
    known = [n for n in found if isinstance(n, int | float)]
    if not known:
        return Datum()
    return Datum(", ".join(f"{n:,.{min(decimals(n), 2)}f}" for n in known), max(known))


def _found(cell: CellSummary) -> str:
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


def reuse(view: View, workload: WorkloadView) -> Table | None:
    """What memory the objects lie on, counted without a clock; None when it was not measured."""
    cells = [(case, cell) for case in workload.cases for cell in case.summary.cells]
    found = [(case, cell, each) for case, cell in cells if (each := cell.cell.passes.get("reuse"))]
    if not found:
        return None
    return Table.of(
        "Distinct places in 1,000 objects got: counted, not timed; less is better",
        (
            *varying(workload),
            Column("backend"),
            Column("2 MiB pages", True, "distinct, per 1,000 objects got"),
            Column("4 KiB pages", True, "distinct, per 1,000 objects got"),
            Column("lines", True, "distinct cache lines of the bytes that the workload touches"),
            Column("objects", True, "distinct, per 1,000 objects got"),
            Column("put elsewhere", True, "share of objects put by another actor than the one that got them"),
            Column("objects looked at", True),
        ),
        [
            [
                *values_of(workload, case),
                unbroken(view.name(cell.cell.label)),
                *(_places(getattr(facts, key)) for key in ("pages_2m", "pages_4k", "lines", "objects")),
                _share(facts.foreign_puts),
                whole(facts.gets),
            ]
            for case, cell, facts in found
        ],
    )


def _places(n: Any) -> Datum:
    return Datum(f"{n:,.{min(decimals(n), 1)}f}", n) if isinstance(n, int | float) else Datum()


def _share(n: Any) -> Datum:
    return Datum(f"{n:.0%}", n) if isinstance(n, int | float) else Datum()

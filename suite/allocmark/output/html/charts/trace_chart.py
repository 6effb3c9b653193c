# SPDX-License-Identifier: BSD-3-Clause
"""Memory over the course of a trace: what lives, and what each backend keeps resident."""

from __future__ import annotations

from allocmark.output.html.charts import LESS, Chart, short
from allocmark.output.html.run_view import View, WorkloadView
from allocmark.output.text.figures import counted


def course(view: View, workload: WorkloadView) -> Chart | None:
    """Live against resident bytes at the points of the trace, of the first case that has them."""
    for case in workload.cases:
        found = [(cell, cell.cell.passes["replayed"]) for cell in case.measured if "replayed" in cell.cell.passes]
        if found:
            break
    else:
        return None
    rows = [{"label": cell.cell.label, "mib": [short(n / 2**20) for n in record.resident]} for cell, record in found]
    live = found[0][1].live
    most = "; ".join(f"{view.name(cell.cell.label)} {record.most_resident / 2**20:,.4g} MiB" for cell, record in found)
    return Chart(
        "course",
        "Memory over the trace",
        "MiB",
        LESS,
        f"At most {max(live) / 2**20:,.4g} MiB live; resident at most: {most}.",
        {"rows": rows, "live": [short(n / 2**20) for n in live], "unit": "MiB"},
        None,
        f"At {counted(len(live), 'point')}, equal shares of the program's calls apart. Dashed: the bytes that it had "
        "asked for and not freed. Lines: what is resident beyond what the process had before, median of processes.",
    )

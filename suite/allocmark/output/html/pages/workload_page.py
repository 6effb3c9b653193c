# SPDX-License-Identifier: BSD-3-Clause
"""A workload's page: its file, what its objects cost, latency, memory, and what the figures rest on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from allocmark.errors import AllocmarkError
from allocmark.output.html.charts.cost_charts import costs, over_parameter
from allocmark.output.html.charts.latency_chart import latency
from allocmark.output.html.charts.memory_chart import memory
from allocmark.output.html.charts.sample_chart import cell_facts, samples
from allocmark.output.html.charts.trace_chart import course
from allocmark.output.html.pass_tables import pass_tables
from allocmark.output.html.run_view import View, WorkloadView
from allocmark.output.text.wording import disturbed


def workload_page(view: View, workload: WorkloadView) -> dict[str, Any]:
    """What the template shows."""
    return {
        "workload": workload,
        "text": workload_text(view, workload),
        "disturbed": disturbed(cell for case in workload.cases for cell in case.summary.cells),
        "costs": costs(view, workload),
        "parameters": [chart for key in workload.varying if (chart := over_parameter(view, workload, key))],
        "latency": latency(view, workload),
        "passes": pass_tables(view, workload),
        "course": course(view, workload),
        "memory": memory(view, workload),
        "samples": samples(view, workload),
        "cell_facts": cell_facts(view, workload),
    }


@dataclass(frozen=True)
class WorkloadText:
    """What a workload's file says. ``note`` says why ``yaml`` is empty."""

    summary: str = ""
    source: str = ""
    yaml: str = ""
    note: str = ""


def workload_text(view: View, workload: WorkloadView) -> WorkloadText:
    """The file that a workload came from, found by the paths that the run was given, or by its name.

    A run file keeps a digest of the workload and not its text, so the text is shown only where the digest agrees.
    """
    from allocmark import plugins
    from allocmark.workload.language.find import find_workload

    if any("replayed" in cell.cell.passes for case in workload.cases for cell in case.measured):
        return WorkloadText(note="A recorded program, measured by `allocmark replay`: it has no file to read.")
    dirs = plugins.load_entries(()).workload_dirs
    found = None
    for place in _places(view, workload):
        try:
            template = find_workload(place, dirs)
            text = template.path.read_text(encoding="utf-8")
        except (AllocmarkError, OSError, ValueError):
            continue
        if template.name == workload.name:
            found = WorkloadText(template.summary, template.source, text)
            if template.digest in workload.digests:
                return found
    if found is None:
        return WorkloadText(note="The workload's file was not found where this page was made.")
    return WorkloadText(found.summary, found.source, note="The workload's file has changed since it was measured.")


def _places(view: View, workload: WorkloadView) -> Iterator[str]:
    given = view.run.header.settings.get("workloads")
    if isinstance(given, list):
        yield from (place for place in given if isinstance(place, str) and "/" in place)
    if "/" not in workload.name:
        yield workload.name

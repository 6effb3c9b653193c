# SPDX-License-Identifier: BSD-3-Clause
"""What text and pages say of a run in the same words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from allocmark.output.html.charts.cost_charts import costs
from allocmark.output.html.run_view import View
from allocmark.output.text.run_table import render
from allocmark.results.store import Run
from fixtures.simulated import SHAPES


def test_where_ratio_and_medians_disagree_the_row_says_so(simulate: Callable[..., Run]) -> None:
    run = simulate(shapes=SHAPES[:1], rounds=41, per_block=1, noise=0, baseline="glibc:default")
    (case,) = run.cases
    # The machine is ten times slower from round 21 on. In all rounds but two, the ratio is 0.85.
    base = [10.0 if number < 21 else 100.0 for number in range(41)]
    own = [(2 if number in (3, 12) else 0.85) * ns for number, ns in enumerate(base)]
    samples = {"glibc:default": base, "turbomem:default": own}
    cells = tuple(replace(cell, samples=samples.get(cell.label, cell.samples)) for cell in case.cells)
    changed = replace(run, rounds={0: (replace(case, cells=cells),)})
    text = " ".join(render(changed).split())
    assert "turbomem: the ratio is 0.850, but the medians give 2.00: costs changed between rounds" in text
    view = View.of(changed)
    table = costs(view, view.workloads[0]).table
    assert table
    noted = {row[0].text: each for row in table.rows for each in row if each.note.startswith("the medians")}
    assert noted["turbomem"].text == "0.850"
    assert noted["turbomem"].note.startswith("the medians give 2.00")
    assert "medians give" not in render(run)

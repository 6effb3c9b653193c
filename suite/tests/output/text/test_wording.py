# SPDX-License-Identifier: BSD-3-Clause
"""What text and pages say of a run in the same words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from allocmark.output.html.charts.cost_charts import costs
from allocmark.output.html.pages.overview_page import facts
from allocmark.output.html.run_view import View
from allocmark.output.text.run_table import render
from allocmark.results.store import Run
from fixtures.simulated import SHAPES


def test_where_ratio_and_medians_disagree_the_row_says_so(simulate: Callable[..., Run]) -> None:
    run = simulate(shapes=SHAPES[:1], rounds=41, per_block=1, noise=0, baseline="glibc:default")
    # The machine is ten times slower from round 21 on. In all rounds but two, the ratio is 0.85.
    rounds = []
    for number, each in enumerate(run.rounds[0]):
        base = 10.0 if number < 21 else 100.0
        costs_of = {"glibc:default": base, "turbomem:default": (2 if number in (3, 12) else 0.85) * base}
        cells = (replace(cell, samples=[costs_of.get(cell.label, cell.samples[0])]) for cell in each.cells)
        rounds.append(replace(each, cells=tuple(cells)))
    changed = replace(run, rounds={0: tuple(rounds)})
    text = " ".join(render(changed).split())
    assert "turbomem: the ratio is 0.850, but the medians give 2.00: costs changed between rounds" in text
    view = View.of(changed)
    table = costs(view, view.workloads[0]).table
    assert table
    (row,) = (row for row in table.rows if row[0].text == "turbomem")
    (ratio,) = (each for each in row if each.text == "0.850")
    assert ratio.note.startswith("the medians give 2.00")
    assert "medians give" not in render(run)


def test_the_library_that_was_called_is_named_with_its_version_in_table_and_pages(simulate: Callable[..., Run]) -> None:
    run = simulate(shapes=SHAPES[:1], rounds=2)
    libc = {"file": "/lib/libc.so.6", "build_id": "93ac61ec"}
    called = {"glibc:default": libc, "glibc:no-tcache": libc, "null:default": {}}
    rounds = tuple(
        replace(
            each,
            cells=tuple(
                replace(cell, attestation={**cell.attestation, "library": called.get(cell.label)})
                for cell in each.cells
            ),
        )
        for each in run.rounds[0]
    )
    named = replace(run, rounds={0: rounds})
    assert "\nglibc: /lib/libc.so.6, build id 93ac61ec\n" in render(named)
    assert dict(facts(View.of(named)))["Libraries"] == "glibc: /lib/libc.so.6, build id 93ac61ec"
    assert "Libraries" not in dict(facts(View.of(run)))

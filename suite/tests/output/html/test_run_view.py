# SPDX-License-Identifier: BSD-3-Clause
"""What pages say about a run, without a browser."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from allocmark.errors import UsageError
from allocmark.output.html import charts
from allocmark.output.html.charts import cost_charts
from allocmark.output.html.pages import comparison_page, first_comparison, method_page, overview_page
from allocmark.output.html.pages.backend_page import rivals, summary
from allocmark.output.html.run_view import BackendView, View
from allocmark.results.store import Run
from allocmark.stats import Verdict
from fixtures.simulated import SHAPES

Simulate = Callable[..., Run]


def _link(kind: str, name: str) -> str:
    return f"{kind}/{name}"


def test_the_fastest_alone(simulate: Simulate) -> None:
    view = View.of(simulate(noise=0.001, rounds=40))
    found = [case.standing for case in view.cases]
    assert [standing.word for standing in found[:3]] == ["fastest"] * 3
    assert found[0].level == ("turbomem:default",)
    assert "null:default" not in found[0].times, "the floor is no rival"
    assert found[0].times["dpdk_ring:ring_mp_mc"] == pytest.approx(5.01 / 1.51, rel=0.02)


def test_who_is_level_with_the_fastest(simulate: Simulate) -> None:
    view = View.of(simulate(noise=0.001, rounds=40, scale={"turbomem:default": 4.4 / 4.38}, skip=6))
    (case,) = view.cases
    assert case.standing.word == "same"
    assert set(case.standing.level) == {"turbomem:default", "dpdk_ring:ring_mp_mc"}


def test_few_blocks_cannot_tell(simulate: Simulate) -> None:
    view = View.of(simulate(rounds=5))
    assert {case.standing.word for case in view.cases} == {"cannot tell"}
    (count,) = (c for c in overview_page.counts(view) if c.label == "turbomem:default")
    assert (count.fastest, count.same, count.unsure, count.slower) == (0, 0, 7, 0)


def test_nobody_and_alone(simulate: Simulate) -> None:
    failed = ("failed", "broken", None)
    labels = ["glibc:default", "glibc:no-tcache", "dpdk_ring:ring_mp_mc", "dpdk_ring:lf_stack"]
    status = {(shape.workload, label): failed for shape in SHAPES for label in labels}
    view = View.of(simulate(status=status))
    assert {case.standing.word for case in view.cases} == {"alone"}
    status |= {(shape.workload, "turbomem:default"): failed for shape in SHAPES}
    view = View.of(simulate(status=status))
    assert {case.standing.word for case in view.cases} == {"none"}
    assert overview_page.winners(view, _link).rows[0][-1].text == "no figures"
    assert comparison_page.pairs(view)["rows"] == []


def test_every_cell_stands_once(simulate: Simulate) -> None:
    view = View.of(simulate())
    for count in overview_page.counts(view):
        assert count.fastest + count.same + count.unsure + count.slower + count.missing == len(SHAPES)
    assert sum(count.fastest for count in overview_page.counts(view)) <= len(SHAPES)
    table = overview_page.winners(view, _link)
    assert len(table.rows) == len(SHAPES)
    assert table.rows[0][0].href == "workload/burst"


def test_parameters_that_do_not_vary_are_said_once(simulate: Simulate) -> None:
    burst = View.of(simulate()).workloads[0]
    assert dict(burst.varying) == {"burst": (1, 32), "keep": (128, 8192)}
    assert burst.fixed == "touch=0"
    assert [case.title for case in burst.cases] == ["burst=1 keep=128", "burst=32 keep=128", "burst=32 keep=8192"]


def test_a_backend_against_the_others(simulate: Simulate) -> None:
    view = View.of(simulate(rounds=24))
    backend = next(each for each in view.backends if each.name == "dpdk_ring")
    found = rivals(view, backend)
    assert len(found) == 2 * len(SHAPES)
    assert all(rival.other.partition(":")[0] != "dpdk_ring" for rival in found)
    assert [rival.ratio.value for rival in found] == sorted((r.ratio.value for r in found), reverse=True)
    assert {rival.verdict for rival in found if rival.label == "dpdk_ring:lf_stack"} == {Verdict.SLOWER}
    assert "dpdk_ring:lf_stack, of 7 cases: slower in 7" in " ".join(summary(view, found))


def test_pairs_are_those_of_the_table(simulate: Simulate) -> None:
    view = View.of(simulate())
    found = comparison_page.pairs(view)
    labels = found["labels"]
    base = labels.index(found["against"])
    table = {(g.workload, g.title, c.cell.label): c for g, c in view.cells if c.ratio}
    seen = 0
    for workload, title, one, two, gross, _, said in found["rows"]:
        if two == base:
            cell = table[workload, title, labels[one]]
            assert cell.ratio is not None
            assert gross == charts.ends(cell.ratio)
            assert said == cell.verdict
            seen += 1
    assert seen == len(table)


def test_charts_hold_what_the_tables_say(simulate: Simulate) -> None:
    view = View.of(simulate())
    drawn = cost_charts.ratios(view)
    assert drawn.table is not None
    assert len(drawn.data["rows"]) == len(drawn.table.rows) == 4 * len(SHAPES)
    assert {row["case"] for row in drawn.data["rows"]} == {shape.workload for shape in SHAPES}
    assert cost_charts.over_parameter(view, view.workloads[0], "keep") is not None
    assert cost_charts.over_parameter(view, view.workloads[1], "sizes") is None, "imix and zipf have no order"


def test_a_colour_each_while_those_last(simulate: Simulate) -> None:
    found = {each["label"]: each for each in charts.series(View.of(simulate()))}
    assert found["null:default"]["colour"] == "floor"
    assert len({each["colour"] for each in found.values()}) == len({each["symbol"] for each in found.values()}) + 1 == 6


def test_then_a_colour_a_backend_and_a_symbol_a_variant(simulate: Simulate) -> None:
    view = View.of(simulate())
    more = BackendView("more", "1", tuple(f"glibc:{i}" for i in range(5)), floor=False)
    found = charts.series(replace(view, backends=(*view.backends, more)))
    marks = {(each["colour"], each["symbol"]) for each in found}
    assert len(marks) == len(found) == 11
    assert len({each["colour"] for each in found}) == 5


def test_the_command_to_repeat_leaves_out_where_it_went(simulate: Simulate) -> None:
    view = View.of(simulate())
    argv = ["run", "burst", "--set", "keep=1,2", "-o", "there", "--json=x", "--output", "y", "--seed", "2"]
    object.__setattr__(view.run.header, "argv", argv)
    assert method_page.command(view) == "allocmark run burst --set keep=1,2 --seed 2"


def test_a_run_that_was_mostly_disturbed_is_told_first(simulate: Simulate) -> None:
    for marked, told in ((8, []), (9, ["Most samples were disturbed: 378 of 672 samples (steal)"])):
        view = View.of(simulate(per_block=1, disturbed={index: ["steal"] for index in range(marked)}))
        alerts = overview_page.overview(view, _link)["alerts"]
        assert [alert.partition(";")[0] for alert in alerts] == told


def test_no_page_concludes_from_mostly_disturbed_samples(simulate: Simulate) -> None:
    """Nobody is called fastest, faster or slower: the terminal has no verdict either."""
    view = View.of(simulate(per_block=1, disturbed={index: ["steal"] for index in range(9)}))
    assert {case.standing.word for case in view.cases} == {"cannot tell"}
    assert {rival.verdict for backend in view.backends for rival in rivals(view, backend)} == {Verdict.CANNOT_TELL}
    assert {row[-1] for row in comparison_page.pairs(view)["rows"]} == {"cannot tell"}
    table = first_comparison.against_one(view, "glibc:default")
    assert table is not None
    assert {row[4].text for row in table.rows} == {"cannot tell"}


def test_unknown_baseline(simulate: Simulate) -> None:
    with pytest.raises(UsageError, match="jemalloc"):
        View.of(simulate(), "jemalloc")

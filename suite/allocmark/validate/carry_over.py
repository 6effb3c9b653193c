# SPDX-License-Identifier: BSD-3-Clause
"""Does a backend's figure depend on which others are measured beside it, or on their order?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from itertools import permutations

from allocmark import stats
from allocmark.measuring.case_plan import CasePlan
from allocmark.measuring.plan import make_plan
from allocmark.measuring.schedule import CaseRun, Known
from allocmark.stats import median
from allocmark.validate.proof import Figure, Finding, Holds, ratio_of, within
from allocmark.validate.workbench import SHORT, Workbench

LIMIT = 0.01  #: by which company may change a figure

Company = tuple[str, ...]  #: labels of what is measured side by side, in their order
Costs = Mapping[tuple[Company, str], Mapping[int, float]]  #: by company, label and round


def carry_over(bench: Workbench) -> Finding:
    """Each backend alone and beside each other one, first and second: a round of each, in turns."""
    form = bench.form
    backends = bench.backends(form.pairs)
    labels = [registered.backend.label for registered in backends]
    request = bench.request(["burst"], SHORT | {"bulk": ["32"]}, labels)
    (plan,) = make_plan(request, bench.host, floor=False).cases
    by_label = {cell.backend.label: cell for cell in plan.cells}
    companies: list[Company] = [*((label,) for label in labels), *permutations(labels, 2)]
    known = {company: Known() for company in companies}
    costs: dict[tuple[Company, str], dict[int, float]] = {}
    notes: dict[str, None] = {}
    for number in range(form.meetings):
        for index, company in enumerate(companies):
            bench.tell((number + index / len(companies)) / form.meetings, ", ".join(company))
            case: CasePlan = replace(plan, cells=tuple(by_label[label] for label in company))
            done = CaseRun(case, request, number, known=known[company]).run(lambda _: None)
            for cell in done.cells if done else ():
                if cell.status == "ok":
                    costs.setdefault((company, cell.label), {})[number] = median(cell.samples)
                else:
                    notes[f"{cell.label}: {cell.reason}"] = None
    figures, flagged = judged(costs)
    measured = {
        "backends": labels,
        "case": plan.record.title,
        **bench.numbers(),
        "rounds": form.meetings,
        "costs": [{"of": label, "beside": company, "ns": [*each.values()]} for (company, label), each in costs.items()],
    }
    hint = ["`allocmark run --together` keeps the samples of each backend apart from the others'"] if flagged else []
    return Finding(figures, measured, [*flagged, *hint, *notes])


def judged(costs: Costs) -> tuple[list[Figure], list[str]]:
    """The figures, and a line for each backend whose cost changed in company."""
    shared = {key: by for key, by in costs.items() if len(key[0]) > 1 and ((key[1],), key[1]) in costs}
    said: list[Holds] = []
    flagged = []
    largest = 0.0
    for (company, label), by in shared.items():
        alone = costs[(label,), label]
        logs = [stats.log_ratio(by[number], alone[number]) for number in by if number in alone]
        ratio = ratio_of(logs, len(shared))
        said.append(within(ratio, LIMIT))
        if ratio:
            largest = max(largest, math.exp(abs(math.log(ratio.value))) - 1)
        if ratio and said[-1] is Holds.NO:
            place = "before" if company[0] == label else "after"
            (other,) = [each for each in company if each != label]
            flagged.append(f"{label} costs {100 * ratio.value - 100:+.1f} % when it is measured {place} {other}")
    beyond, open_ones = said.count(Holds.NO), said.count(Holds.CANNOT_TELL)
    holds = Holds.NO if beyond else Holds.CANNOT_TELL if open_ones or not said else Holds.YES
    text = f"{beyond} of {len(said)}" + (f", {open_ones} open" if open_ones else "")
    return [
        Figure("changed by company", beyond, text, f"{100 * LIMIT:.0f} %", holds),
        Figure("largest change", largest, f"{100 * largest:.1f} %"),
    ], flagged

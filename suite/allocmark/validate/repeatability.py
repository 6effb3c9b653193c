# SPDX-License-Identifier: BSD-3-Clause
"""Does the same comparison say the same each time?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from allocmark.stats import Estimate, Verdict, median
from allocmark.validate.proof import Figure, Finding, Holds, at_least
from allocmark.validate.workbench import SHORT, Workbench, cores, losses

CONTAINED = 0.99  #: of the intervals that must contain the median of all runs
ENOUGH = 100  #: intervals that tell so large a share

_MIXED = {"bulk": ["32"], "touch": ["0"], "cache": ["256"]}
_CROSS = {"burst": ["32"], "touch": ["0"], "hold": ["0"], "rx": ["1"], "tx": ["1"], "cache": ["256"]}
#: Workloads with their parameters: a case each.
CASES = (
    ("burst", SHORT | {"bulk": ["32"]}),
    ("mixed_sizes", _MIXED | {"mix": ["imix"], "lifetime": ["random"]}),
    ("burst", SHORT | {"bulk": ["8"]}),
    ("burst", SHORT | {"bulk": ["128"]}),
    ("mixed_sizes", _MIXED | {"mix": ["zipf"], "lifetime": ["random"]}),
    ("cross_core_free", _CROSS),
)
#: In place of the last one, where there is one core.
ONE_CORE = ("mixed_sizes", _MIXED | {"mix": ["imix"], "lifetime": ["oldest"]})


class Told(NamedTuple):
    """What one run said of one cell."""

    ratio: Estimate | None
    verdict: Verdict


def repeatability(bench: Workbench) -> Finding:
    """The same few cases again and again, in new runs."""
    form = bench.form
    chosen = [*CASES[:-1], CASES[-1] if cores() > 1 else ONE_CORE][: form.repeated_cases]
    backends = [r.backend.label for r in bench.backends(form.backends)]
    told: dict[tuple[str, str], list[Told]] = {}
    notes: list[str] = []
    for number, (workload, overrides) in enumerate(chosen * form.repeats):
        begun, done = (each / (form.repeats * len(chosen)) for each in (number, number + 1))
        cases = bench.compare(bench.request([workload], overrides, backends), share=(begun, done))
        notes += losses(cases)
        for case in cases:
            for cell in case.cells:
                if cell.verdict is not None:
                    told.setdefault((case.planned.title, cell.cell.label), []).append(Told(cell.ratio, cell.verdict))
    measured = {
        "backends": backends,
        "cases": sorted({title for title, _ in told}),
        "runs": form.repeats,
        **bench.numbers(),
        "ratios": [
            {"case": title, "backend": label, "ratios": [each.ratio and each.ratio.value for each in runs]}
            for (title, label), runs in told.items()
        ],
    }
    return Finding(judged(told, form.repeats), measured, notes)


def judged(told: Mapping[tuple[str, str], Sequence[Told]], runs: int) -> list[Figure]:
    """The figures. ``told`` has for each ratio, named by case and backend, what each run said.

    A contradiction is faster in one run and slower in another. The median is that of the ratios of all runs, and the
    spread of a ratio the distance of its largest value from its smallest, as a share.
    """
    verdicts = [each.verdict for said in told.values() for each in said]
    against = sum({Verdict.FASTER, Verdict.SLOWER} <= {each.verdict for each in said} for said in told.values())
    spreads = []
    contained = intervals = 0
    for said in told.values():
        ratios = [each.ratio for each in said if each.ratio]
        if not ratios:
            continue
        middle = median(ratio.value for ratio in ratios)
        spreads.append((max(r.value for r in ratios) - min(r.value for r in ratios)) / middle)
        usable = [ratio for ratio in ratios if ratio.covered]
        intervals += len(usable)
        contained += sum(ratio.low <= middle <= ratio.high for ratio in usable)
    certain = sum(verdict is not Verdict.CANNOT_TELL for verdict in verdicts)
    spread = median(spreads) if spreads else None
    enough = runs > 1 and len(told) > 0
    return [
        Figure(
            "contradictions",
            against,
            f"{against} of {len(told)}",
            "0",
            Holds.NO if against else Holds.YES if enough else Holds.CANNOT_TELL,
        ),
        Figure(
            "intervals with median",
            contained / intervals if intervals else None,
            f"{contained} of {intervals}",
            f"{100 * CONTAINED:.0f} %",
            at_least(contained, intervals, CONTAINED, ENOUGH),
        ),
        Figure("verdicts told", certain / len(verdicts) if verdicts else None, f"{certain} of {len(verdicts)}"),
        Figure(
            "spread between runs",
            spread,
            f"{100 * spread:.1f} %, most {100 * max(spreads):.1f} %" if spread is not None else "not known",
        ),
    ]

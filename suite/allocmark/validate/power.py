# SPDX-License-Identifier: BSD-3-Clause
"""Which slowdowns are found? A backend gets twins that cost a known share more, and is compared with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from allocmark.errors import AllocmarkError
from allocmark.plugins import Host, Registered
from allocmark.results.summary import CaseSummary
from allocmark.stats import Estimate, Verdict, median
from allocmark.validate.proof import Figure, Finding, at_least
from allocmark.validate.twins import Twin, host_of
from allocmark.validate.workbench import SHORT, Workbench, losses

FOUND = 0.95  #: of the tries, for a slowdown to count as found
GOAL = 0.02  #: the slowdown that should be found, within the caches
ENOUGH = 100  #: tries that tell so large a share

CALIBRATION = 0.1  #: share of the time

_BULK = 32
_CALLS = 64  #: of `am_twin_table`: one of so many is lengthened
_DOUBLING = 2.0  #: multiplications per ns and call, with which a cost about doubles


@dataclass(frozen=True)
class Try:
    """What one run said of a slowdown."""

    ratio: Estimate | None
    verdict: Verdict

    @property
    def found(self) -> bool:
        """Whether the whole interval says that it costs more. The verdict also asks for a margin."""
        return self.ratio is not None and self.ratio.covered and self.ratio.low > 1


def power(bench: Workbench) -> Finding:
    """Each size is tried in every run, on one case within the caches."""
    form = bench.form
    (carrier,) = bench.backends(1)
    per_unit = _calibrated(bench, carrier)
    works = {size: max(1, round(size / per_unit)) for size in form.planted}
    twins = [Twin.of(carrier, "base"), *(Twin.of(carrier, _variant(size), work) for size, work in works.items())]
    host = host_of(twins, bench.folder / "planted")
    tries: dict[float, list[Try]] = {size: [] for size in form.planted}
    notes: list[str] = []
    for number in range(form.tries):
        begun, done = (CALIBRATION + (1 - CALIBRATION) * each / form.tries for each in (number, number + 1))
        case = _run(bench, host, twins, (begun, done))
        notes += losses([case])
        cells = {cell.cell.variant: cell for cell in case.cells}
        for size in form.planted:
            cell = cells[_variant(size)]
            if cell.verdict is not None:
                tries[size].append(Try(cell.ratio, cell.verdict))
    measured = {
        "backend": carrier.backend.label,
        "case": f"burst bulk={_BULK} keep=128",
        "multiplications": {f"{size:g}": work for size, work in works.items()},
        **bench.numbers(),
        "ratios": {f"{size:g}": [each.ratio and each.ratio.value for each in done] for size, done in tries.items()},
    }
    return Finding(judged(tries), measured, notes)


def _variant(size: float) -> str:
    return f"plus{round(1000 * size)}"


def _run(bench: Workbench, host: Host, twins: Sequence[Twin], share: tuple[float, float]) -> CaseSummary:
    request = bench.request(["burst"], SHORT | {"bulk": [str(_BULK)]}, [each.name for each in twins])
    (case,) = bench.compare(request, host, twins[0].name, share)
    return case


def _calibrated(bench: Workbench, carrier: Registered) -> float:
    """By which share the cost rises with each multiplication that is planted."""
    half = CALIBRATION / 2
    base = Twin.of(carrier, "base")
    twins = [base, Twin.of(carrier, "little", 1)]
    case = _run(bench, host_of(twins, bench.folder / "cost"), twins, (0.0, half))
    work = max(1, round(_DOUBLING * _median(case, "base") * _BULK / 2 * _CALLS))
    twins = [base, Twin.of(carrier, "much", work)]
    case = _run(bench, host_of(twins, bench.folder / "slope"), twins, (half, CALIBRATION))
    rise = next((cell.ratio.value - 1 for cell in case.cells if cell.cell.variant == "much" and cell.ratio), 0.0)
    if rise <= 0:
        raise AllocmarkError(
            f"{work} multiplications more made {carrier.backend.label} no slower: something else takes this "
            "machine's time, so validate it when it is idle"
        )
    return rise / work


def _median(case: CaseSummary, variant: str) -> float:
    for cell in case.cells:
        if cell.cell.variant == variant and cell.median:
            return cell.median.value
    raise AllocmarkError(f"no slowdown can be planted: {'; '.join(losses([case]))}")


def judged(tries: Mapping[float, Sequence[Try]]) -> list[Figure]:
    """The figures, of the ``tries`` by the size that was planted: how often it was found, and called slower."""
    figures = []
    smallest = None
    for size, done in sorted(tries.items()):
        found = sum(each.found for each in done)
        if done and smallest is None and found >= FOUND * len(done):
            smallest = size
        slower = sum(each.verdict is Verdict.SLOWER for each in done)
        ratios = [each.ratio.value for each in done if each.ratio]
        real = f" ({100 * median(ratios) - 100:.1f} measured)" if ratios else ""
        figures.append(
            Figure(
                f"{100 * size:g} %{real}",
                found / len(done) if done else None,
                f"{found} of {len(done)}, {slower} slower",
                f"{100 * FOUND:.0f} %" if size >= GOAL else "",
                at_least(found, len(done), FOUND, ENOUGH) if size >= GOAL else None,
            )
        )
    text = "none" if smallest is None else f"{100 * smallest:g} %"
    figures.append(Figure("smallest found", smallest, text, f"{100 * GOAL:.0f} %"))
    return figures

# SPDX-License-Identifier: BSD-3-Clause
"""What is said of a run in the same words by text, pages and exports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from allocmark.output.text.figures import Names, assignments, counted, names_of, plain, varied
from allocmark.results.kept_conformance import UNCHECKED, kept_verdicts, told
from allocmark.results.records import MeasuredCell, PlannedCase
from allocmark.results.store import Run
from allocmark.results.summary import CaseSummary, CellSummary
from allocmark.stats import MARGIN, one_in, smallest_seen

if TYPE_CHECKING:
    from allocmark.asv.history import Series


def heading(run: Run, cases: Iterable[CaseSummary] = ()) -> Iterator[str]:
    """Lines: which run this is, on what machine, with which versions; how many samples of ``cases`` were disturbed."""
    header = run.header
    yield f"{plain(header.id)}, {plain(header.created)}, seed {header.seed}"
    if machine := machine_facts(header.environment):
        yield machine
    yield from variables_said(header.environment.get("variables"))
    if versions := versions_of(run):
        yield ", ".join(f"{name} {version}" for name, version in versions.items())
    for label, library in libraries_of(run).items():
        yield f"{label}: {library}"
    if said := checked(run):
        yield f"acceptance kit: {said}"
    if marked := disturbed(cell for case in cases for cell in case.cells):
        yield f"disturbed: {marked}"


def variables_said(variables: object) -> Iterator[str]:
    """One line on variables that change malloc, where any were set."""
    if isinstance(variables, Mapping) and variables:
        said = ", ".join(plain(f"{name}={value}") for name, value in variables.items())
        yield f"{said} was set: every backend was measured with it, and malloc may not be the C library's"


def checked(run: Run) -> str:
    """What the acceptance kit last said, on the machine of a run, of each backend with figures in it."""
    names = names_of(run)
    kept = kept_verdicts(run.header.environment.get("machine", {}))
    found: dict[str, dict[str, None]] = {}  # a verdict, and the backends that have it
    for cell in (cell for case in run.cases for cell in case.cells if cell.status == "ok" and not cell.floor):
        found.setdefault(told(kept.get(cell.label), cell), {})[plain(names[cell.label])] = None
    texts = [f"{', '.join(labels)} {plain(verdict)}" for verdict, labels in found.items()]
    remedy = " (allocmark conform NAME)" if any(verdict.startswith(UNCHECKED) for verdict in found) else ""
    return "; ".join(texts) + remedy if texts else ""


def kit_power(calls: int) -> str:
    """How rare a fault the acceptance kit would have found in so many calls."""
    return f"{calls:,} calls were checked, which finds a fault in 1 of {one_in(calls):,} calls with 99 %"


def versions_of(run: Run) -> dict[str, str]:
    """By backend: the versions of its variants, each once."""
    found: dict[str, list[str]] = {}
    for case in run.cases:
        for cell in case.cells:
            if cell.version and plain(cell.version) not in found.setdefault(cell.backend, []):
                found[cell.backend].append(plain(cell.version))
    return {name: " and ".join(versions) for name, versions in found.items() if versions}


def libraries_of(run: Run) -> dict[str, str]:
    """By backend, or by variant where these differ: file and build id of the library whose functions were called."""
    found: dict[str, dict[str, str]] = {}
    for case in run.cases:
        for cell in case.cells:
            library = cell.attestation.get("library")
            if isinstance(library, Mapping) and (file := library.get("file")):
                build = f", build id {library['build_id']}" if library.get("build_id") else ""
                found.setdefault(cell.backend, {})[cell.label] = plain(f"{file}{build}")
    names = names_of(run)
    return {
        (name if len(by_label) > 1 and len(set(by_label.values())) == 1 else plain(names[label])): library
        for name, by_label in found.items()
        for label, library in by_label.items()
    }


def place(case: PlannedCase | MeasuredCell, varying: Mapping[str, Collection[str]] | None = None) -> str:
    """``workload key=value …``: a case in one line, with all parameters or those that `parameters_of` calls varying."""
    return plain(f"{case.workload} {assignments(case.parameters, varying and varying[case.workload])}")


def parameters_of(cases: Iterable[PlannedCase | Series]) -> tuple[dict[str, list[str]], dict[str, str]]:
    """By workload: the names of the parameters that vary over ``cases``, and ``key=value`` of the others."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for case in cases:
        found.setdefault(case.workload, []).append(case.parameters)
    split = {workload: varied(parameters) for workload, parameters in found.items()}
    fixed = {workload: assignments(found[workload][0], names) for workload, (_, names) in split.items()}
    return {workload: varying for workload, (varying, _) in split.items()}, fixed


def cell_name(cell: MeasuredCell) -> str:
    """``workload key=value … backend:variant``: the same name in every run, for formats that have no parameters."""
    return f"{place(cell)} {plain(cell.label)}"


def outcome(case: CaseSummary, cell: CellSummary) -> str:
    """The verdict on a cell, or one or two words why it has none."""
    if cell.verdict is not None:
        return cell.verdict.value
    if cell.cell.status != "ok":
        return cell.cell.status
    if cell.cell.label == case.baseline:
        return "baseline"
    return "floor" if cell.cell.floor and cell.median is not None else plain(cell.no_ratio or "")


def reason(cell: MeasuredCell) -> str:
    """Why a cell has no figures."""
    return plain(cell.reason or "no reason given")


def failures(cells: Iterable[MeasuredCell], names: Names) -> Counter[tuple[str, str, str, str]]:
    """Name, status, reason and remedy of the cells without figures, and how many cells these concern."""
    return Counter(
        (names[cell.label], cell.status, reason(cell), plain(cell.fix or "")) for cell in cells if cell.status != "ok"
    )


def other_group(cell: CellSummary) -> str:
    """How many of a cell's processes cost more or less than most, and by how much; nothing where they are alike."""
    found = cell.modes
    if not found:
        return ""
    fast = found.n - found.slow
    fewer, factor = (found.slow, found.factor) if found.slow <= fast else (fast, 1 / found.factor)
    return f"{fewer} of {found.n} cost {factor:.2g}x"


def tells(cell: CellSummary) -> str:
    """The smallest difference to the baseline that a cell's rounds could have told."""
    found = smallest_seen(cell.ratio)
    return "" if found is None else f"{found:.0%}"


def medians_differ(case: CaseSummary, cell: CellSummary) -> float | None:
    """The quotient of the medians of a cell and its baseline, where its ratio says something else; else None.

    The ratio is taken within rounds. Where costs changed between rounds, as when the machine changed its speed, the two
    medians may come from different rounds. Something else: outside the interval of the ratio, or across 1.
    """
    base = next((c.median for c in case.cells if c.cell.label == case.baseline), None)
    if not (cell.ratio and cell.ratio.n > 1 and cell.median and base and base.value):
        return None
    quotient = cell.median.value / base.value
    ratio = cell.ratio
    apart = max(quotient / ratio.value, ratio.value / quotient) > 1 + MARGIN
    other = not ratio.low <= quotient <= ratio.high or (quotient < 1) != (ratio.value < 1)
    return quotient if apart and other else None


def disturbed(cells: Iterable[CellSummary]) -> str:
    """How many of the samples used were disturbed, and by what; nothing when none was."""
    found = list(cells)
    marked = sum(cell.disturbed for cell in found)
    kinds = {plain(what) for cell in found for marks in cell.cell.disturbed.values() for what in marks}
    of = counted(sum(cell.used for cell in found), "sample")
    if not marked:
        return ""
    return (
        f"{marked} of {of} ({', '.join(sorted(kinds))}); they count like the others, but a cell with more than half of "
        "its samples disturbed gets no verdict"
    )


def machine_facts(environment: Mapping[str, Any]) -> str:
    """What measured, in one line: processor, memory, hypervisor, system."""
    machine = environment.get("machine")
    machine = machine if isinstance(machine, Mapping) else {}
    said = [
        (machine.get("cpu"), "{}"),
        (machine.get("cpus"), "{} CPUs"),
        (machine.get("cores"), "{} cores"),
        (machine.get("numa_nodes"), "NUMA nodes: {}"),
        (machine.get("memory_gib"), "{} GiB"),
        (machine.get("hypervisor"), "under {}"),
        (environment.get("os"), "{}"),
        (environment.get("kernel"), "kernel {}"),
    ]
    return ", ".join(form.format(plain(str(fact))) for fact, form in said if fact is not None)


def ratio_explained(base: str) -> str:
    """What ratios to ``base`` are."""
    return (
        f"ratio: cost divided by that of {base} in the same round; below 1 is faster than {base}. net ratio: the same "
        "for net costs, where both are certainly above 0."
    )


def verdicts_explained(confidence: str, margin: float) -> str:
    """What the four verdicts mean, for ratios with an interval of ``confidence``."""
    return (
        f"verdict: faster or slower when the {confidence} interval lies on one side of 1 and the ratio is more than "
        f"{100 * margin:.0f} % away from 1; same when the interval lies within {100 * margin:.0f} % of 1; otherwise "
        "cannot tell."
    )

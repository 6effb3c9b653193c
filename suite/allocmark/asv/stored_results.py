# SPDX-License-Identifier: BSD-3-Clause
"""Reads asv's folder of results. A damaged file is left out, with a note that says why, and the rest is read.

The layout is asv's (results format 2, benchmarks format 2, machine format 1): ``benchmarks.json``, and one folder per
machine with ``machine.json`` and ``COMMIT-ENVIRONMENT.json``.
"""

from __future__ import annotations

import ast
import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from allocmark.output.text.figures import counted

BENCHMARKS = "benchmarks.json"
MACHINE = "machine.json"
# Facts by which machines are told apart; memory and kernel of one machine may change over the years.
_HARDWARE = ("arch", "cpu", "num_cpu")


class _DamagedError(ValueError):
    """What is wrong with a file, without its name."""


@dataclass(frozen=True)
class Benchmark:
    """A benchmark: its present ``version``, its unit, and the names of its parameters."""

    name: str
    version: str
    unit: str
    parameters: tuple[str, ...]


@dataclass(frozen=True)
class StoredCell:
    """One figure; ``values`` are those of its parameters, in the order of the benchmark's names.

    ``value`` is the median of ``n`` samples, in the benchmark's unit; ``low`` and ``high`` are its 99 % interval, None
    when there are too few samples. ``value`` is None when the cell was not measured, or is not a finite number.
    """

    values: tuple[Any, ...]
    value: float | None
    low: float | None
    high: float | None
    samples: tuple[float, ...]
    n: int


@dataclass(frozen=True)
class StoredFigure:
    """The cells of one benchmark in one file. ``started`` is in milliseconds since 1970."""

    benchmark: str
    version: str | None
    started: float
    cells: tuple[StoredCell, ...]


@dataclass(frozen=True)
class ResultFile:
    """What was measured of one commit in one environment. ``date`` is the commit's, in milliseconds since 1970."""

    path: Path
    commit: str
    date: float
    rows: tuple[StoredFigure, ...]


@dataclass(frozen=True)
class Machine:
    """A machine, its ``facts`` as asv wrote them down, and its result files in the order of their names."""

    name: str
    folder: Path
    facts: Mapping[str, str]
    files: tuple[ResultFile, ...]


@dataclass(frozen=True)
class Results:
    """What could be read of a results folder, and a line for each thing that was left out."""

    benchmarks: Mapping[str, Benchmark]
    machines: tuple[Machine, ...]
    notes: tuple[str, ...]


def read_results(folder: Path) -> Results:
    """Read a results folder of asv. Raises nothing: what cannot be read is in ``notes``."""
    notes: list[str] = []
    if not folder.is_dir():
        return Results({}, (), (f"{folder}: no results yet: `asv run` measures commits",))
    try:
        benchmarks = _benchmarks(_object(folder / BENCHMARKS, 2))
    except _DamagedError as error:
        why = (
            f"{folder / BENCHMARKS}: {error}: the history is left out: `asv run --bench just-discover` writes the file"
        )
        return Results({}, (), (why,))
    machines = [machine for place in sorted(folder.iterdir()) if place.is_dir() and (machine := _machine(place, notes))]
    if not any(machine.files for machine in machines):
        notes.append(f"{folder}: no usable results: `asv run` measures commits")
    return Results(benchmarks, tuple(machines), tuple(notes))


def _benchmarks(members: Mapping[str, Any]) -> dict[str, Benchmark]:
    found = {}
    for name, entry in members.items():
        if not isinstance(entry, dict):  # the format's own number
            continue
        names = entry.get("param_names", [])
        if not isinstance(names, list) or not isinstance(entry.get("version"), str):
            raise _DamagedError(f"damaged: {name} has no version or no list of parameters")
        found[name] = Benchmark(name, entry["version"], str(entry.get("unit", "")), tuple(map(str, names)))
    return found


def _machine(folder: Path, notes: list[str]) -> Machine | None:
    paths = sorted(p for p in folder.glob("*.json") if p.name != MACHINE)
    try:
        facts = _object(folder / MACHINE, 1)
        name = facts.get("machine")
        if not isinstance(name, str) or not name:
            raise _DamagedError("damaged: it names no machine")
    except _DamagedError as error:
        if paths:
            notes.append(
                f"{folder / MACHINE}: {error}: asv does not know this machine: {counted(len(paths), 'result file')} "
                "left out: `asv run` on that machine writes the file"
            )
        return None
    if name != folder.name:
        notes.append(f"{folder}: holds results of machine {name}: left out: rename the folder to {name}")
        return None
    files = []
    for path in paths:
        try:
            files.append(_result_file(path, facts))
        except _DamagedError as error:
            notes.append(f"{path}: {error}: left out")
    return Machine(name, folder, {key: str(value) for key, value in facts.items()}, tuple(files))


def _result_file(path: Path, facts: Mapping[str, Any]) -> ResultFile:
    members = _object(path, 2)
    for key, kind in _RESULT_FILE.items():
        if not isinstance(members.get(key), kind):
            raise _DamagedError(f'damaged: "{key}" is missing or of a wrong kind; measure that commit again')
    params = members["params"]
    if params.get("machine") != facts["machine"]:
        raise _DamagedError(f"is of machine {params.get('machine')!r}; move it to that machine's folder")
    for fact in _HARDWARE:
        if fact in params and fact in facts and str(params[fact]) != str(facts[fact]):
            raise _DamagedError(
                f"was measured on another machine of the name {facts['machine']} ({fact} {params[fact]}, and "
                f"{MACHINE} says {facts[fact]}); give one of the two another name"
            )
    rows = tuple(_row(name, members["result_columns"], row) for name, row in members["results"].items())
    return ResultFile(path, members["commit_hash"], float(members["date"]), rows)


_RESULT_FILE: Mapping[str, type | tuple[type, ...]] = {
    "commit_hash": str, "date": (int, float), "env_name": str, "python": str, "params": dict,
    "requirements": dict, "result_columns": list, "results": dict,
}  # fmt: skip


def _row(name: str, columns: Sequence[str], row: Any) -> StoredFigure:
    if not isinstance(row, list) or len(row) > len(columns):
        raise _DamagedError(f"damaged: {name} is not a row of {len(columns)} columns; measure that commit again")
    entry = dict(zip(columns, row, strict=False))  # asv leaves empty columns at the end out
    texts = entry.get("params") or []
    if not all(isinstance(each, list) for each in texts):
        raise _DamagedError(f"damaged: {name} has parameters that are no lists; measure that commit again")
    combinations = list(itertools.product(*texts))
    # asv stores None for the whole list when every cell is None.
    lists = {
        key: [None] * len(combinations) if entry.get(key) is None else entry[key]
        for key in ("result", "stats_ci_99_a", "stats_ci_99_b", "stats_repeat", "samples")
    }
    for key, each in lists.items():
        if not isinstance(each, list) or len(each) != len(combinations):
            raise _DamagedError(
                f'damaged: {name} has no list of {len(combinations)} for "{key}"; measure that commit again'
            )
    cells = tuple(_cell(*parts) for parts in zip(combinations, *lists.values(), strict=True))
    return StoredFigure(name, entry.get("version"), _finite(entry.get("started_at")) or 0.0, cells)


def _cell(texts: Sequence[str], result: Any, low: Any, high: Any, repeat: Any, samples: Any) -> StoredCell:
    taken = tuple(x for x in map(_finite, samples) if x is not None) if isinstance(samples, list) else ()
    value = _finite(result)
    n = int(_finite(repeat) or len(taken) or value is not None)
    return StoredCell(tuple(map(_literal, texts)), value, _finite(low), _finite(high), taken, n)


def _finite(value: Any) -> float | None:
    """A number, or None for null, NaN, an infinity and what is no number at all."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _literal(text: Any) -> Any:
    """The number or text of which asv stored the ``repr``; the stored text when it is anything else."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return str(text)
    return value if isinstance(value, str | int | float) else str(text)


def _object(path: Path, version: int) -> dict[str, Any]:
    try:
        members = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise _DamagedError("is missing") from None
    except OSError as error:
        raise _DamagedError(f"cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise _DamagedError(f"damaged or half-written: not JSON ({error})") from error
    if not isinstance(members, dict):
        raise _DamagedError("damaged: not a JSON object")
    if members.get("version") != version:
        raise _DamagedError(f"has format {members.get('version')!r}, and {version} can be read; see `asv update`")
    return members


def unit_of(unit: str) -> tuple[str, float]:
    """How a unit of asv is shown, and what its figures are multiplied by: asv stores a time per object in seconds."""
    return ("ns/object", 1e9) if unit == "seconds" else (unit, 1.0)


def current_figures(file: ResultFile, benchmarks: Mapping[str, Benchmark]) -> Iterator[tuple[Benchmark, StoredFigure]]:
    """The rows of benchmarks that still exist and have the same version now."""
    for row in file.rows:
        benchmark = benchmarks.get(row.benchmark)
        if benchmark is not None and row.version in (None, benchmark.version):
            yield benchmark, row

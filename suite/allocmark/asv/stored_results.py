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
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from allocmark.output.text.figures import counted, plain
from allocmark.stats import median

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
        benchmarks = _benchmarks(folder / BENCHMARKS, notes)
    except _DamagedError as error:
        why = (
            f"{folder / BENCHMARKS}: {error}: the history is left out: `asv run --bench just-discover` writes the file"
        )
        return Results({}, (), (why,))
    machines = [machine for place in sorted(folder.iterdir()) if place.is_dir() and (machine := _machine(place, notes))]
    if not any(machine.files for machine in machines):
        notes.append(f"{folder}: no usable results: `asv run` measures commits")
    return Results(benchmarks, tuple(machines), tuple(notes))


def _benchmarks(path: Path, notes: list[str]) -> dict[str, Benchmark]:
    """The usable benchmarks: asv needs more members than we do, and fails without them."""
    found = {}
    for name, entry in _object(path, 2).items():
        if name == "version":  # the format's own number
            continue
        try:
            if not isinstance(entry, dict) or not all(isinstance(entry.get(k), t) for k, t in _BENCHMARK.items()):
                raise _DamagedError("damaged: a member is missing or of a wrong kind")
            names, values = entry["param_names"], entry["params"]
            if entry["name"] != name or not _texts(names) or len(names) != len(values) or not all(map(_texts, values)):
                raise _DamagedError("damaged: its name, or its parameters and their values, do not fit together")
        except _DamagedError as error:
            notes.append(f"{path}: {plain(name)}: {error}: its figures are left out")
            continue
        found[name] = Benchmark(name, entry["version"], entry["unit"], tuple(names))
    return found


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _machine(folder: Path, notes: list[str]) -> Machine | None:
    paths = sorted(p for p in folder.glob("*.json") if p.name != MACHINE)
    try:
        facts = _object(folder / MACHINE, 1)
        name = facts.get("machine")
        if not isinstance(name, str) or not name:
            raise _DamagedError("damaged: it names no machine")
        if not all(isinstance(value, _SCALAR) for value in facts.values()):
            raise _DamagedError("damaged: it holds more than texts and numbers")
    except _DamagedError as error:
        if paths:
            notes.append(
                f"{folder / MACHINE}: {error}: asv does not know this machine: {counted(len(paths), 'result file')} "
                "left out: `asv run` on that machine writes the file"
            )
        return None
    if name != folder.name:
        notes.append(f"{folder}: holds results of machine {plain(name)}: left out: rename the folder to {plain(name)}")
        return None
    files = []
    for path in paths:
        try:
            files.append(_result_file(path, facts))
        except _DamagedError as error:
            notes.append(f"{path}: {plain(str(error))}: left out")
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
    columns, date = members["result_columns"], _finite(members["date"])
    if not _texts(columns) or not all(isinstance(value, _SCALAR) for value in params.values()):
        raise _DamagedError(
            'damaged: a value in "result_columns" or "params" is of a wrong kind; measure that commit again'
        )
    if date is None or not 0 <= date < _LATEST or not _HASH.fullmatch(members["commit_hash"]):
        raise _DamagedError('damaged: "date" or "commit_hash" cannot be right; measure that commit again')
    rows = []
    for name, row in members["results"].items():
        try:
            rows.append(_row(columns, row))
        except _DamagedError as error:
            raise _DamagedError(f"damaged: {name} {error}; measure that commit again") from error
    return ResultFile(
        path,
        members["commit_hash"],
        date,
        tuple(StoredFigure(name, *row) for name, row in zip(members["results"], rows, strict=True)),
    )


_RESULT_FILE: Mapping[str, type | tuple[type, ...]] = {
    "commit_hash": str, "date": (int, float), "env_name": str, "python": str, "params": dict,
    "requirements": dict, "env_vars": dict, "result_columns": list, "results": dict, "durations": dict,
}  # fmt: skip
_BENCHMARK = {"name": str, "version": str, "unit": str, "type": str, "param_names": list, "params": list}
_OF_CELL = ("result", "stats_ci_99_a", "stats_ci_99_b", "stats_repeat", "samples")
_SCALAR = (str, int, float, type(None))
_HASH = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
_LATEST = 1e13  #: milliseconds since 1970: the year 2286
_MOST_CELLS = 100_000  #: of a row
_LARGEST = 1e15  #: of a figure; all are costs, and so none is negative


def _row(columns: Sequence[str], row: Any) -> tuple[str | None, float, tuple[StoredCell, ...]]:
    """The version, the start and the cells of a row. `_DamagedError` without the row's name."""
    if not isinstance(row, list) or len(row) > len(columns):
        raise _DamagedError(f"is not a row of {len(columns)} columns")
    entry = dict(zip(columns, row, strict=False))  # asv leaves empty columns at the end out
    texts, version = entry.get("params") or [], entry.get("version")
    if not isinstance(texts, list) or not all(map(_texts, texts)):
        raise _DamagedError("has parameters that are no lists of texts")
    if not isinstance(version, str | None):
        raise _DamagedError("has a version that is no text")
    if math.prod(map(len, texts)) > _MOST_CELLS:
        raise _DamagedError(f"has more than {_MOST_CELLS:,} cells")
    combinations = list(itertools.product(*texts))
    # asv stores None for the whole list when every cell is None. It reads more columns than we do.
    lists = {
        key: [None] * len(combinations) if entry.get(key) is None else entry[key]
        for key in (*_OF_CELL, *(each for each in entry if each.startswith("stats_")))
    }
    for key, each in lists.items():
        if not isinstance(each, list) or len(each) != len(combinations):
            raise _DamagedError(f'has no list of {len(combinations)} for "{key}"')
    cells = tuple(_cell(*parts) for parts in zip(combinations, *(lists[key] for key in _OF_CELL), strict=True))
    return version, _finite(entry.get("started_at")) or 0.0, cells


def _cell(texts: Sequence[str], result: Any, low: Any, high: Any, repeat: Any, samples: Any) -> StoredCell:
    if not isinstance(samples, list | None):
        raise _DamagedError("has samples that are no list")
    taken = tuple(x for x in map(_finite, samples or ()) if x is not None)
    value, low, high = map(_finite, (result, low, high))
    n = int(_finite(repeat) or len(taken) or value is not None)
    if not all(0 <= x < _LARGEST for x in (*taken, 0.0 if value is None else value, n)):
        raise _DamagedError("has a negative figure, or one that is too large")
    if value is not None and taken and not math.isclose(value, median(taken), rel_tol=1e-6):
        raise _DamagedError(f"has the result {value:g}, and samples with the median {median(taken):g}")
    if value is not None and low is not None and high is not None and not low <= value <= high:
        raise _DamagedError(f"has the result {value:g} outside its interval from {low:g} to {high:g}")
    return StoredCell(tuple(map(_literal, texts)), value, low, high, taken, n)


def _finite(value: Any) -> float | None:
    """A number; None for null, and for NaN and infinities, which asv writes where it has no figure."""
    if value is None:
        return None
    if (
        not isinstance(value, int | float)
        or isinstance(value, bool)
        or (isinstance(value, int) and abs(value) >= 2**64)
    ):
        raise _DamagedError("has something else in the place of a number")
    return float(value) if math.isfinite(value) else None


def _literal(text: str) -> Any:
    """The number or text of which asv stored the ``repr``; the stored text when it is anything else."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text
    if isinstance(value, int | float) and not abs(value) < _LARGEST:
        return text
    return value if isinstance(value, str | int | float) else text


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

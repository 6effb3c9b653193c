# SPDX-License-Identifier: BSD-3-Clause
"""The folder of a fleet: ``fleet.json`` says what was asked and who took part, ``MACHINE/CASE/run.jsonl`` is a run
file of one case. Each is written whole or not at all, so whatever ends the command costs only what was in flight."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from allocmark.errors import RunFileError
from allocmark.measuring.request import Request
from allocmark.output import write_whole
from allocmark.results.records import RecordError, typed
from allocmark.results.store import FILE_NAME, FLEET_FILE_NAME, Run, read_run

_FORMAT = 1
_LONGEST = 60  # characters of a folder's name


@dataclass(frozen=True)
class Member:
    """A machine that took part: its ``kind`` in words, and the facts that make it one."""

    kind: str
    machine: Mapping[str, Any]
    left_out: Sequence[str] = ()


@dataclass(frozen=True)
class Fleet:
    """What was asked for, of whom. ``cases`` has the titles that each kind of machine is to measure, ``seconds`` the
    longest that each may take; ``given_up`` those that could not be measured: kind, title and why. ``lost`` has a line
    for each machine that was lost or refused."""

    created: str
    argv: Sequence[str]
    request: Mapping[str, Any]
    baseline: str | None
    each: bool
    ratios: int
    members: Mapping[str, Member] = field(default_factory=dict)
    cases: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    given_up: Sequence[tuple[str, str, str]] = ()
    lost: Sequence[str] = ()


Measured = Mapping[str, Mapping[str, Run]]  #: by machine, then by the title of the case


def new_fleet(argv: Sequence[str], request: Request, baseline: str | None, each: bool) -> Fleet:
    """One of which nothing is known yet."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Fleet(now, list(argv), request.to_json(), baseline, each, 1)


class FleetFolder:
    """Reads and writes one."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, fleet: Fleet) -> None:
        """RunFileError when it cannot be written."""
        text = json.dumps({"format": _FORMAT, **asdict(fleet)}, indent=1) + "\n"
        with _writing(self.path / FLEET_FILE_NAME) as file:
            write_whole(file, text)

    def read(self) -> Fleet:
        """RunFileError, one line, for what is no folder of a fleet."""
        file = self.path / FLEET_FILE_NAME
        try:
            found = json.loads(file.read_bytes())
            if not isinstance(found, dict) or found.get("format") != _FORMAT:
                raise RecordError(f'"format" is not {_FORMAT}')
            return typed(Fleet, found)
        except OSError as error:
            raise RunFileError(
                f"{self.path}: not the folder of a fleet: {FLEET_FILE_NAME} cannot be read there"
            ) from error
        except (ValueError, RecursionError, RecordError) as error:
            raise RunFileError(f"{file}: damaged: {error}") from error

    def keep(self, machine: str, title: str, data: bytes) -> Run:
        """Write a run file that came home, and read it back. RunFileError when it is not a whole run of that case."""
        file = self.of(machine) / _slug(title) / FILE_NAME
        with _writing(file.with_suffix(".arriving")) as arriving:
            arriving.write_bytes(data)
        try:
            run = _checked(read_run(arriving), title)
        except RunFileError:
            arriving.rename(file.with_suffix(".bad"))
            raise
        arriving.rename(file)
        return replace(run, path=file)

    def of(self, machine: str) -> Path:
        """Where the runs of a machine lie."""
        return self.path / _slug(machine)

    def measured(self, fleet: Fleet) -> Measured:
        """What is home. A file that is damaged counts as missing."""
        folders = {kind: {_slug(title): title for title in titles} for kind, titles in fleet.cases.items()}
        return {
            name: dict(self._of_machine(name, folders.get(member.kind, {}))) for name, member in fleet.members.items()
        }

    def _of_machine(self, name: str, titles: Mapping[str, str]) -> Iterator[tuple[str, Run]]:
        # By what is there: in a large fleet most machines have few of the cases.
        for file in sorted(self.of(name).glob(f"*/{FILE_NAME}")):
            if title := titles.get(file.parent.name):
                with suppress(RunFileError):
                    yield title, _checked(read_run(file), title)


def by_kind(fleet: Fleet, measured: Measured) -> dict[str, dict[str, Run]]:
    """The runs of each kind of machine, by title, in the order in which the cases were asked for."""
    found: dict[str, dict[str, Run]] = {kind: {} for kind in fleet.cases}
    for name, runs in measured.items():
        found[fleet.members[name].kind].update(runs)
    return {kind: {title: runs[title] for title in fleet.cases[kind] if title in runs} for kind, runs in found.items()}


@contextmanager
def _writing(file: Path) -> Iterator[Path]:
    """Its folder is there, and RunFileError says what prevents it from being written."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        yield file
    except OSError as error:
        raise RunFileError(f"{file}: cannot be written: {error.strerror}") from error


def _checked(run: Run, title: str) -> Run:
    titles = [case.title for case in run.header.plan]
    if titles != [title]:
        raise RunFileError(f"{run.path}: is a run of {', '.join(titles)}, expected one of {title}")
    if run.damage or run.end is None or not run.cases:
        raise RunFileError(f"{run.path}: not whole: {next(iter(run.notes), 'it has no end')}")
    return run


def _slug(name: str) -> str:
    """A folder's name for it: readable, and another one for each name."""
    plain = re.sub(r"[^A-Za-z0-9._=-]+", "_", name).strip("._")[:_LONGEST]
    return plain if plain == name else f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"

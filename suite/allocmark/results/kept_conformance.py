# SPDX-License-Identifier: BSD-3-Clause
"""The newest verdict of the acceptance kit on each backend variant of a machine, in the user's state folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from allocmark.results.kept_validation import state_file
from allocmark.results.records import MeasuredCell

UNCHECKED = "not checked"


@dataclass(frozen=True)
class KeptVerdict:
    """What the kit found. ``created`` is ISO 8601 in UTC, ``version`` that of the library that was checked.

    ``cases`` counts those that were run; ``calls`` were checked for rare faults, which is the kit's power. ``builds``
    are those of `allocmark.measuring.attest.builds`; none: not known, as in verdicts of older versions.
    """

    created: str
    version: str
    passed: bool
    cases: int
    failed: int
    calls: int
    builds: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "passed" if self.passed else f"failed {self.failed} of {self.cases} cases"


def verdicts_file(machine: Mapping[str, Any]) -> Path:
    """Where those of ``machine`` lie, as run files describe it."""
    return state_file("conformance", machine)


def kept_verdicts(machine: Mapping[str, Any]) -> dict[str, KeptVerdict]:
    """Those of ``machine`` by backend variant; none where nothing can be read."""
    try:
        return msgspec.json.decode(verdicts_file(machine).read_bytes(), type=dict[str, KeptVerdict])
    except (OSError, RuntimeError, msgspec.MsgspecError):  # RuntimeError: there is no home
        return {}


def one_build(found: Iterable[Mapping[str, str]]) -> tuple[str, ...]:
    """The builds of the kit's cases; none when a file was replaced between two of them."""
    files = {build: file for each in found for build, file in each.items()}
    return tuple(sorted(files)) if len({*files.values()}) == len(files) else ()


def told(found: KeptVerdict | None, cell: MeasuredCell) -> str:
    """A verdict in a few words, where it is about what was measured in ``cell``; else that this was not checked."""
    if found is None:
        return UNCHECKED
    if found.version != cell.version:
        return f"{UNCHECKED} in version {cell.version}" if cell.version else f"{UNCHECKED} in this version"
    measured = cell.attestation.get("builds")
    if not (measured and isinstance(measured, Mapping) and set(measured) <= set(found.builds)):
        return f"{UNCHECKED} in this build"
    return str(found)

# SPDX-License-Identifier: BSD-3-Clause
"""The newest verdict of the acceptance kit on each backend variant of a machine, in the user's state folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from allocmark.results.kept_validation import state_file

UNCHECKED = "not checked"


@dataclass(frozen=True)
class KeptVerdict:
    """What the kit found. ``created`` is ISO 8601 in UTC, ``version`` that of the library that was checked.

    ``cases`` counts those that were run; ``calls`` were checked for rare faults, which is the kit's power.
    """

    created: str
    version: str
    passed: bool
    cases: int
    failed: int
    calls: int


def verdicts_file(machine: Mapping[str, Any]) -> Path:
    """Where those of ``machine`` lie, as run files describe it."""
    return state_file("conformance", machine)


def kept_verdicts(machine: Mapping[str, Any]) -> dict[str, KeptVerdict]:
    """Those of ``machine`` by backend variant; none where nothing can be read."""
    try:
        return msgspec.json.decode(verdicts_file(machine).read_bytes(), type=dict[str, KeptVerdict])
    except (OSError, RuntimeError, msgspec.MsgspecError):  # RuntimeError: there is no home
        return {}


def told(found: KeptVerdict | None, version: str) -> str:
    """A verdict in a few words, for the ``version`` that was measured."""
    if found is None:
        return UNCHECKED
    if found.version != version:
        return f"{UNCHECKED} in version {version}" if version else f"{UNCHECKED} in this version"
    return "passed" if found.passed else f"failed {found.failed} of {found.cases} cases"

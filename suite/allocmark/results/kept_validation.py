# SPDX-License-Identifier: BSD-3-Clause
"""The newest validation of each machine, in the user's state folder: reports of the same machine say what it found."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec


@dataclass(frozen=True)
class KeptFigure:
    """One figure of it."""

    what: str
    text: str


@dataclass(frozen=True)
class KeptProof:
    """One of its proofs; ``holds`` is "yes", "no" or "cannot tell"."""

    name: str
    holds: str
    figures: list[KeptFigure]


@dataclass(frozen=True)
class KeptValidation:
    """What reports say of a validation. ``created`` is ISO 8601 in UTC."""

    created: str
    form: str
    proofs: list[KeptProof]


def state_file(what: str, machine: Mapping[str, Any]) -> Path:
    """Where ``what`` is known of ``machine`` lies, as run files describe it. A home folder may be that of several."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    told = hashlib.blake2b(json.dumps(machine, sort_keys=True).encode(), digest_size=8).hexdigest()
    return Path(state) / "allocmark" / f"{what}-{told}.json"


def validation_file(machine: Mapping[str, Any]) -> Path:
    """Where that of ``machine`` lies."""
    return state_file("validation", machine)


def newest_validation(machine: Mapping[str, Any]) -> KeptValidation | None:
    """That of ``machine``; None where there is none that can be read."""
    try:
        return msgspec.json.decode(validation_file(machine).read_bytes(), type=KeptValidation)
    except (OSError, RuntimeError, msgspec.MsgspecError):  # RuntimeError: there is no home
        return None

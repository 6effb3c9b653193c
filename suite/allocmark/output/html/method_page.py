# SPDX-License-Identifier: BSD-3-Clause
"""Method and machine: how the figures were made, what the machine does to them, how to repeat them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from allocmark import stats
from allocmark.output.html.page_tables import Column, Datum, Table, percent, text
from allocmark.output.html.view import View
from allocmark.output.text.figures import plain

_OUTPUTS = {"-o", "--output", "--json"}  # where a run was written is no part of repeating it


def command(view: View) -> str:
    """The command that measures the same again."""
    arguments = view.run.header.argv
    kept, skip = [], False
    for argument in arguments:
        if skip:
            skip = False
        elif argument in _OUTPUTS:
            skip = True
        elif argument.partition("=")[0] not in _OUTPUTS:
            kept.append(plain(argument))
    return shlex.join(["allocmark", *kept])


def environment(view: View) -> Table:
    """Every fact of the machine that the run file holds."""
    rows = [
        [text(plain(name)), text(plain(said))]
        for name, said in _leaves({k: v for k, v in view.run.header.environment.items() if k != "doctor"})
    ]
    return Table.of("The machine and its system when the run began", (Column("fact"), Column("value")), rows)


def settings(view: View) -> Table:
    """How the run was asked for."""
    rows = [[text(plain(name)), text(plain(said))] for name, said in _leaves(view.run.header.settings)]
    return Table.of("Settings of the run", (Column("setting"), Column("value")), rows)


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            found += _leaves(value, f"{prefix}{key}.")
        else:
            found.append((f"{prefix}{key}", value if isinstance(value, str) else json.dumps(value)))
    return found


def doctor(view: View) -> Table | None:
    """What `allocmark doctor` found when the run began; None in the file of an older version."""
    found = view.run.header.environment.get("doctor")
    if not isinstance(found, list):
        return None
    tones = {"warn": "warn", "missing": "bad", "ok": "good", "note": "muted"}
    order = {"missing": 0, "warn": 1, "note": 2, "ok": 3}
    checks = [check for check in found if isinstance(check, Mapping)]
    return Table.of(
        "What the machine does to measuring",
        (Column("state"), Column("what"), Column("found"), Column("meaning"), Column("to change it")),
        [
            [
                Datum(status, order.get(status, 9), tone=tones.get(status, "muted")),
                *(text(plain(str(check.get(key, "")))) for key in ("name", "found", "meaning", "fix")),
            ]
            for check in sorted(checks, key=lambda c: order.get(str(c.get("status")), 9))
            for status in [plain(str(check.get("status", "")))]
        ],
    )


def figures() -> dict[str, str]:
    """The constants of the method, as the text cites them."""
    return {
        "median": percent(stats.MEDIAN_CONFIDENCE),
        "ratio": percent(stats.RATIO_CONFIDENCE),
        "margin": percent(stats.MARGIN),
        "unpaired": percent(stats.UNPAIRED_MARGIN),
        "distance": percent(stats.DISTANCE_TOLERANCE),
        "least": str(next(n for n in range(1, 99) if stats.order_rank(n, stats.RATIO_CONFIDENCE))),
    }

# SPDX-License-Identifier: BSD-3-Clause
"""Method and machine: how to repeat the run, how figures and verdicts come about, what may disturb them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from allocmark import stats
from allocmark.output.html.page_tables import Column, Datum, Table, member, percent
from allocmark.output.html.run_view import View
from allocmark.output.text.figures import plain
from allocmark.results.kept_validation import newest_validation
from allocmark.results.summary import ratios_of

_OUTPUTS = {"-o", "--output", "--json"}  # where a run was written is no part of repeating it
_SEVERITY = {"missing": "bad", "warn": "warn", "note": "muted", "ok": "good"}  # the worst first, and how each is shown


def method_page(view: View) -> dict[str, Any]:
    """What the template shows."""
    environment = {k: v for k, v in view.run.header.environment.items() if k != "doctor"}
    return {
        "command": command(view),
        "figures": figures(ratios_of(view.run.header.plan)),
        "doctor": doctor(view),
        "validation": validation(view),
        "environment": _facts("The machine and its system when the run began", environment),
        "settings": _facts("Settings of the run", view.run.header.settings),
    }


def command(view: View) -> str:
    """The command that measures the same again."""
    return repeated(view.run.header.argv)


def repeated(arguments: Sequence[str]) -> str:
    """A command with ``arguments``, but for where it wrote."""
    kept, skip = [], False
    for argument in arguments:
        if skip:
            skip = False
        elif argument in _OUTPUTS:
            skip = True
        elif argument.partition("=")[0] not in _OUTPUTS:
            kept.append(plain(argument))
    return shlex.join(["allocmark", *kept])


def _facts(caption: str, tree: Mapping[str, Any]) -> Table:
    columns = (Column("name", lambda name, _: plain(name)), Column("value", lambda _, value: plain(value)))
    return Table.of(caption, columns, _leaves(tree))


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
    order = list(_SEVERITY)

    def rank(check: Mapping[str, Any]) -> int:
        return order.index(check["status"]) if check.get("status") in order else len(order)

    def state(check: Mapping[str, Any]) -> Datum:
        status = str(check.get("status", ""))
        return Datum(plain(status), rank(check), tone=_SEVERITY.get(status, "muted"))

    return Table.of(
        "What the machine does to measuring",
        (
            Column("state", state),
            member("what", "name"),
            member("found", "found"),
            member("meaning", "meaning"),
            member("to change it", "fix"),
        ),
        [(check,) for check in sorted((check for check in found if isinstance(check, Mapping)), key=rank)],
        key="what",
    )


def validation(view: View) -> str | None:
    """What `allocmark validate` found last on the run's machine; None where there is nothing of it here."""
    found = newest_validation(view.run.header.environment.get("machine", {}))
    if found is None:
        return None
    repeated = "; ".join(
        f"{figure.what} {figure.text}"
        for proof in found.proofs
        if proof.name == "repeatability"
        for figure in proof.figures
    )
    beyond = [proof.name for proof in found.proofs if proof.holds == "no"]
    limits = f"beyond a limit: {', '.join(beyond)}" if beyond else "no figure beyond its limit"
    return plain(f"validated {found.created[:10]} (form {found.form}), {limits}; repeatability: {repeated}")


def figures(ratios: int = 1) -> dict[str, str]:
    """The constants of the method, as the text cites them, for a run with so many ``ratios``."""
    return {
        "median": percent(stats.MEDIAN_CONFIDENCE),
        "ratio": percent(stats.RATIO_CONFIDENCE),
        "margin": percent(stats.MARGIN),
        "unpaired": percent(stats.UNPAIRED_MARGIN),
        "distance": percent(stats.DISTANCE_TOLERANCE),
        "pace": percent(stats.PACE_TOLERANCE),
        "least": str(stats.least_rounds(ratios)),
    }

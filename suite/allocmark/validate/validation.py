# SPDX-License-Identifier: BSD-3-Clause
"""All proofs, one after another, and the document that says what they found."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from allocmark.errors import AllocmarkError
from allocmark.measuring.schedule import Progress
from allocmark.measuring.single import MEASURING_VERSION
from allocmark.plugins import Host
from allocmark.system import machine
from allocmark.validate.carry_over import carry_over
from allocmark.validate.fidelity import fidelity
from allocmark.validate.floor import floor
from allocmark.validate.forms import Form
from allocmark.validate.power import power
from allocmark.validate.proof import Finding, Proof
from allocmark.validate.repeatability import repeatability
from allocmark.validate.silence import silence
from allocmark.validate.workbench import Workbench

FORMAT = 1  #: of the document

#: In the order of the table, with the share of the time that each takes, roughly.
PROOFS: tuple[tuple[str, Callable[[Workbench], Finding], float], ...] = (
    ("repeatability", repeatability, 0.3),
    ("silence", silence, 0.15),
    ("power", power, 0.25),
    ("fidelity", fidelity, 0.1),
    ("floor", floor, 0.1),
    ("carry-over", carry_over, 0.1),
)


def validate(form: Form, host: Host, report: Callable[[Progress], None]) -> list[Proof]:
    """Do every proof; one that cannot be done has no figures. AllocmarkError when none is possible here."""
    proofs = []
    begun = 0.0
    with tempfile.TemporaryDirectory(prefix="allocmark-validate-") as folder:
        bench = Workbench(form, host, Path(folder), report)
        if not bench.backends(1):
            raise AllocmarkError("nothing to validate: no backend can run here, see `allocmark list backends`")
        for name, prove, part in PROOFS:
            bench.begin(name, (begun, part))
            start = time.monotonic()
            try:
                found = prove(bench)
            except AllocmarkError as error:  # the others may still be done
                found = Finding((), {}, [f"could not be done: {error}"])
            proofs.append(Proof(name, found.figures, time.monotonic() - start, found.measured, found.notes))
            begun += part
    return proofs


def document(proofs: Sequence[Proof], form: Form) -> dict[str, Any]:
    """What was found, when and where, as JSON."""
    return {
        "format": FORMAT,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "form": form.name,
        "measuring_version": MEASURING_VERSION,
        "environment": machine.facts(),
        "seconds": sum(proof.seconds for proof in proofs),
        "proofs": [{**asdict(proof), "holds": proof.holds} for proof in proofs],
    }

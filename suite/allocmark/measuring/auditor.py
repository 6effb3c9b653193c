# SPDX-License-Identifier: BSD-3-Clause
"""The process of one audit, as `allocmark.measuring.serving` has it: nothing is asked, it makes the audit that its job
names and replies once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, TextIO

from allocmark.engine.audits import Audit
from allocmark.measuring.attest import builds, called_by
from allocmark.measuring.serving import backend_of, reply, serve


def _serve(job: Mapping[str, Any], requests: TextIO, replies: TextIO) -> bool:
    backend, _ = backend_of(job)
    assert backend.table is not None  # only available variants are audited
    checked = Audit(**job["audit"]).run(backend.table, backend.options)
    reply(replies, calls=checked, builds=builds(backend, called_by(backend)))
    return True


if __name__ == "__main__":
    # Not by sys.exit: threads may still be inside a backend that was found broken.
    os._exit(serve(_serve))

# SPDX-License-Identifier: BSD-3-Clause
"""The process of one audit: ``python -m allocmark.measuring.auditor IN OUT PARENT``.

As `allocmark.measuring.worker`, but nothing is asked through IN: it makes the audit that standard input names, and
writes one line.
"""

from __future__ import annotations

import json
import os
import sys

from allocmark import plugins
from allocmark.engine.audits import Audit
from allocmark.errors import AllocmarkError, RefusedError
from allocmark.measuring.child import begin_child, find_backend, reply


def main() -> None:
    """Make the audit. Ends the process: threads may still be inside a backend that was found broken."""
    begin_child()
    job = json.load(sys.stdin)
    with open(int(sys.argv[2]), "w") as replies:
        try:
            backend = find_backend(plugins.load(only=job["plugins"], prefix=job["prefix"]), job["backend"])
            assert backend.table is not None  # only available variants are audited
            reply(replies, calls=Audit(**job["audit"]).run(backend.table, backend.options))
        except AllocmarkError as error:
            reply(replies, error=str(error), refused=isinstance(error, RefusedError))
            os._exit(1)


if __name__ == "__main__":
    main()

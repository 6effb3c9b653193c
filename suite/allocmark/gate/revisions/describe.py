# SPDX-License-Identifier: BSD-3-Clause
"""Lists the backends that are installed in a folder, in a process of its own.

Two versions of one plugin cannot be imported into one process. ``python -m allocmark.gate.revisions.describe FOLDER``
prints one JSON document.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from allocmark import plugins
from allocmark.backend import Backend, Capabilities, Pages, Unavailable
from allocmark.errors import AllocmarkError

SECONDS = 120  #: a plugin that takes longer to list its backends is not used


def describe(prefix: Path) -> plugins.Host:
    """The host's own backends and those in ``prefix``, as `allocmark.plugins.load` finds them there.

    Their ``table`` is an address in a process that has ended, so they can be planned but not called here. Raises
    AllocmarkError when a plugin ends the process that asks it, or takes more than `SECONDS`.
    """
    try:
        # -P: a file in the current folder must not be taken for a module.
        done = subprocess.run(
            [sys.executable, "-P", "-m", "allocmark.gate.revisions.describe", str(prefix)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        document = json.loads(done.stdout.splitlines()[-1])  # a plugin may print, too
    except (IndexError, ValueError) as error:
        said = " ".join(done.stderr.split())[-200:] or f"exit status {done.returncode}"
        raise AllocmarkError(f"the plugins in {prefix} cannot be asked for their backends: {said}") from error
    except subprocess.TimeoutExpired as error:
        raise AllocmarkError(f"the plugins in {prefix} did not list their backends within {SECONDS} s") from error
    return plugins.Host(
        backends=[_registered(each) for each in document["backends"]],
        broken=[plugins.BrokenPlugin(**each) for each in document["broken"]],
    )


def _registered(document: dict[str, Any]) -> plugins.Registered:
    backend = dict(document["backend"])
    backend["capabilities"] = Capabilities(**backend["capabilities"])
    backend["pages"] = Pages(backend["pages"])
    backend["unavailable"] = backend["unavailable"] and Unavailable(**backend["unavailable"])
    return plugins.Registered(**{**document, "backend": Backend(**backend)})


def _document(registered: plugins.Registered) -> dict[str, Any]:
    backend = registered.backend
    plain = {name: getattr(backend, name) for name in Backend.__dataclass_fields__}
    plain["options"], plain["environ"] = dict(backend.options), dict(backend.environ)
    plain["capabilities"] = asdict(backend.capabilities)
    plain["unavailable"] = backend.unavailable and asdict(backend.unavailable)
    return {**vars(registered), "backend": plain}


if __name__ == "__main__":
    host = plugins.load(prefix=sys.argv[1])
    print(
        json.dumps(
            {
                "backends": [_document(registered) for registered in host.backends],
                "broken": [asdict(broken) for broken in host.broken],
            }
        )
    )

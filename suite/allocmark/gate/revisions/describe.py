# SPDX-License-Identifier: BSD-3-Clause
"""Lists the backends that are installed in a folder, in a process of its own.

Two versions of one plugin cannot be imported into one process. ``python -m allocmark.gate.revisions.describe FOLDER``
prints one JSON document.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from allocmark import plugins
from allocmark.errors import AllocmarkError

SECONDS = 120  #: a plugin that takes longer to list its backends is not used

_Listed = tuple[list[plugins.Registered], list[plugins.BrokenPlugin]]


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
        # The last line, as a plugin may print, too.
        backends, broken = TypeAdapter(_Listed).validate_json(done.stdout.splitlines()[-1])
    except (IndexError, ValueError) as error:
        said = " ".join(done.stderr.split())[-200:] or f"exit status {done.returncode}"
        raise AllocmarkError(f"the plugins in {prefix} cannot be asked for their backends: {said}") from error
    except subprocess.TimeoutExpired as error:
        raise AllocmarkError(f"the plugins in {prefix} did not list their backends within {SECONDS} s") from error
    return plugins.Host(backends=backends, broken=broken)


def _plain(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else vars(value)


if __name__ == "__main__":
    host = plugins.load(prefix=sys.argv[1])
    print(json.dumps((host.backends, host.broken), default=_plain))

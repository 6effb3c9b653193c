# SPDX-License-Identifier: BSD-3-Clause
"""The tracked variants, and why one of them cannot be measured at a commit."""

from __future__ import annotations

import json
import sys
from importlib.metadata import distribution
from pathlib import Path

from allocmark import AllocmarkError, plugins
from asv_environment.harness import is_current
from asv_environment.install import REPOSITORY, status_file

LOG_LINES = 20  #: of a failed build's log that are shown

# By label, and the distribution that brings it. Written out and not asked of what is installed: asv hands parameters
# over by their index, so a list that depends on the commit gives one backend's figures the name of another. Variants
# too, as a default may change.
BACKENDS = {
    "null:default": "allocmark",  # the floor tells a change of the machine from one of an allocator
    "turbomem:thp": "allocmark-turbomem",
    "dpdk_ring:ring_mp_mc-hugetlb": "allocmark-dpdk",
    "glibc:default": "allocmark-glibc",
}


def check_harness() -> None:
    """Raises RuntimeError when the working tree's harness is no longer the one that is installed here."""
    if not is_current(distribution("allocmark"), REPOSITORY):
        raise RuntimeError("the harness was edited while asv ran: start asv again, and it installs the new one")


def why_missing(label: str, error: AllocmarkError) -> Exception:
    """What to raise for ``error``, which was raised when ``label`` was asked for.

    NotImplementedError, an empty case, when the commit does not have it; RuntimeError, a failed case, when it should;
    ``error`` when it is here, or when this is no environment of a commit.
    """
    host = plugins.load()
    if any(each.backend.label == label for each in host.backends):
        return error
    try:
        status = json.loads(status_file().read_text())
    except FileNotFoundError:
        return error
    name = BACKENDS[label]
    commit = status["commit"][:8]
    built = next((each for each in status["backends"] if each["distribution"] == name), None)
    if built is None:
        return NotImplementedError(f"{name} is not in commit {commit}")
    if built["reason"]:
        end = "\n".join(Path(built["log"]).read_text(errors="replace").splitlines()[-LOG_LINES:])
        print(f"{built['log']} ends with:\n{end}", file=sys.stderr)
        return RuntimeError(f"{name} of commit {commit} does not build: {built['reason']}")
    for broken in host.broken:
        if broken.distribution.split()[0] == name:
            return RuntimeError(f"the plugin of {name} at commit {commit} is not used: it {broken.cause}")
    return NotImplementedError(f"commit {commit}: {error}")

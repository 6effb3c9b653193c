# SPDX-License-Identifier: BSD-3-Clause
"""The tracked backends, and why one of them cannot be measured at a commit."""

from __future__ import annotations

import json
import sys
from importlib.metadata import distribution
from pathlib import Path

from allocmark import AllocmarkError, installed
from asv_environment.harness import is_current
from asv_environment.install import REPOSITORY, status_file

LOG_LINES = 20  #: of a failed build's log that are shown

# Labels, with the distribution that has the backend. A fixed list with variants, not what a commit happens to have: asv
# identifies parameters by their index, so in a list that changes, one backend's figures get the name of another.
BACKENDS = {
    "null:default": "allocmark",  # the floor: when it changes, the machine or the harness did
    "turbomem:thp": "allocmark-turbomem",
    "dpdk_ring:ring_mp_mc-hugetlb": "allocmark-dpdk",
    "glibc:default": "allocmark-glibc",
}

# Libraries of others, which change when the machine is upgraded and not when we commit: tracked in benchmarks of their
# own, `malloc.*`, which run only when `--bench malloc` asks for them.
MALLOCS = {
    "null:default": "allocmark",
    "glibc:default": "allocmark-glibc",
    "jemalloc:default": "allocmark-jemalloc",
    "mimalloc:v2": "allocmark-mimalloc",
    "mimalloc:v3": "allocmark-mimalloc",
    "scudo:default": "allocmark-scudo",
    "tbb:default": "allocmark-tbb",
    "tcmalloc:default": "allocmark-tcmalloc",
    "tbb:fixed_pool": "allocmark-tbb",
    "pmr:synchronized": "allocmark-pmr",
    "dpdk_ring:rte_malloc-hugetlb": "allocmark-dpdk",
}

# The same for pools of one size: `pools.*`.
POOLS = {
    "null:default": "allocmark",
    "turbomem:thp": "allocmark-turbomem",
    "boost:pool": "allocmark-boost",
    "boost:lockfree_stack": "allocmark-boost",
    "ck:stack_mpmc": "allocmark-ck",
    "foonathan:node": "allocmark-foonathan",
    "dpdk_ring:pktmbuf-hugetlb": "allocmark-dpdk",
}


def check_harness() -> None:
    """Raise RuntimeError when the working tree's harness was edited after it was installed here."""
    if not is_current(distribution("allocmark"), REPOSITORY):
        raise RuntimeError("the harness was edited while asv ran: start asv again to install the new one")


def why_missing(label: str, error: AllocmarkError) -> Exception:
    """The exception to raise for ``error``, which a measurement of ``label`` raised.

    NotImplementedError (asv: an empty cell) when the commit does not have the backend; RuntimeError (a failed cell)
    when the commit has it, but it cannot be used; ``error`` when it is installed, or this is no environment of asv.
    """
    host = installed.load()
    if any(each.backend.label == label for each in host.backends):
        return error
    try:
        status = json.loads(status_file().read_text())
    except FileNotFoundError:
        return error
    name = (BACKENDS | MALLOCS | POOLS)[label]
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

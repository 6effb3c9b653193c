# SPDX-License-Identifier: BSD-3-Clause
"""What DPDK's own measurement says of its mempool: ``mempool_perf_autotest`` of the program dpdk-test.

Its loop is that of the workload burst. It prints its rates one by one, for every bulk and keep, 5 s each, without a
cache first; so it takes minutes until the one that is wanted is there.
"""

from __future__ import annotations

import os
import pty
import re
import selectors
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from allocmark.errors import AllocmarkError

PROGRAM = "dpdk-test"
MINUTES = 45.0  #: that it may take: with six times 60 rates before the wanted ones, it takes 36
_TEST = b"mempool_perf_autotest\n"
_LINE = re.compile(
    r"cache=(\d+) cores=(\d+) n_get_bulk=(\d+) n_put_bulk=(\d+) n_keep=(\d+) constant_n=0 rate_persec=(\d+)"
)


def missing() -> str | None:
    """Why there is nothing to compare with; None where the program is installed."""
    return None if shutil.which(PROGRAM) else f"{PROGRAM} is not installed: `apt-get install dpdk-dev` brings it"


def parsed(text: str) -> dict[tuple[int, int, int, int, int], float]:
    """ns per object by cache, cores, bulk of get and of put, and keep, in what the program printed."""
    found = {}
    for cache, cores, get, put, keep, rate in _LINE.findall(text):
        if int(rate):
            found[int(cache), int(cores), int(get), int(put), int(keep)] = 1e9 * int(cores) / int(rate)
    return found


def dpdk_ns(cpu: int, cache: int, bulk: int, keep: int, tell: Callable[[float], None]) -> float:
    """What the program says that an object costs on this CPU, in ns. AllocmarkError when it does not say it."""
    wanted = cache, 1, bulk, bulk, keep
    text = ""
    seconds, begun = 0.0, time.monotonic()
    for part in _said(cpu):
        text += part
        if wanted in (found := parsed(text)):
            return found[wanted]
        seconds = time.monotonic() - begun
        if seconds > 60 * MINUTES:
            break
        tell(seconds / (60 * MINUTES))
    raise AllocmarkError(f"{PROGRAM} printed no rate for cache={cache} bulk={bulk} keep={keep} in {seconds:.0f} s")


def _said(cpu: int) -> Iterator[str]:
    """What it prints, part by part, and "" where it printed nothing for a second."""
    with _started(cpu) as terminal, selectors.DefaultSelector() as selector:
        selector.register(terminal, selectors.EVENT_READ)
        os.write(terminal, _TEST)
        while True:
            if not selector.select(1.0):
                yield ""
                continue
            try:
                yield os.read(terminal, 1 << 16).decode(errors="replace")
            except OSError:  # it has ended
                return


@contextmanager
def _started(cpu: int) -> Iterator[int]:
    """Its terminal: into a pipe it would print only when it ends."""
    terminal, its = pty.openpty()
    command = [PROGRAM, "--no-huge", "-m", "512", "--no-pci", "--no-telemetry", "--no-shconf", "--log-level=error"]
    try:
        process = subprocess.Popen(
            [*command, "--lcores", f"0@{cpu}"], stdin=its, stdout=its, stderr=its, start_new_session=True
        )
    except OSError as error:
        os.close(terminal)
        raise AllocmarkError(f"{PROGRAM} could not be started: {error}") from error
    finally:
        os.close(its)
    try:
        yield terminal
    finally:
        process.kill()
        process.wait()
        os.close(terminal)

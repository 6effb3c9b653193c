# SPDX-License-Identifier: BSD-3-Clause
"""Packets per second that DPDK's testpmd forwards, with each mempool handler in turn.

    .venv/bin/python backends/turbomem_c/bench/testpmd.py [HANDLER ...] [--rounds 16] [--seconds 0.3] [--only SCENE ...]

In every round each handler gets a fresh testpmd, which forwards for a fraction of a second: where a process lies in
memory decides how fast it is. Rounds begin with another handler each, so that a drift of the machine meets all alike.
Ratios are taken within a round, and the error of 1 % is for all of them together: that takes 15 rounds or more for all
scenes and handlers.

Nothing of this has a device: net_null makes packets out of nothing and drops them, net_ring hands them from one core
to another. So the mempool has a larger part in it than with any real device, and no larger one can be had.

The column `in handler` is the part of its time that the busiest forwarding core spends in the handler's enqueue and
dequeue, by a clock around them (testpmd_timed.c). It bounds what any other handler can gain: with a part p, no more
than 1 / (1 - p), plus what its choice of objects saves in cache misses elsewhere. rte_mempool's own per-lcore cache,
which is the same for all handlers, is not in it. `disturbed` counts the samples during which a forwarding thread had
to wait for its CPU, for more than 2 % of the time, five times in a row: on a quiet machine there are none.
"""

from __future__ import annotations

import argparse
import fcntl
import importlib.util
import mmap
import os
import re
import shlex
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from samples import ratio
from tabulate import tabulate

import allocmark
from allocmark import stats
from allocmark.cli.arguments import positive
from allocmark.output.text.figures import figure, interval
from allocmark.system import machine

HERE = Path(__file__).resolve().parent
BUILD = HERE.parents[2] / "build" / "testpmd"  # not a temporary folder: DPDK loads nothing from below a public one
LIMIT = Path("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_overcommit_hugepages")
BASELINE = "ring_mp_mc"
HANDLERS = [BASELINE, "ring_sp_sc", "stack", "lf_stack", "turbomem"]
PROMPT = b"testpmd> "


TOLERATED = 0.02  # part of a sample that a forwarding thread may wait for its CPU
TRIES = 5
SHARES = 3  # processes that are asked for the part of the handler


class TestpmdError(Exception):
    """What a person is told instead of a table."""


@dataclass(frozen=True)
class Scene:
    """What the cores do. ``sink`` is the port whose transmitted packets are counted; None: all of them."""

    name: str
    about: str
    devices: tuple[str, ...]
    cores: int
    sink: int | None = None
    options: tuple[str, ...] = ()
    #: handlers that are legal here: a pool of a single producer and consumer is one core's
    single: bool = field(default=False)


SCENES = [
    Scene("null-1", "one core, null to null", ("net_null0",), 1, single=True),
    Scene("null-1-mac", "the same, headers rewritten", ("net_null0",), 1, options=("--forward-mode=mac",), single=True),
    Scene("null-1-copy", "the same, 64 bytes copied at each end", ("net_null0,copy=1",), 1, single=True),
    Scene("null-2", "two cores, each null to null", ("net_null0", "net_null1"), 2),
    Scene("ring-2", "one core gets, a ring between, the other puts", ("net_null0", "net_ring0"), 2, sink=0),
    Scene(
        *("ring-2-mac", "the same, headers rewritten on both", ("net_null0", "net_ring0"), 2),
        sink=0,
        options=("--forward-mode=mac",),
    ),
]


@contextmanager
def borrowed_huge_pages(wanted: int) -> Iterator[None]:
    """A window in which so many pages of 2 MB can be mapped; the kernel takes them back when they are unmapped."""
    try:
        lock = LIMIT.open()
    except OSError as error:
        raise TestpmdError(f"{LIMIT}: {error.strerror}: use --no-huge") from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the lock that everything here takes which raises the limit
        before = LIMIT.read_text()
        try:
            surplus = int(LIMIT.with_name("surplus_hugepages").read_text())
            LIMIT.write_text(str(surplus + wanted))
        except OSError as error:
            raise TestpmdError(
                f"{wanted} huge pages of 2 MB are needed and the limit may not be raised ({error.strerror}): run "
                f"`echo {wanted} > /proc/sys/vm/nr_hugepages`, or use --no-huge"
            ) from None
        try:
            yield
        finally:
            LIMIT.write_text(before)


def driver_of(handler: str) -> list[str]:
    """What to load for a handler that is not DPDK's."""
    if handler != "turbomem":
        return []
    package = importlib.util.find_spec("allocmark_turbomem")
    folders = package.submodule_search_locations if package and package.submodule_search_locations else []
    for folder in folders:
        if (library := Path(folder, "librte_mempool_turbomem.so")).exists():
            return [str(library)]
    raise TestpmdError("no driver for turbomem: apt-get install libdpdk-dev && make setup")


def build_clock() -> Path:
    library = BUILD / "librte_mempool_timed.so"
    source = HERE / "testpmd_timed.c"
    if not library.exists() or library.stat().st_mtime < source.stat().st_mtime:
        BUILD.mkdir(parents=True, exist_ok=True)
        flags = shlex.split(allocmark.pkg_config("--cflags", "libdpdk") or "")
        command = [os.environ.get("CC", "cc"), *flags, *("-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-fPIC")]
        subprocess.run([*command, "-shared", str(source), "-o", str(library)], check=True)
    return library


class Clock:
    """What `testpmd_timed.c` counts: per lcore, cycles in the handler."""

    LINE = struct.Struct("@2Q48x")  # a cache line: cycles, and how many a second has

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def read(self) -> list[int]:
        return [cycles for cycles, _ in self.LINE.iter_unpack(self._map[:])]

    def share(self, before: list[int], seconds: float) -> float:
        _, hz = self.LINE.unpack_from(self._map)
        return max(now - was for now, was in zip(self.read(), before, strict=True)) / (seconds * hz)


class Sample(NamedTuple):
    packets: float  #: per second
    share: float  #: of the handler, where there is a clock
    disturbed: bool  #: by whatever else ran on its CPUs


class Testpmd:
    """One testpmd with one handler, forwarding only while it is asked to."""

    def __init__(self, scene: Scene, handler: str, options: argparse.Namespace, clock: Path | None = None) -> None:
        cpus = machine.usable_cpus()
        cores = [cpus[(len(cpus) - 1 - i) % len(cpus)] for i in range(scene.cores)]
        lcores = ",".join(f"{lcore}@{cpu}" for lcore, cpu in enumerate([cpus[0], *cores]))
        libraries = driver_of(handler) + ([str(build_clock())] if clock else [])
        pages = ["--no-huge", "--no-shconf", "-m", "1024"] if options.no_huge else ["--in-memory"]
        command = [
            *("stdbuf", "-oL"),  # or what it prints comes after the prompt, which is not buffered
            *("dpdk-testpmd", "--no-pci", "--no-telemetry", "--iova-mode=va", "--log-level=warning", *pages),
            *("--lcores", lcores, *(f"-d{library}" for library in libraries)),
            *(f"--vdev={device}" for device in scene.devices),
            f"--mbuf-pool-ops-name={'timed' if clock else handler}",
            *("--", "-i", f"--nb-cores={scene.cores}", f"--total-num-mbufs={options.mbufs}"),
            *(f"--mbcache={options.mbcache}", f"--burst={options.burst}", *scene.options),
        ]
        self.scene, self.handler = scene, handler
        self.said = b""
        environ = os.environ | ({"TESTPMD_HANDLER": handler, "TESTPMD_CLOCK": str(clock)} if clock else {})
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environ
        )
        self._read_to_prompt()

    def _read_to_prompt(self) -> str:
        assert self.process.stdout is not None
        start = len(self.said)
        while not self.said[start:].endswith(PROMPT):
            more = os.read(self.process.stdout.fileno(), 1 << 16)
            if not more:
                lines = self.said.decode(errors="replace").strip().splitlines()
                why = next((line for line in lines if re.search("(?i)error|cannot|fail", line)), lines[-1])
                raise TestpmdError(f"testpmd with {self.handler} ended: {why}")
            self.said += more
        return self.said[start:].decode(errors="replace")

    def _do(self, command: str) -> str:
        assert self.process.stdin is not None
        self.process.stdin.write(command.encode() + b"\n")
        self.process.stdin.flush()
        return self._read_to_prompt()

    def _sent(self) -> tuple[float, int]:
        """When, and how many packets went out of the sink so far."""
        shown, now = self._do("show port stats all"), time.perf_counter()
        counts = [int(n) for n in re.findall(r"TX-packets: (\d+)", shown)]
        return now, sum(counts) if self.scene.sink is None else counts[self.scene.sink]

    def _waited(self) -> float:
        """Seconds that the forwarding threads were ready to run and did not, so far."""
        total = 0
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            if (task / "comm").read_text().startswith("rte-worker"):
                total += int((task / "schedstat").read_text().split()[1])
        return total / 1e9

    def sample(self, seconds: float, clock: Clock | None = None) -> Sample:
        self._do("start")
        time.sleep(seconds / 4)  # caches warm, rings as full as they get
        before, idle = clock.read() if clock else [], self._waited()
        begun, first = self._sent()
        time.sleep(seconds)
        ended, last = self._sent()
        share = clock.share(before, ended - begun) if clock else 0.0
        waited = (self._waited() - idle) / (ended - begun)
        self._do("stop")
        return Sample((last - first) / (ended - begun), share, waited > TOLERATED)

    def calm_sample(self, seconds: float, clock: Clock | None = None) -> Sample:
        """The first that nothing disturbed, or else the last."""
        for _ in range(TRIES):
            sample = self.sample(seconds, clock)
            if not sample.disturbed:
                break
        return sample

    def close(self) -> None:
        if self.process.poll() is None:
            try:
                self.process.communicate(b"quit\n", timeout=20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


@contextmanager
def started(scene: Scene, handler: str, options: argparse.Namespace, clock: Path | None = None) -> Iterator[Testpmd]:
    """A fresh testpmd, ended afterwards."""
    pages = 4 * (options.mbufs * 2560 // (2 << 20) + 16)  # a limit: it takes what it needs
    with ExitStack() if options.no_huge else borrowed_huge_pages(pages):
        running = Testpmd(scene, handler, options, clock)
    try:
        yield running
    finally:
        running.close()


def legal(scene: Scene, handlers: Sequence[str]) -> list[str]:
    return [h for h in handlers if scene.single or h != "ring_sp_sc"]


def measure(scene: Scene, options: argparse.Namespace, ratios: int) -> list[list[str]]:
    """The rows of a scene; ``ratios`` are taken in all scenes."""
    chosen = legal(scene, options.handlers)
    samples: dict[str, list[Sample]] = {handler: [] for handler in chosen}
    for number in range(options.rounds):
        first = number % len(chosen)
        for handler in chosen[first:] + chosen[:first]:
            with started(scene, handler, options) as running:
                samples[handler].append(running.calm_sample(options.seconds))
    shares = {handler: shares_of(scene, handler, options) if options.share else [] for handler in chosen}
    return [row(scene, handler, samples, shares[handler], ratios) for handler in chosen]


def shares_of(scene: Scene, handler: str, options: argparse.Namespace) -> list[float]:
    """The handler's part of the time, in a few processes."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, handler)
        for _ in range(SHARES):
            with started(scene, handler, options, file) as running:
                found.append(running.calm_sample(options.seconds, Clock(file)).share)
    return found


def row(scene: Scene, handler: str, samples: dict[str, list[Sample]], shares: list[float], ratios: int) -> list[str]:
    rates = {h: dict(enumerate(s.packets / 1e6 for s in taken)) for h, taken in samples.items()}
    rate = stats.estimate(list(rates[handler].values()), stats.MEDIAN_CONFIDENCE)
    compared = ratio(rates[handler], rates[BASELINE], ratios) if handler != BASELINE else None
    return [
        scene.name,
        handler,
        f"{figure(rate)} {interval(rate)}",
        f"{figure(compared)} {interval(compared)}".strip(),
        f"{100 * stats.median(shares):.1f} %" if shares else "",
        str(sum(sample.disturbed for sample in samples[handler]) or ""),
    ]


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("handlers", nargs="*", default=HANDLERS, metavar="HANDLER", help=" ".join(HANDLERS))
    parser.add_argument("--only", nargs="+", choices=[s.name for s in SCENES], default=[s.name for s in SCENES])
    parser.add_argument("--rounds", type=positive, default=16, help="processes of each handler (default 16)")
    parser.add_argument("--seconds", type=float, default=0.3, help="that a sample takes")
    parser.add_argument("--mbufs", type=int, default=65535)
    parser.add_argument("--mbcache", type=int, default=256, help="rte_mempool's per-lcore cache; testpmd's own is 250")
    parser.add_argument("--burst", type=int, default=32)
    parser.add_argument("--no-huge", action="store_true", help="base pages")
    parser.add_argument("--no-share", dest="share", action="store_false", help="without the part of the handler")
    options = parser.parse_args(arguments)
    if BASELINE not in options.handlers:
        options.handlers = [BASELINE, *options.handlers]
    return options


def main(arguments: Sequence[str]) -> int:
    options = parse(arguments)
    try:
        if shutil.which("dpdk-testpmd") is None:
            raise TestpmdError("dpdk-testpmd is not installed: apt-get install dpdk-dev")
        cpus = len(machine.usable_cpus())
        scenes = [scene for scene in SCENES if scene.name in options.only]
        for scene in scenes:
            if scene.cores > cpus:
                print(f"{scene.name}: takes {scene.cores} CPUs", file=sys.stderr)
        scenes = [scene for scene in scenes if scene.cores <= cpus]
        ratios = sum(len(legal(scene, options.handlers)) - 1 for scene in scenes)
        rows = []
        for scene in scenes:
            rows += measure(scene, options, max(ratios, 1))
            print(f"{scene.name}: {scene.about}", flush=True)
    except TestpmdError as error:
        print(f"testpmd.py: {error}", file=sys.stderr)
        return 2
    print()
    confidence = f"{100 * stats.RATIO_CONFIDENCE:.0f} %"
    headers = [
        "scene",
        "handler",
        "million packets/s [95 %]",
        f"x {BASELINE} [{confidence}]",
        "in handler",
        "disturbed",
    ]
    print(tabulate(rows, headers, disable_numparse=True))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

# SPDX-License-Identifier: BSD-3-Clause
"""What DPDK tells of its pools: a real application's folder becomes a trace, and is replayed on pools and mallocs."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from support import assert_refused

from allocmark.errors import TraceError, UsageError
from allocmark.system import machine
from allocmark.traces.mempools import FromDpdk, from_dpdk
from allocmark.traces.trace_file import FREE, MALLOC, Trace

Runner = Callable[..., "subprocess.CompletedProcess[str]"]

_PACKETS = 20_000
_SOURCE = Path(__file__).parents[2] / "fixtures" / "mempool_app.c"
_ALONE = "ring_sp_sc-base"
_EAL = ["--no-huge", "-m", "64", "--no-pci", "--no-shconf", "--no-telemetry", "--iova-mode=va", "--log-level=error"]


@pytest.fixture(scope="session")
def app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "libdpdk"], capture_output=True, text=True, check=False)
    if flags.returncode:
        pytest.skip("DPDK is not installed for building")
    program = tmp_path_factory.mktemp("app") / "mempool_app"
    warnings = ["-O2", "-Wall", "-Wextra", "-Werror", "-DALLOW_EXPERIMENTAL_API"]
    words = flags.stdout.split()
    subprocess.run(["cc", *warnings, "-o", program, _SOURCE, *words, "-lrte_mempool_ring"], check=True)
    return program


def _run(app: Path, folder: Path, *options: str, packets: int = _PACKETS) -> tuple[Path, list[int]]:
    """The folder that it leaves, and how many objects it got of each pool."""
    cpus = (machine.usable_cpus() * 2)[:2]
    words = [*_EAL, "--lcores", ",".join(f"{lcore}@{cpu}" for lcore, cpu in enumerate(cpus))]
    traced = ["--trace=lib.mempool.*", f"--trace-dir={folder}", *options]
    done = subprocess.run(
        [app, str(packets), *words, *traced], capture_output=True, text=True, timeout=60, check=True, cwd=folder
    )
    (found,) = [each for each in folder.iterdir() if each.is_dir()]
    return found, [int(word) for word in done.stdout.split()]


@pytest.fixture(scope="session")
def written(app: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[int]]:
    return _run(app, tmp_path_factory.mktemp("written"), "--trace-bufsz=4M", "--trace-mode=discard")


@pytest.fixture(scope="session")
def made(written: tuple[Path, list[int]], tmp_path_factory: pytest.TempPathFactory) -> FromDpdk:
    return from_dpdk(written[0], tmp_path_factory.mktemp("made") / "app.trace")


def test_a_trace_has_the_objects_that_the_application_got(written: tuple[Path, list[int]], made: FromDpdk) -> None:
    assert made.pools == ["packets", "flows"]
    assert (made.full, made.put_unknown, made.failed, made.made.threads) == ([], 0, 0, 2)
    with Trace(made.made.path) as trace:
        trace.check()
        assert trace.has_pools
        assert {(pool.name, pool.object_size, pool.cache) for pool in trace.pools()} == {
            ("packets", 2176, 64),
            ("flows", 192, 16),
        }
        calls = list(trace.calls())
    got = Counter(call.size for call in calls if call.kind == MALLOC)
    assert [got[2176], got[192]] == written[1]
    # Packets cross from one lcore to the other, flows do not, and all come back.
    owner, crossed = {}, Counter[int]()
    for call in calls:
        if call.kind == MALLOC:
            owner[call.slot] = call.thread, call.size
        else:
            assert call.kind == FREE
            thread, size = owner.pop(call.slot)
            crossed[size] += thread != call.thread
    assert (owner, crossed[2176], crossed[192]) == ({}, got[2176], 0)


@pytest.mark.parametrize("pace", [[], ["--gaps"]])
def test_it_is_replayed_on_pools_and_mallocs(
    allocmark_command: Runner, made: FromDpdk, tmp_path: Path, pace: list[str]
) -> None:
    backends = ["dpdk_ring:ring_mp_mc-base", "turbomem:base", "glibc", f"dpdk_ring:{_ALONE}"]
    words = [word for backend in backends for word in ("-b", backend)]
    done = allocmark_command("replay", made.made.path, *words, *pace, "--rounds", "2", "-o", "run", "--json", "o.json")
    assert "is for one thread, and the trace has 2" in done.stdout
    cells = [cell for cell in json.loads((tmp_path / "o.json").read_text())["cells"] if cell["variant"] != _ALONE]
    assert [cell["backend"] for cell in cells] == ["null", "dpdk_ring", "turbomem", "glibc"]
    with Trace(made.made.path) as trace:
        live = [point.live_bytes for point in trace.points]
    for cell in cells:
        assert cell["status"] == "ok", cell
        assert cell["objects"] == made.made.objects
        assert cell["backend"] == "null" or cell["replayed"]["live"] == live


def test_the_default_is_every_pool(allocmark_command: Runner, made: FromDpdk) -> None:
    done = allocmark_command("replay", made.made.path, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "turbomem" in done.stdout
    assert "glibc" not in done.stdout


def test_the_command_makes_it(allocmark_command: Runner, written: tuple[Path, list[int]], tmp_path: Path) -> None:
    done = allocmark_command("record", "--dpdk", written[0], "-o", "app.trace")
    assert done.returncode == 0, done.stderr
    assert "pools: packets, flows" in done.stdout
    assert (tmp_path / "app.trace").is_file()
    assert_refused(allocmark_command("record", "--dpdk", written[0], "-o", "app.trace"), "exists already")
    assert_refused(allocmark_command("replay", written[0]), "`allocmark record --dpdk")
    assert_refused(allocmark_command("record", "--dpdk", tmp_path), "expected the metadata of a DPDK trace")


def test_a_full_buffer_ends_the_trace_where_it_was_full(app: Path, tmp_path: Path) -> None:
    folder, _ = _run(app, tmp_path, "--trace-bufsz=64K", "--trace-mode=discard")
    found = from_dpdk(folder, tmp_path / "full.trace")
    assert found.full
    assert found.put_unknown == 0
    with Trace(tmp_path / "full.trace") as trace:
        trace.check()


def test_an_overwritten_buffer_is_refused(app: Path, tmp_path: Path) -> None:
    """What told of the pools is the oldest."""
    folder, _ = _run(app, tmp_path, "--trace-bufsz=64K")
    with pytest.raises(TraceError, match=r"channel0_\d: offset \d+: a pool that it does not tell of.*=discard"):
        from_dpdk(folder, tmp_path / "over.trace")


def test_no_gets_and_puts_are_said_to_be_missing(app: Path, tmp_path: Path) -> None:
    folder, _ = _run(app, tmp_path, packets=0)
    with pytest.raises(UsageError, match="RTE_ENABLE_TRACE_FP"):
        from_dpdk(folder, tmp_path / "none.trace")


def _refused(folder: Path, target: Path) -> str:
    try:
        from_dpdk(folder, target)
        with Trace(target) as trace:
            trace.check()
    except (TraceError, UsageError) as error:
        return str(error)
    return ""


def test_damaged_folders_are_refused_or_read_to_their_end(written: tuple[Path, list[int]], tmp_path: Path) -> None:
    """A stream has no checksum: a changed number may not be seen. What is made of it can be checked and played."""
    draw = random.Random(15)
    refused = 0
    for number in range(150):
        folder, target = tmp_path / f"d{number}", tmp_path / f"d{number}.trace"
        shutil.copytree(written[0], folder)
        victim = folder / ("metadata" if number % 3 == 0 else f"channel0_{number % 2}")
        data = bytearray(victim.read_bytes())
        place = draw.randrange(min(len(data), 40_000))
        if number % 4 == 0:
            del data[place:]
        elif number % 4 == 1:
            data[place : place + draw.randrange(1, 9)] = b""
        else:
            data[place] ^= 1 << draw.randrange(8)
        victim.write_bytes(data)
        if why := _refused(folder, target):
            refused += 1
            assert "\n" not in why
            assert (f"{folder}/" in why and ": offset " in why) or why.startswith(f"{folder}: it tells of no gets")
            assert not target.exists()
        shutil.rmtree(folder)
    assert refused > 30

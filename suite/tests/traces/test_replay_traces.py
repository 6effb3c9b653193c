# SPDX-License-Identifier: BSD-3-Clause
"""A trace on allocators: it does what the program did, and a damaged one does nothing."""

from __future__ import annotations

import json
import os
import random
import re
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import assert_refused

from allocmark.errors import TraceError
from allocmark.traces.trace_file import Trace
from allocmark.traces.trace_names import BUNDLED, bundled_traces
from fixtures.made_trace import resealed

Runner = Callable[..., "subprocess.CompletedProcess[str]"]

_PLAY = """
import json, sys
from pathlib import Path
from allocmark_glibc.plugin import allocmark_backends
from allocmark.traces.trace_file import Trace
table = next(b for b in allocmark_backends() if b.variant == "default").table
with Trace(Path(sys.argv[1])) as trace:
    trace.check()
    played = trace.play(table, [], trace.most_threads, {}, [], gaps=sys.argv[2] == "gaps", stall_seconds=20)
    print(json.dumps([played.live, [p.live_bytes for p in trace.points], played.objects, played.late, played.ns]))
"""


@pytest.mark.parametrize("threads", [1, 2, 8, 32])
@pytest.mark.parametrize("pace", ["full", "gaps"])
def test_live_bytes_at_a_hundred_points_are_those_of_the_recorder(
    recorded: Callable[..., Any], threads: int, pace: str
) -> None:
    _, (process, *_), _ = recorded(threads, 12000 // threads)
    done = subprocess.run(
        [sys.executable, "-c", _PLAY, process.path, pace], capture_output=True, text=True, timeout=100, check=True
    )
    live, known, objects, late, ns = json.loads(done.stdout)
    assert len(live) == 100
    assert live == known
    assert objects == process.objects
    assert ns > 0
    calls = objects + _reallocs(process.path) if pace == "gaps" else 0
    assert sum(count for _, count in late[0]) == calls


def _reallocs(path: Path) -> int:
    with Trace(path) as trace:
        return sum(event.kind == 4 for event in trace.calls())


def test_a_replay_is_a_run_like_any_other(allocmark_command: Runner, trace: Trace, tmp_path: Path) -> None:
    words = ["-b", "glibc", "-b", "mimalloc:v2", "-b", "turbomem", "--rounds", "2", "-o", "run", "--json", "run.json"]
    done = allocmark_command("replay", trace.path, *words)
    assert "memory over the trace" in done.stdout
    found = json.loads((tmp_path / "run.json").read_text())
    cell = next(cell for cell in found["cells"] if cell["backend"] == "glibc")
    assert cell["status"] == "ok"
    assert len(cell["samples"]) == 2
    assert cell["replayed"]["live"] == [point.live_bytes for point in trace.points]
    assert cell["objects"] == trace.about.objects
    assert allocmark_command("show", "run").returncode == 0
    assert allocmark_command("export", "run", "--format", "csv").returncode == 0
    assert allocmark_command("report", "run", "-o", "report.html").returncode == 0
    assert "A recorded program, measured by" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize("name", ["git", "cpython", "pipeline"])
def test_bundled_traces_are_replayed_by_their_names(allocmark_command: Runner, tmp_path: Path, name: str) -> None:
    words = ["-b", "glibc", "--rounds", "1", "-o", "run", "--json", "run.json"]
    done = allocmark_command("replay", name, *words)
    assert done.returncode == 0, done.stderr
    assert {cell["status"] for cell in json.loads((tmp_path / "run.json").read_text())["cells"]} == {"ok"}
    assert sum(path.stat().st_size for path in BUNDLED.iterdir()) < 1e6


_FLOOR = """
import sys
from pathlib import Path
from allocmark.traces.trace_file import Trace
with Trace(Path(sys.argv[1])) as trace:
    trace.check()
    played = trace.play(None, [], trace.most_threads, {}, [], gaps=False, stall_seconds=20)
    print(max(played.resident) - min(played.resident))
"""


def test_the_memory_of_the_floor_is_there_before_the_clock_starts() -> None:
    """Else its page faults are in its figure, and backends whose pools are there lie below it."""
    done = subprocess.run(
        [sys.executable, "-c", _FLOOR, BUNDLED / "git.trace"], capture_output=True, text=True, timeout=100, check=True
    )
    assert int(done.stdout) < 1 << 20  # of 3 MB live


def test_a_damaged_trace_is_left_out_and_the_others_are_replayed(allocmark_command: Runner, tmp_path: Path) -> None:
    data = bytearray((BUNDLED / "git.trace").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "damaged.trace").write_bytes(data)
    words = ["-b", "glibc", "--rounds", "1", "-o", "run", "--json", "run.json"]
    done = allocmark_command("replay", "damaged.trace", "git", *words)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^allocmark: left out: .*/damaged\.trace: offset \d+: ", done.stderr, re.MULTILINE)
    assert {cell["workload"] for cell in json.loads((tmp_path / "run.json").read_text())["cells"]} == {"git"}
    assert_refused(allocmark_command("replay", "damaged.trace"), "damaged.trace: offset")


def test_bundled_traces_are_a_set(allocmark_command: Runner) -> None:
    listed = allocmark_command("list", "workloads").stdout
    for path in bundled_traces():
        assert re.search(rf"^{path.stem} +traces +1 +1 +A recorded program", listed, re.MULTILINE)
    done = allocmark_command("replay", "traces", "-b", "glibc", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert all(path.stem in done.stdout for path in bundled_traces())


def test_with_gaps_it_tells_how_late_calls_were(allocmark_command: Runner, trace: Trace) -> None:
    done = allocmark_command("replay", trace.path, "--gaps", "-b", "glibc", "--rounds", "1", "-o", "run")
    assert done.returncode == 0, done.stderr
    assert "pace=recorded" in done.stdout
    assert "get p99" in done.stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [(["no.trace"], "no.trace: offset 0: No such file"), (["x.yaml"], "expected a trace"), ([], "required")],
)
def test_what_cannot_be_replayed_is_said_in_one_line(allocmark_command: Runner, words: list[str], told: str) -> None:
    assert_refused(allocmark_command("replay", *words), told)


def _accepted(path: Path) -> bool:
    """Whether it can be read to its end; the reason why not is one line with an offset."""
    try:
        with Trace(path) as trace:
            trace.check()
    except TraceError as error:
        text = str(error)
        assert text.startswith(f"{path}: offset ")
        assert "\n" not in text
        assert int(text.split("offset ")[1].split(":")[0]) <= max(path.stat().st_size, 64)
        return False
    return True


def test_a_thousand_damaged_traces_are_refused_or_the_same(trace: Trace, tmp_path: Path) -> None:
    """Bytes changed, cut off, added, moved, foreign. With wrong checksums each is refused. Where the checksums were
    made right again, what is accepted can be played to its end, and its live bytes are those that it tells."""
    good = trace.path.read_bytes()
    draw = random.Random(15)
    path = tmp_path / "damaged.trace"
    sealed = 0
    for number in range(1000):
        data = bytearray(good)
        kind = number % 10
        place = draw.randrange(len(data))
        if kind < 4:
            data[place] ^= 1 << draw.randrange(8)
        elif kind == 4:
            del data[place:]
        elif kind == 5:
            data += draw.randbytes(draw.randrange(1, 100))
        elif kind == 6:
            del data[place : place + draw.randrange(1, 64)]
        elif kind == 7:
            data[place:place] = draw.randbytes(draw.randrange(1, 64))
        elif kind == 8:
            data = bytearray(draw.randbytes(draw.randrange(0, 4000)))
        else:
            data[place] ^= 1 << draw.randrange(8)
            data = bytearray(resealed(data))
            sealed += 1
        path.write_bytes(data)
        accepted = _accepted(path)
        if kind != 9:
            assert not accepted or bytes(data) == good, (number, kind, place)
        elif accepted:
            with Trace(path) as found:
                found.check()
                played = found.play(None, [], found.most_threads, {}, [], gaps=False, stall_seconds=10)
                assert list(played.live) == [point.live_bytes for point in found.points]
    assert sealed == 100


def test_damaged_traces_of_pools_are_refused_or_played(tmp_path: Path) -> None:
    """With right checksums; most are refused as an object is not where the event says."""
    good = (BUNDLED / "pipeline.trace").read_bytes()
    draw = random.Random(22)
    path = tmp_path / "damaged.trace"
    refused = 0
    for number in range(200):
        data = bytearray(good)
        # The pools and points lie at the end.
        place = draw.randrange(len(data)) if number % 4 else draw.randrange(len(data) - 4600, len(data))
        data[place] ^= 1 << draw.randrange(8)
        path.write_bytes(resealed(data))
        if not _accepted(path):
            refused += 1
            continue
        with Trace(path) as found:
            found.check()
            played = found.play(None, found.pools(), found.most_threads, {}, [], gaps=False, stall_seconds=10)
            assert list(played.live) == [point.live_bytes for point in found.points]
    assert refused > 100


def test_foreign_files_are_no_traces(tmp_path: Path) -> None:
    for place, content in enumerate([b"", b"AMTRACE\n", b"\x7fELF" + bytes(100), b"PK\x03\x04" * 100, os.urandom(64)]):
        path = tmp_path / f"{place}.trace"
        path.write_bytes(content)
        assert not _accepted(path)
    assert not _accepted(Path(tmp_path))
    newer = bytearray(64)
    newer[:12] = b"AMTRACE\n" + struct.pack("<I", 2)
    path = tmp_path / "newer.trace"
    path.write_bytes(newer)
    with pytest.raises(TraceError, match="offset 8: version 2, and this allocmark reads 1"):
        Trace(path)

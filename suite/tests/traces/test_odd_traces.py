# SPDX-License-Identifier: BSD-3-Clause
"""Traces with right checksums that nobody recorded: absurd numbers cost no memory, and are refused in one line."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support import assert_refused

from allocmark.traces.trace_file import Trace
from fixtures.made_trace import FREE, MALLOC, MORE, ONE_OBJECT, SPAWN, event, made_trace, pool
from fixtures.simulated import edit_run

Runner = Callable[..., "subprocess.CompletedProcess[str]"]

_ONE = [event(*words) for words in ONE_OBJECT]
_LARGEST = (1 << 47) - 1
_MIB = 1 << 20
_READ = """
import re, sys
from pathlib import Path
from allocmark.traces.trace_file import Trace
try:
    with Trace(Path(sys.argv[1])) as trace:
        trace.check()
        print("accepted")
except Exception as error:
    print(type(error).__name__, error)
# Not ru_maxrss: it keeps what the process had before exec, which was pytest's.
print(int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) >> 10)
"""


def _zigzag(value: int) -> int:
    return 2 * value


def _read(path: Path) -> tuple[str, int]:
    """What is said of it, and the MiB of the process that read it."""
    said, mib = _limited(_READ, path).splitlines()
    return said, int(mib)


def _limited(script: str, path: Path) -> str:
    """What it prints in a process that may have 2 GiB."""
    done = subprocess.run(
        [sys.executable, "-c", script, path],
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (2048 * _MIB, 2048 * _MIB)),
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ({"slots": 2**32 - 1}, "numbers that no trace has"),
        ({"slots": 2**63}, "numbers that no trace has"),
        ({"threads": 2**20}, "numbers that no trace has"),
        ({"threads": 2**32 - 1}, "numbers that no trace has"),
        ({"events": 2**64 - 1, "slots": 2**32 - 1, "threads": 2**20}, "it is cut off"),
        ({"largest": 2**64 - 1}, "numbers that no trace has"),
        ({"points": 101}, "numbers that no trace has"),
        ({"points": 0}, "numbers that no trace has"),
        ({"chunks": 2**64 - 1}, "chunks; expected"),
        ({"largest": _LARGEST}, "another largest object"),
        ({"events": 1}, "events; the header has 1"),
        ({"ops": 0}, "a kind that the header has not"),
    ],
)
def test_numbers_of_the_header_are_bounded_by_the_file(tmp_path: Path, header: dict[str, int], told: str) -> None:
    path = tmp_path / "odd.trace"
    path.write_bytes(made_trace([_ONE], header=header))
    said, mib = _read(path)
    assert said.startswith(f"TraceError {path}: offset ")
    assert told in said
    assert mib < 200


def test_a_trace_that_is_cut_off_says_so(tmp_path: Path) -> None:
    path = tmp_path / "cut.trace"
    path.write_bytes(made_trace([_ONE * 50])[:120])
    said, _ = _read(path)
    assert said == f"TraceError {path}: offset 120: the file ends here, and its header has 100 events: it is cut off"


def test_a_slot_far_behind_the_others_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "far.trace"
    far = 2**32 - 2
    events = [event(MALLOC, _zigzag(far), 64), event(FREE, 0)]
    path.write_bytes(made_trace([events], header={"slots": far + 1}))
    said, mib = _read(path)
    assert "numbers that no trace has" in said
    assert mib < 200


@pytest.mark.parametrize(
    ("about", "process", "told"),
    [
        ({"objects": 10**30}, {}, "process cannot be read"),
        ({"objects": -1}, {}, "process cannot be read"),
        ({"objects": 2}, {}, "it says 2 objects, and its events have 1"),
        ({"nanoseconds": 10**400}, {}, "process cannot be read"),
        ({"nanoseconds": 10**15}, {}, "nanoseconds, and its events have 0"),
        ({"peak_live_bytes": "\x1b[31m"}, {}, "process cannot be read"),
        ({}, {"command": "\x1b]0;x\x07"}, "process cannot be read"),
    ],
)
def test_what_it_says_of_itself_is_compared_with_its_events(
    tmp_path: Path, about: dict[str, object], process: dict[str, object], told: str
) -> None:
    path = tmp_path / "odd.trace"
    path.write_bytes(made_trace([_ONE], about=about, process=process))
    said, _ = _read(path)
    assert said.startswith(f"TraceError {path}: offset ")
    assert told in said
    assert said.isprintable()


_GET, _PUT = event(MALLOC, 0, 0), event(FREE, 0)
_NEXT = 2  # the slot behind the one before


@pytest.mark.parametrize(
    ("pools", "events", "told"),
    [
        ([pool()], [event(MALLOC | MORE, 0, 0), event(MALLOC, _NEXT, 0), _PUT, event(FREE, 1)], "accepted"),
        ([pool()], [event(MALLOC | MORE, 0, 0), _PUT], "a bulk of several pools, of gets and puts"),
        ([pool(), pool()], [event(MALLOC | MORE, 0, 0), event(MALLOC, _NEXT, 1)], "a bulk of several pools"),
        ([pool()], [_GET, event(FREE | MORE, 0)], "a bulk that does not end"),
        ([pool()], [event(MALLOC, 0, 1), _PUT], "a pool that there is not"),
        ([pool()], [event(2, 0, 0), _PUT], "a call that pools have not"),
        ([pool()], [event(SPAWN | MORE, 1), *_ONE], "a bulk of no gets or puts"),
        ([], [event(MALLOC | MORE, 0, 64), event(MALLOC, _NEXT, 64)], "a bulk, and the trace has no pools"),
        ([pool(b"a\nb")], [_GET, _PUT], "a pool that cannot be"),
        ([pool(b"x" * 32)], [_GET, _PUT], "a pool that cannot be"),
        ([pool(size=0)], [_GET, _PUT], "a pool that cannot be"),
        ([pool(objects=2**40)], [_GET, _PUT], "a pool that cannot be"),
        ([pool(cache=9)], [_GET, _PUT], "a pool that cannot be"),
        ([pool(alignment=41)], [_GET, _PUT], "a pool that cannot be"),
        ([pool()] * 4097, [_GET, _PUT], "pools that no trace has"),
        ([b"short"], [_GET, _PUT], "pools that no trace has"),
    ],
)
def test_pools_and_bulks_that_cannot_be_are_refused(
    tmp_path: Path, pools: list[bytes], events: list[bytes], told: str
) -> None:
    path = tmp_path / "odd.trace"
    path.write_bytes(made_trace([events], pools=pools, header={"slots": 1 + any(each[2] == _NEXT for each in events)}))
    said, _ = _read(path)
    assert told in said
    assert said == "accepted" or said.startswith(f"TraceError {path}: offset ")


def test_pools_larger_than_the_machine_are_not_made(tmp_path: Path, allocmark_command: Runner) -> None:
    path = tmp_path / "large.trace"
    path.write_bytes(
        made_trace([[_GET, _PUT]], pools=[pool(objects=2**32 - 1, size=1 << 20)], header={"largest": _MIB})
    )
    done = allocmark_command("replay", path, "-b", "turbomem:base", "-o", "run")
    assert "of memory are needed" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_more_threads_at_once_than_a_process_can_have_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "threads.trace"
    count = 100_000
    first = [*_ONE, *(event(SPAWN, number) for number in range(1, count))]
    path.write_bytes(made_trace([first, *[[]] * (count - 1)]))
    said, mib = _read(path)
    assert "more threads at once than a process can have" in said
    assert mib < 400


def test_an_object_larger_than_the_machine_is_not_replayed(tmp_path: Path, allocmark_command: Runner) -> None:
    path = tmp_path / "large.trace"
    about = {"peak_live_bytes": 0}
    path.write_bytes(made_trace([[event(MALLOC, 0, _LARGEST), _ONE[1]]], header={"largest": _LARGEST}, about=about))
    assert _read(path)[0] == "accepted"
    done = allocmark_command("replay", path, "-b", "glibc", "-o", "run")
    assert_refused(done, "of memory are needed")
    assert not (tmp_path / "run").exists()
    assert_refused(allocmark_command("workloads", "from-trace", path), "all of its objects are larger")


def test_thousands_of_threads_one_after_another_are_replayed(tmp_path: Path) -> None:
    """Each ends before the next one begins: there is room for so many stacks only when they are given back."""
    path = tmp_path / "one_by_one.trace"
    count = 2_000
    first = [event(MALLOC, 0, 64), event(FREE, 0)]
    # The first thread waits for the end of each thread by its turns on slot 0.
    lines: list[list[bytes]] = [first]
    for number in range(1, count):
        lines.append([_waiting(MALLOC, 4 * number - 2, 64), _waiting(FREE, 4 * number - 1)])
        first += [event(SPAWN, number), _waiting(MALLOC, 4 * number, 64), _waiting(FREE, 4 * number + 1)]
    path.write_bytes(made_trace(lines))
    script = (
        "import sys; from pathlib import Path; from allocmark.traces.trace_file import Trace\n"
        "with Trace(Path(sys.argv[1])) as trace:\n"
        "    trace.check()\n"
        "    most = trace.most_threads\n"
        "    print(most, trace.play(None, [], most, {}, [], gaps=False, stall_seconds=20).objects)\n"
    )
    assert _limited(script, path).split() == ["2", str(2 * count - 1)]


def _waiting(kind: int, turn: int, *sizes: int) -> bytes:
    """An event on the slot that waits until ``turn`` others have happened there."""
    plain = event(kind, turn, 0, *sizes)
    return bytes([kind | 8]) + plain[1:]


def test_a_pipe_is_no_trace_and_nobody_waits_for_it(tmp_path: Path, allocmark_command: Runner) -> None:
    os.mkfifo(tmp_path / "pipe.trace")
    assert_refused(allocmark_command("replay", "pipe.trace"), "pipe.trace: offset 0: expected a file")


@pytest.mark.parametrize("name", ["my: app # 1.trace", "a\nb.trace", "caf\udce9.trace", "'\"{.trace"])
def test_a_file_of_any_name_fits(tmp_path: Path, allocmark_command: Runner, name: str) -> None:
    (tmp_path / name).write_bytes(made_trace([_ONE * 50]))
    done = allocmark_command("workloads", "from-trace", tmp_path / name, "-o", "fit.yaml")
    assert done.returncode == 0, done.stderr
    assert allocmark_command("workloads", "check", "fit.yaml").returncode == 0


def test_what_is_made_is_a_trace(tmp_path: Path) -> None:
    path = tmp_path / "made.trace"
    path.write_bytes(made_trace([_ONE]))
    with Trace(path) as trace:
        trace.check()
        assert [call.kind for call in trace.calls()] == [MALLOC, FREE]


def test_control_characters_of_a_file_do_not_reach_the_terminal(tmp_path: Path, allocmark_command: Runner) -> None:
    name = "red\x1b[31m.trace"
    (tmp_path / name).write_bytes(made_trace([_ONE * 50]))
    for command in (["replay", name, "-b", "glibc", "--dry-run"], ["replay", name, "-b", "glibc", "--rounds", "1"]):
        done = allocmark_command(*command)
        assert done.returncode == 0, done.stderr
        assert "red" in done.stdout
        assert "\x1b" not in done.stdout + done.stderr
    other = "blue\x1b[34m.trace"
    done = allocmark_command("record", "-o", other, "--", "git", "--version")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / other).exists()
    assert "\x1b" not in done.stdout + done.stderr


@pytest.mark.parametrize("edit", [lambda found: found["resident"].pop(), lambda found: found["live"].append(1)])
def test_a_run_file_with_other_points_is_told(
    tmp_path: Path, allocmark_command: Runner, edit: Callable[[dict[str, list[int]]], object]
) -> None:
    (tmp_path / "one.trace").write_bytes(made_trace([_ONE * 50]))
    done = allocmark_command("replay", "one.trace", "-b", "glibc", "--rounds", "2", "-o", "run")
    assert done.returncode == 0, done.stderr

    def change(lines: list[dict[str, object]]) -> None:
        edit(next(line["replayed"] for line in lines if line["type"] == "cell" and line.get("replayed")))

    edit_run(tmp_path / "run" / "run.jsonl", change)
    for command in ("show", "report"):
        done = allocmark_command(command, "run")
        assert done.returncode == 2
        assert "points, and resident" in done.stderr
        assert "Traceback" not in done.stderr


def test_rescue_deletes_and_overwrites_nothing_but_recordings(tmp_path: Path, allocmark_command: Runner) -> None:
    left = tmp_path / "q.trace.recording"
    precious = tmp_path / "allocmark-mine" / "precious"
    for file in (left / "notes.txt", precious, tmp_path / "q.trace"):
        file.parent.mkdir(exist_ok=True)
        file.write_text("mine")
    (left / "shared-memory").write_text(str(precious.parent))
    assert_refused(allocmark_command("record", "--rescue", left), "q.trace: exists already")
    (tmp_path / "q.trace").unlink()
    assert_refused(allocmark_command("record", "--rescue", left), "nothing was recorded")
    assert precious.read_text() == "mine"
    assert (left / "notes.txt").read_text() == "mine"

# SPDX-License-Identifier: BSD-3-Clause
"""Runs a program under the recorder, and makes traces of what its processes did."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from allocmark.errors import UsageError
from allocmark.system import machine
from allocmark.traces._traces import ffi, lib

SUFFIX = ".recording"  #: of the folder beside the trace, while it is being made

_HEAD = struct.Struct("<QIIIIQQQiI")  # ``am_recording``, less its command
_MAGIC = 0x31444345524D41
_SHARED = "shared-memory"  # names the folder in which recorders write
_PREFIX = "allocmark-"  # of that folder's name
_SHORTEST, _LONGEST = 0.001, 0.02  # seconds between two looks at what there is to drain


@dataclass(frozen=True)
class Process:
    """One that was recorded, and its trace. ``stopped``: why before its end."""

    path: Path
    command: Sequence[str]
    pid: int
    events: int
    objects: int
    threads: int
    seconds: float
    peak_live_bytes: int
    unknown_frees: int
    missed_frees: int
    stopped: str
    inherited: bool


def record(command: Sequence[str], output: Path) -> tuple[int, list[Process]]:
    """The exit status of the program, and its processes that called malloc, those with most calls first.

    The first one's trace is ``output``, those of the others lie in a folder beside it. UsageError when it cannot be
    started.
    """
    kept = output.with_name(output.name + SUFFIX)
    if kept.exists():
        raise UsageError(
            f"{kept}: a recording that was not finished: `allocmark record --rescue {kept}` makes its traces"
        )
    check_new(output)
    recorder = _recorder()
    try:
        kept.mkdir(parents=True)
    except OSError as error:
        raise UsageError(f"{kept}: {error.strerror}: name another file with -o") from error
    shared = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_shared_memory()))
    (kept / _SHARED).write_text(str(shared))
    environ = {
        **os.environ,
        "LD_PRELOAD": os.pathsep.join(filter(None, [str(recorder), os.environ.get("LD_PRELOAD", "")])),
        "ALLOCMARK_RECORD": str(shared),
    }
    try:
        process = subprocess.Popen(command, env=environ)
    except OSError as error:
        shutil.rmtree(shared)
        shutil.rmtree(kept)
        raise UsageError(f"{command[0]}: {error.strerror}: name the program behind --") from error
    with _signals_for(process):
        _drain(shared, kept, process)
    return process.returncode, rescue(kept, output)


def rescue(kept: Path, output: Path | None = None) -> list[Process]:
    """Make traces of a folder that `record` left, as when it was killed."""
    if not (kept / _SHARED).is_file():
        raise UsageError(f"{kept}: no folder that `allocmark record` left: expected one that ends with {SUFFIX}")
    shared = Path((kept / _SHARED).read_text(errors="surrogateescape"))
    output = output or kept.with_name(kept.name.removesuffix(SUFFIX))
    check_new(output)
    # The file may be of another machine, or not what `record` wrote.
    ours = shared.name.startswith(_PREFIX) and str(shared.parent) == (_shared_memory() or tempfile.gettempdir())
    if ours and shared.is_dir():
        _pass(_drained(shared, kept), last=True)
        shutil.rmtree(shared, ignore_errors=True)
    recordings = [file for file in sorted(kept.glob("*.*")) if _is_recording(file)]
    made = sorted(filter(None, map(_joined, recordings)), key=lambda each: -each.events)
    traces = [_renamed(each, output, place) for place, each in enumerate(made)]
    for file in (*recordings, kept / _SHARED):  # only now: until then the same can be done again
        file.unlink()
    with contextlib.suppress(OSError):  # something that is not ours lies there
        kept.rmdir()
    return traces


def check_new(output: Path) -> None:
    """UsageError where a trace lies already, or those of others beside it."""
    for path in (output, _others(output)):
        if path.exists():
            raise UsageError(f"{path}: exists already: name another file with -o, or delete it")


def _others(output: Path) -> Path:
    return output.with_name(f"{output.stem}-others")


def _recorder() -> Path:
    found = sorted(Path(__file__).parent.glob("_recorder*.so"))
    if not found:
        raise UsageError("the recorder was not built: install allocmark again from its source (in a clone: make setup)")
    if " " in str(found[0]) or ":" in str(found[0]):
        raise UsageError(f"{found[0]}: LD_PRELOAD takes no path with spaces or colons: install allocmark elsewhere")
    return found[0]


def _shared_memory() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK | os.X_OK) else None


@contextlib.contextmanager
def _signals_for(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Ctrl-C goes to the program, which the terminal tells itself; a request to end is handed on."""
    before = {
        signal.SIGINT: signal.signal(signal.SIGINT, lambda *_: None),
        signal.SIGTERM: signal.signal(signal.SIGTERM, lambda *_: process.send_signal(signal.SIGTERM)),
    }
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _drained(shared: Path, kept: Path) -> Any:
    return ffi.gc(lib.am_drain_new(os.fsencode(shared), os.fsencode(kept)), lib.am_drain_free)


def _pass(drain: Any, last: bool = False) -> int:
    error = ffi.new("allocmark_error *")
    moved = int(lib.am_drain_pass(drain, last, error))
    if moved < 0:
        raise UsageError(f"{ffi.string(error.message).decode(errors='replace')}: the recording is not complete")
    return moved


def _drain(shared: Path, kept: Path, process: subprocess.Popen[bytes]) -> None:
    drain, pause = _drained(shared, kept), _SHORTEST
    while process.poll() is None:
        pause = _SHORTEST if _pass(drain) else min(2 * pause, _LONGEST)
        time.sleep(pause)


def _is_recording(file: Path) -> bool:
    head = _first(file) if file.is_file() else b""
    return len(head) >= _HEAD.size and _HEAD.unpack_from(head)[0] == _MAGIC


def _joined(file: Path) -> Process | None:
    """The trace of one recording, still in its folder; None where nothing was called."""
    head = _first(file)
    _, _, pid, _, length, _, _, started, stopped, inherited = _HEAD.unpack_from(head)
    words = head[_HEAD.size : _HEAD.size + min(length, 3072)].split(b"\0")
    command = [word.decode(errors="replace") for word in words[:-1] or words]
    facts = machine.facts()["machine"]
    about = {
        "command": command,
        "pid": pid,
        "started": _date(started),
        "machine": {key: str(facts[key]) for key in ("cpu", "architecture") if key in facts},
        "inherited": bool(inherited),
        "stopped": stopped,
    }
    path = file.with_name(file.name + ".trace")
    joined, error = ffi.new("am_joined *"), ffi.new("allocmark_error *")
    failed = lib.am_join(os.fsencode(file), os.fsencode(path), json.dumps(about).encode(), joined, error)
    if failed:
        path.unlink(missing_ok=True)
        raise UsageError(ffi.string(error.message).decode(errors="replace"))
    if not joined.events:
        path.unlink()
        return None
    return Process(
        path=path,
        command=command,
        pid=pid,
        events=joined.events,
        objects=joined.objects,
        threads=joined.threads,
        seconds=joined.nanoseconds / 1e9,
        peak_live_bytes=joined.peak_live_bytes,
        unknown_frees=joined.unknown_frees,
        missed_frees=joined.missed_frees,
        stopped=os.strerror(stopped) if stopped else "",
        inherited=bool(inherited),
    )


def _date(ns: int) -> str:
    try:
        return datetime.fromtimestamp(ns / 1e9, UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):  # of a damaged recording
        return ""


def _first(file: Path) -> bytes:
    with file.open("rb") as opened:
        return opened.read(_HEAD.size + 3072)


def _renamed(process: Process, output: Path, place: int) -> Process:
    path = output if place == 0 else _others(output) / f"{place + 1}{output.suffix}"
    path.parent.mkdir(exist_ok=True)
    os.replace(process.path, path)
    return replace(process, path=path)

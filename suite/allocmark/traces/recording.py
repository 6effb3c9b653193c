# SPDX-License-Identifier: BSD-3-Clause
"""Runs a program under the recorder, and makes traces of what its processes did."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import signal
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from allocmark.errors import UsageError
from allocmark.system import machine
from allocmark.traces._traces import ffi, lib
from allocmark.traces.orphans import Orphans, loads, name_of

SUFFIX = ".recording"  #: of the folder beside the trace, while it is being made

_HEAD = struct.Struct("<QIIIIQQQiI")  # ``am_recording``, less its command
_MAGIC = 0x31444345524D41
_SHARED = "shared-memory"  # names the folder in which recorders write
_PREFIX = "allocmark-"  # of that folder's name
_STOP = ".stop"  # ``AM_STOP``
_SHORTEST, _LONGEST = 0.001, 0.02  # seconds between two looks at what there is to drain
_LOOK = 0.1  # seconds between two looks for processes that outlive the command
_PATIENCE = 1.0  # seconds until it is told that there are such

Tell = Callable[[str], None]


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


def record(command: Sequence[str], output: Path, tell: Tell = lambda _: None) -> tuple[int, list[Process]]:
    """The exit status of the program, and its processes that called malloc, those with most calls first.

    It goes on until all that are recorded have ended, or, when the program has, until an interrupt. The first one's
    trace is ``output``, those of the others lie in a folder beside it. ``tell`` hears what somebody should know
    meanwhile. UsageError when it cannot be started, or its traces cannot be made: then the text says how.
    """
    kept = output.with_name(output.name + SUFFIX)
    if kept.exists():
        raise UsageError(
            f"{kept}: a recording that was not finished: `allocmark record --rescue {kept}` makes its traces"
        )
    check_new(output)
    recorder = _recorder()
    shared = _begun(kept)
    environ = {
        **os.environ,
        "LD_PRELOAD": os.pathsep.join(filter(None, [str(recorder), os.environ.get("LD_PRELOAD", "")])),
        "ALLOCMARK_RECORD": str(shared),
    }
    with Orphans() as orphans:
        try:
            process = subprocess.Popen(command, env=environ)
        except OSError as error:
            shutil.rmtree(shared)
            shutil.rmtree(kept)
            raise UsageError(f"{command[0]}: {error.strerror}: name the program behind --") from error
        with _signals_for(process):
            if _drain(shared, kept, _while_it_runs(process, orphans), tell):
                with _interrupts() as asked:
                    _drain(shared, kept, _while_others_run(shared, recorder, orphans, asked, tell), tell)
            else:
                process.wait()
    return process.returncode, rescue(kept, output)


def rescue(kept: Path, output: Path | None = None) -> list[Process]:
    """Make traces of a folder that `record` left, as when it was killed, or had no room. On another disk, where
    ``output`` is on one."""
    if not (kept / _SHARED).is_file():
        raise UsageError(f"{kept}: no folder that `allocmark record` left: expected one that ends with {SUFFIX}")
    output = output or kept.with_name(kept.name.removesuffix(SUFFIX))
    check_new(output)
    try:
        kept = _on_the_disk_of(output, kept)
        shared = Path((kept / _SHARED).read_text(errors="surrogateescape"))
        # The file may be of another machine, or not what `record` wrote.
        ours = shared.name.startswith(_PREFIX) and str(shared.parent) == (_shared_memory() or tempfile.gettempdir())
        if ours and shared.is_dir():
            _last_pass(shared, kept)
        made = _all_joined(kept)
    except OSError as error:
        raise UsageError(
            f"{error.filename or kept}: {error.strerror}: what was recorded is kept: "
            f"`allocmark record --rescue {kept} -o FILE.trace`, with a file on a disk that has room, makes the traces"
        ) from error
    traces = [_renamed(each, output, place) for place, each in enumerate(made)]
    for file in (*_recordings(kept), kept / _SHARED):  # only now: until then the same can be done again
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


def _begun(kept: Path) -> Path:
    """The folder in which recorders write; ``kept`` is made, and says where it lies."""
    shared = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_shared_memory()))
    try:
        kept.mkdir(parents=True)
        (kept / _SHARED).write_text(str(shared))
    except OSError as error:
        for folder in (shared, kept):
            shutil.rmtree(folder, ignore_errors=True)
        raise UsageError(f"{kept}: {error.strerror}: name another file with -o") from error
    return shared


@contextlib.contextmanager
def _signals_for(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Ctrl-C goes to the program, which the terminal tells itself; a request to end is handed on."""
    with _handlers(lambda *_: None, lambda *_: process.send_signal(signal.SIGTERM)):
        yield


@contextlib.contextmanager
def _interrupts() -> Iterator[list[int]]:
    """Those that came; each is a request to end the recording, and no other process is told."""
    came: list[int] = []
    with _handlers(*2 * (lambda number, _: came.append(number),)):
        yield came


@contextlib.contextmanager
def _handlers(interrupt: Callable[..., object], end: Callable[..., object]) -> Iterator[None]:
    before = {
        signal.SIGINT: signal.signal(signal.SIGINT, interrupt),
        signal.SIGTERM: signal.signal(signal.SIGTERM, end),
    }
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _while_it_runs(process: subprocess.Popen[bytes], orphans: Orphans) -> Iterator[None]:
    while process.poll() is None:
        orphans.reap(process.pid)
        yield


def _while_others_run(
    shared: Path, recorder: Path, orphans: Orphans, asked: Sequence[int], tell: Tell
) -> Iterator[None]:
    """While processes that are recorded live, or until it was asked to end."""
    begun, told = time.monotonic(), False

    def alive() -> list[int]:
        return [pid for pid in orphans.descendants() if _is_recorded(pid, shared, recorder)]

    # Twice: one whose parent ends during the first look may be missed by it.
    while not asked and (left := alive() or alive()):
        if not told and time.monotonic() > begun + _PATIENCE:
            more = f" and {len(left) - 1} more still run" if left[1:] else " still runs"
            tell(f"{name_of(left[0])}{more}: Ctrl-C ends the recording")
            told = True
        looked = time.monotonic()
        while not asked and time.monotonic() < looked + _LOOK:
            yield
        orphans.reap(0)


def _is_recorded(pid: int, shared: Path, recorder: Path) -> bool:
    known = loads(pid, recorder)
    return any(shared.glob(f"{pid}.*")) if known is None else known


def _drained(shared: Path, kept: Path) -> Any:
    return ffi.gc(lib.am_drain_new(os.fsencode(shared), os.fsencode(kept)), lib.am_drain_free)


def _pass(drain: Any, kept: Path, last: bool = False) -> int:
    """Bytes that were moved. OSError when they could not be: they are where they were."""
    moved = int(lib.am_drain_pass(drain, last, ffi.new("allocmark_error *")))
    if moved < 0:
        raise OSError(-moved, os.strerror(-moved), str(kept))
    return moved


def _drain(shared: Path, kept: Path, while_they_run: Iterator[None], tell: Tell) -> bool:
    """Move what is recorded meanwhile. False when there is no room: then nothing more is recorded."""
    drain, pause = _drained(shared, kept), _SHORTEST
    for _ in while_they_run:
        try:
            pause = _SHORTEST if _pass(drain, kept) else min(2 * pause, _LONGEST)
        except OSError as error:
            _stop(shared, error)
            tell(f"{kept}: {error.strerror}: the recording ends, the program goes on")
            return False
        time.sleep(pause)
    return True


def _last_pass(shared: Path, kept: Path) -> None:
    try:
        _pass(_drained(shared, kept), kept, last=True)
    except OSError as error:
        _stop(shared, error)
        raise
    shutil.rmtree(shared, ignore_errors=True)


def _stop(shared: Path, why: OSError) -> None:
    """Recorders stop when they need more room; what they wrote stays."""
    with contextlib.suppress(OSError):  # it is there already
        os.symlink(str(why.errno), shared / _STOP)


def _on_the_disk_of(output: Path, kept: Path) -> Path:
    """The folder, or a new one beside ``output`` that has what it had, where that is another disk."""
    if output.absolute().parent.stat().st_dev == kept.stat().st_dev:
        return kept
    moved = output.with_name(output.name + SUFFIX)
    moved.mkdir()
    ours = [*_recordings(kept), kept / _SHARED]
    try:
        for file in ours:
            shutil.copy(file, moved)
    except OSError:
        shutil.rmtree(moved)
        raise
    for file in ours:
        file.unlink()
    with contextlib.suppress(OSError):  # something that is not ours lies there
        kept.rmdir()
    return moved


def _recordings(kept: Path) -> list[Path]:
    return [file for file in sorted(kept.glob("*.*")) if _is_recording(file)]


def _all_joined(kept: Path) -> list[Process]:
    recordings = _recordings(kept)
    try:
        return sorted(filter(None, map(_joined, recordings)), key=lambda each: -each.events)
    except OSError:
        for file in recordings:
            _trace_of(file).unlink(missing_ok=True)
        raise


def _trace_of(recording: Path) -> Path:
    return recording.with_name(recording.name + ".trace")


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
    path = _trace_of(file)
    joined, error = ffi.new("am_joined *"), ffi.new("allocmark_error *")
    failed = lib.am_join(os.fsencode(file), os.fsencode(path), json.dumps(about).encode(), joined, error)
    if failed:
        path.unlink(missing_ok=True)
        if failed == -errno.ENOSPC:
            raise OSError(errno.ENOSPC, "no room for the trace", str(path))
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
        stopped=os.strerror(stopped) + " (ulimit -f)" * (stopped == errno.EFBIG) if stopped else "",
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

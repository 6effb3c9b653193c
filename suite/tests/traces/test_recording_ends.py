# SPDX-License-Identifier: BSD-3-Clause
"""How a recording ends: after daemons, by Ctrl-C, on a full disk, and at a limit of file sizes."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support import assert_refused

from allocmark.traces.recording import record
from allocmark.traces.trace_file import MALLOC, Trace

Runner = Callable[..., "subprocess.CompletedProcess[str]"]
Compiler = Callable[[str], str]

# Its parent ends at once, and so does its main thread. It has called no malloc by then, and does so for half a second.
_DAEMON = """
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>
static void *work(void *unused) {
    for (int k = 0; k < 20; k++) {
        usleep(25000);
        for (int i = 0; i < 1000; i++) free(malloc(48));
    }
    return unused;
}
int main(void) {
    free(malloc(100));
    if (fork()) return 0;
    setsid();
    if (fork()) _exit(0);
    pthread_t thread;
    pthread_create(&thread, NULL, work, NULL);
    pthread_exit(NULL);
}
"""

# Tells its process when it has called malloc, and stays.
_STAYS = """
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
int main(int n, char **words) {
    (void)n;
    if (fork()) return 0;
    setsid();
    close(2);
    for (int i = 0; i < 1000; i++) free(malloc(48));
    FILE *told = fopen(words[1], "w");
    fprintf(told, "%d", getpid());
    fclose(told);
    for (;;) pause();
}
"""

_CHURN = """
#include <stdio.h>
#include <stdlib.h>
int main(void) {
    static void *held[1000];
    for (long i = 0; i < 2000000; i++) {
        void **one = &held[i * 7919 % 1000];
        free(*one);
        *one = malloc(16 + i % 500);
    }
    puts("finished");
}
"""


@pytest.fixture
def compiled(tmp_path: Path) -> Compiler:
    def run(source: str) -> str:
        program = tmp_path / "program"
        program.with_suffix(".c").write_text(source)
        subprocess.run(
            ["cc", "-O1", "-Wall", "-fno-builtin", "-pthread", "-o", program, program.with_suffix(".c")], check=True
        )
        return str(program)

    return run


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Of 4 MiB."""
    disk = tmp_path / "small"
    disk.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", disk], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"needs root, who may mount: {done.stderr.strip()}")
    yield disk
    subprocess.run(["umount", disk], check=True)


def _mallocs(path: Path, size: int) -> int:
    with Trace(path) as trace:
        trace.check()
        return sum(call.kind == MALLOC and call.size == size for call in trace.calls())


def _shared() -> set[Path]:
    return set(Path("/dev/shm").glob("allocmark-*"))


@pytest.mark.parametrize("through", [[], ["sh", "-c", '(sleep 0.2; exec "$0") & exit 0']])
def test_a_daemon_is_recorded_to_its_end(compiled: Compiler, tmp_path: Path, through: list[str]) -> None:
    status, made = record([*through, compiled(_DAEMON)], tmp_path / "daemon.trace")
    assert status == 0
    assert _mallocs(made[0].path, 48) == 20_000


def _interrupted(command: list[str], folder: Path) -> tuple[int, list[str]]:
    """Its exit status, and what it wrote to stderr until it had been interrupted where it says that one may."""
    whole = [sys.executable, "-m", "allocmark", "record", "-o", "p.trace", "--", *command]
    with subprocess.Popen(whole, cwd=folder, stderr=subprocess.PIPE, text=True, start_new_session=True) as running:
        assert running.stderr is not None
        told = [running.stderr.readline()]
        running.send_signal(signal.SIGINT)
        told += running.stderr.readlines()
        return running.wait(), told


def test_ctrl_c_ends_the_recording_and_not_the_daemon(compiled: Compiler, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    status, told = _interrupted([compiled(_STAYS), str(pid)], tmp_path)
    daemon = int(pid.read_text())
    try:
        assert status == 0
        assert told == [f"allocmark: program ({daemon}) still runs: Ctrl-C ends the recording\n"]
        assert _mallocs(tmp_path / "p.trace", 48) == 1000
        os.kill(daemon, 0)
        assert not (tmp_path / "p.trace.recording").exists()
    finally:
        os.kill(daemon, signal.SIGKILL)


def test_what_is_not_recorded_is_not_waited_for(tmp_path: Path) -> None:
    pid, closed = tmp_path / "pid", "</dev/null >/dev/null 2>&1"
    record(["sh", "-c", f"env -u LD_PRELOAD sleep 600 {closed} & echo $! > {pid}"], tmp_path / "sh.trace")
    sleeps = int(pid.read_text())
    assert Path(f"/proc/{sleeps}/comm").read_text() == "sleep\n"
    os.kill(sleeps, signal.SIGKILL)


def test_a_full_disk_ends_the_recording_and_not_the_program(
    compiled: Compiler, allocmark_command: Runner, small_disk: Path, tmp_path: Path
) -> None:
    before = _shared()
    done = allocmark_command("record", "-o", "small/p.trace", "--", compiled(_CHURN))
    folder = "small/p.trace.recording"
    assert (done.returncode, done.stdout) == (2, "finished\n")
    assert done.stderr.splitlines()[0] == (
        f"allocmark: {folder}: No space left on device: the recording ends, the program goes on"
    )
    assert f"`allocmark record --rescue {folder} -o FILE.trace`" in done.stderr.splitlines()[1]
    assert_refused(allocmark_command("record", "--rescue", folder), "No space left on device")
    done = allocmark_command("record", "--rescue", folder, "-o", "p.trace")
    assert done.returncode == 0, done.stderr
    assert "the recording ended before the program: No space left on device" in done.stderr
    with Trace(tmp_path / "p.trace") as trace:
        trace.check()
        assert trace.about.process.stopped == errno.ENOSPC
        assert trace.events > 4 * 2**20 / 20  # what the disk had, and more
    assert not any(small_disk.iterdir())
    assert _shared() == before


@pytest.mark.parametrize("blocks", [0, 200])
def test_a_limit_of_file_sizes_ends_the_recording_and_not_the_program(
    compiled: Compiler, tmp_path: Path, blocks: int
) -> None:
    script = f'ulimit -f {blocks}; "$0" >/dev/null; exit $?'
    status, made = record(["sh", "-c", script, compiled(_CHURN)], tmp_path / "p.trace")
    assert status == 0
    churns: list[Any] = [each for each in made if each.command[0].endswith("/program")]
    assert [each.stopped for each in churns] == (["File too large (ulimit -f)"] if blocks else [])


def test_a_name_that_replay_does_not_take_is_refused(allocmark_command: Runner, tmp_path: Path) -> None:
    assert_refused(allocmark_command("record", "-o", "plain", "--", "true"), "-o plain.trace")
    assert not any(tmp_path.iterdir())

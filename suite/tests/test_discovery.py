# SPDX-License-Identifier: BSD-3-Clause
"""A plugin cannot hurt the process that asks for it, nor another plugin."""

from __future__ import annotations

import json
import os
import resource
import time
from pathlib import Path
from typing import Any

import pytest
from support import hook, make_plugin

from allocmark import discovery
from allocmark.cli import main

BEGIN = "import os, sys, time\n"
QUICK = ["--rounds", "1", "--blocks", "2", "--sample-ms", "1", "--no-latency", "--no-reuse", "--no-placement"]
PROBES = "allocmark_probes()"
#: A pool table that is wrong in a way of its own.
MUTANT = "from mutants_native import ffi, lib; table = int(ffi.cast('uintptr_t', lib.mutant_table({})))"

#: What a plugin does, and how that is told.
WRONG = {
    "import_error": ("import there_is_no_such_module", "failed to import: ModuleNotFoundError: No module named"),
    "import_exit": ("import sys; sys.exit('leaving')", "failed to import: SystemExit: leaving"),
    "syntax": ("def (:", "failed to import: SyntaxError"),
    "text_raises": (
        "class Odd(Exception):\n    def __str__(self): raise ValueError\nraise Odd",
        "failed to import: Odd",
    ),
    "unknown_hook": (
        hook("return []", "allocmark_backend()"),
        "implements an unknown hook (PluginValidationError: unknown hook 'allocmark_backend'",
    ),
    "arguments": (hook("return []", "allocmark_backends(machine)"), "does not fit a hook: PluginValidationError"),
    "raises": (hook("raise OSError('no device')"), "its hook allocmark_backends failed: OSError: no device"),
    "returns": (hook("return ['odd']"), "its hook allocmark_backends returned a str, not a Backend"),
    "endless": (
        hook("import itertools; return itertools.repeat(backend())"),
        "its hook allocmark_backends returned more than 10,000 things: does it end?",
    ),
    "unmarked": (
        "def allocmark_backends():\n    return []",
        "its function allocmark_backends is not marked as a hook: write @allocmark.hookimpl above it",
    ),
    "marked_for_another": (
        "import pluggy\n@pluggy.HookimplMarker('pytest')\ndef allocmark_backends():\n    return []",
        "its function allocmark_backends is not marked as a hook",
    ),
    "registers_nothing": ("x = 1", "has no hooks: give its functions allocmark_backends"),
    "twice": (hook("return [backend(), backend()]"), "registers odd:default twice"),
    "taken": (hook("return [backend('null')]"), "registers the backend name 'null', which plugin 'allocmark' has"),
    "second_floor": (hook("return [backend(floor=True)]"), "declares a floor, and allocmark has its own"),
    "name": (hook("return [backend('Odd One')]"), "name 'Odd One' is not lower-case words"),
    "long_name": (
        hook("return [backend('x' * 10_000_000)]"),
        "name is 10,000,000 characters long, and at most 60 can be shown",
    ),
    "library_kind": (hook("return [backend('so')]"), "name 'so' is taken: -b so:PATH names a library"),
    "no_folder": (
        hook("from pathlib import Path; return [Path('/dev/null')]", "allocmark_workload_dirs()"),
        "its hook allocmark_workload_dirs returned '/dev/null': Not a directory",
    ),
    "no_path": (
        hook("from pathlib import Path; return [Path('\\0')]", "allocmark_workload_dirs()"),
        "its hook allocmark_workload_dirs returned '\\x00': embedded null byte",
    ),
    "version": (hook("return [backend(version=None)]"), "version is NoneType, not str"),
    "escapes": (
        hook("return [backend(version='1\\x1b[2J')]"),
        "version holds the character '\\x1b', which a table cannot show",
    ),
    "environ": (
        hook("return [backend(environ={'A=B': 'x'})]"),
        "environ has an empty name, or a name or value that a process cannot be given",
    ),
    "actors": (
        hook("return [backend(capabilities=allocmark.Capabilities(max_actors='x'))]"),
        "max_actors 'x' is not a number from 1 on, nor None",
    ),
    "reason_is_none": (
        hook("return [backend(table=None, unavailable=allocmark.Unavailable(None))]"),
        "unavailable.reason is NoneType, not str",
    ),
    "not_unicode": (
        hook("return [backend(environ={'A': '\\udcff'})]"),
        "hands over what cannot be passed on: 'utf-8' codec can't encode",
    ),
    "no_table": (hook("return [backend(table=None)]"), "exactly one of table, load and unavailable must be given"),
    "wild_table": (hook("return [backend(table=4096)]"), "table 0x1000 is not an address that can be read"),
    "other_abi": (
        hook(MUTANT.format(b"other_abi") + "; return [backend(table=table)]"),
        "built against ABI 2 of allocmark/backend.h, and this is ABI 1: rebuild the plugin",
    ),
    "lacking": (
        hook(MUTANT.format(b"lacking") + "; return [backend(table=table)]"),
        "its table lacks the required operation put_bulk",
    ),
    "truncated": (hook(MUTANT.format(b"truncated") + "; return [backend(table=table)]"), "its table says a size of"),
    "end_of_page": (
        "import ctypes, mmap\nlibc = ctypes.CDLL(None)\nlibc.mmap.restype = ctypes.c_void_p\n"
        "at = libc.mmap(None, ctypes.c_size_t(8192), 3, 0x22, -1, ctypes.c_long(0))\n"
        "libc.munmap(ctypes.c_void_p(at + 4096), ctypes.c_size_t(4096))\n"
        "(ctypes.c_uint32 * 2).from_address(at + 4088)[:] = 1, 128\n" + hook("return [backend(table=at + 4088)]"),
        "says a size of 128 bytes, and 8 of them can be read",
    ),
    "probe_is_taken": (
        hook("return [allocmark.Probe('pages', '', '', lambda context: {})]", PROBES),
        "registers the probe name 'pages' a second time",
    ),
    "probe_is_odd": (
        hook("return [allocmark.Probe('p', 'two\\nlines', '', print)]", PROBES),
        "hands over a malformed probe 'p': description holds the character '\\n'",
    ),
    "exits": (BEGIN + "os._exit(0)", "ended the process that imported it, with exit status 0"),
    "exits_in_hook": (BEGIN + hook("os._exit(3)"), "ended the process that imported it, with exit status 3"),
    "crashes": ("import ctypes\nctypes.string_at(0)", "crashed the process that imported it: SIGSEGV"),
    "hangs": (BEGIN + "while True: pass", "did not answer within 2 s"),
    "sleeps_in_hook": (BEGIN + hook("time.sleep(1000)"), "did not answer within 2 s"),
    "kills_parent": (
        BEGIN + "os.kill(os.getppid(), 9)\ntime.sleep(1000)",
        "lost its parent process to SIGKILL (code that signals its parent does this)",
    ),
    "terminates_parent": (
        BEGIN + "os.kill(os.getppid(), 15)\ntime.sleep(1000)",
        "sent SIGTERM to its parent process",
    ),
    "closes": (BEGIN + "os.closerange(3, 64)\n" + hook("return []"), "with exit status 1"),
    "closes_and_hangs": (
        BEGIN + "os.closerange(3, 64)\ntime.sleep(1000)",
        "closed a file descriptor that is not its own",
    ),
    "forks_and_ends": (BEGIN + "os.fork() or time.sleep(1000)\nos._exit(5)", "with exit status 5"),
    "writes_elsewhere": (
        BEGIN + "for fd in range(3, 64):\n    try: os.write(fd, b'hello\\n')\n    except OSError: pass",
        "wrote into a file descriptor that is not its own",
    ),
}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, mutants: Path) -> discovery.Host:
    """All of them are installed at once, and good ones before and after them."""
    folder = tmp_path_factory.mktemp("wrong")
    for name, (code, _) in WRONG.items():
        make_plugin(folder, name, code)
    for name in ("a_good_one", "z_good_one"):
        make_plugin(folder, name, hook(f"return [backend({name!r})]"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{folder}{os.pathsep}{mutants}")
        patch.setattr(discovery, "SECONDS", 2.0)
        return discovery.discover()


@pytest.mark.parametrize("name", WRONG)
def test_what_a_plugin_does_is_told_and_stays_its_own(found: discovery.Host, name: str) -> None:
    (broken,) = [each for each in found.broken if each.plugin == name]
    assert WRONG[name][1] in broken.cause
    assert broken.distribution == f"allocmark-test-{name} 1.0"


def test_the_others_are_there(found: discovery.Host) -> None:
    names = {each.backend.name for each in found.backends}
    assert {"null", "mutant", "a_good_one", "z_good_one"} <= names
    assert "odd" not in names
    assert len(found.broken) == len(WRONG)


def test_what_a_plugin_changes_in_its_process_reaches_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_plugin(
        tmp_path, "changes",
        BEGIN + "import atexit, resource, threading\n"
        "os.environ['MALLOC_ARENA_MAX'] = '1'\nos.chdir('/')\nos.sched_setaffinity(0, [min(os.sched_getaffinity(0))])\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\nprint('hello')\n"
        "threading.Thread(target=time.sleep, args=(1000,)).start()\natexit.register(time.sleep, 1000)\n"
        + hook("return [backend('changes')]"),
    )  # fmt: skip
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    before = dict(os.environ), os.getcwd(), os.sched_getaffinity(0), resource.getrlimit(resource.RLIMIT_NOFILE)
    begun = time.monotonic()
    assert "changes" in {each.backend.name for each in discovery.discover().backends}
    assert time.monotonic() - begun < discovery.SECONDS / 2
    after = dict(os.environ), os.getcwd(), os.sched_getaffinity(0), resource.getrlimit(resource.RLIMIT_NOFILE)
    assert after == before


def test_a_daemon_that_a_plugin_starts_ends_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    daemon = ["import os, subprocess, sys", "daemon = subprocess.Popen(['sleep', '1000'], start_new_session=True)"]
    make_plugin(
        tmp_path, "daemon", "\n".join([*daemon, f"open({str(tmp_path / 'pid')!r}, 'w').write(str(daemon.pid))"])
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    discovery.discover()
    assert not Path("/proc", (tmp_path / "pid").read_text()).exists()


def test_what_a_plugin_prints_is_not_in_the_document(allocmark_command, tmp_path):
    folder = make_plugin(
        tmp_path, "chatty", "print('ready')\nimport os\nos.write(1, b'steady\\n')\n" + hook("return []")
    )
    done = allocmark_command("list", "backends", "--json", plugins=[folder])
    assert "null" in {row["name"] for row in json.loads(done.stdout)}
    assert "ready" in done.stderr
    assert "steady" in done.stderr


def test_metadata_that_an_interrupted_installation_left_counts_once(allocmark_command, tmp_path):
    folder = make_plugin(tmp_path, "odd", hook("return [backend()]"))
    left = folder / "~llocmark_test_odd-0.9.dist-info"
    left.mkdir()
    for name in ("METADATA", "entry_points.txt"):
        left.joinpath(name).write_text(
            (folder / "allocmark_test_odd-1.0.dist-info" / name).read_text().replace("1.0", "0.9")
        )
    (row,) = [
        row
        for row in json.loads(allocmark_command("list", "backends", "--json", plugins=[folder]).stdout)
        if row["name"] == "odd"
    ]
    assert (row["available"], row["distribution"]) == (True, "allocmark-test-odd 1.0")


def test_a_broken_plugin_is_told_where_it_was_asked_for(allocmark_command, tmp_path):
    folder = make_plugin(tmp_path, "odd", "import nothing_of_that_name")
    tiny = [
        "burst",
        "--set",
        "bulk=32",
        "--set",
        "keep=128",
        "--short",
        "--rounds",
        "1",
        "--blocks",
        "8",
        "--sample-ms",
        "1",
    ]
    named = allocmark_command("run", *tiny, "-b", "null", "-b", "glibc", plugins=[folder])
    assert named.returncode == 0
    assert "odd" not in named.stderr
    assert "plugin 'odd'" in allocmark_command("run", *tiny, "-b", "odd", plugins=[folder]).stderr
    assert "odd" in allocmark_command("list", "backends", plugins=[folder]).stdout


def test_what_a_plugin_changes_does_not_reach_the_next_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither where both are asked, nor in the process of a cell: one brings a probe, the other the backend."""
    make_plugin(
        tmp_path, "a_changes",
        BEGIN + "import resource\nos.environ['MALLOC_ARENA_MAX'] = '1'\nos.chdir('/')\n"
        "os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (200, resource.getrlimit(7)[1]))\n"
        + hook("return [allocmark.Probe('none', '', '', lambda context: {})]", PROBES),
    )  # fmt: skip
    looks = "os.environ.get('MALLOC_ARENA_MAX'), os.getcwd(), os.sched_getaffinity(0), resource.getrlimit(7)"
    make_plugin(
        tmp_path, "looks",
        f"import os, resource\nprint({looks}, file=open({str(tmp_path / 'seen')!r}, 'a'))\n"
        + hook("return [backend('looks')]"),
    )  # fmt: skip
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert main(["run", "burst", "--short", "-b", "looks", *QUICK, "--set", "bulk=8", "--set", "keep=128"]) == 0
    seen = (tmp_path / "seen").read_text().splitlines()
    expected = None, str(tmp_path), os.sched_getaffinity(0), resource.getrlimit(resource.RLIMIT_NOFILE)
    assert seen == [" ".join(map(str, expected))] * 2


IN_A_CELL = """
for fd in range(3, 64) if 'ALLOCMARK_PADDING' in os.environ else []:
    try: {}
    except OSError: pass
"""


@pytest.mark.parametrize(
    ("does", "words"),
    [
        ("os.write(fd, b'hello\\n')", "wrote into a file descriptor that is not its own during"),
        ("os.write(fd, b'7\\n')", "wrote into a file descriptor that is not its own during"),
        ("os.close(fd)", "ended by itself during"),
    ],
)
def test_what_a_plugin_does_to_descriptors_in_a_cell_costs_that_cell(
    tmp_path: Path, allocmark_command: Any, does: str, words: str
) -> None:
    make_plugin(tmp_path, "odd", BEGIN + IN_A_CELL.format(does) + hook("return [backend()]"))
    command = ["run", "burst", "--short", "-b", "odd", *QUICK, "--set", "bulk=8", "--set", "keep=128", "--json", "-"]
    done = allocmark_command(*command, plugins=[tmp_path])
    assert done.returncode == 1, done.stderr
    floor, odd = json.loads(done.stdout)["cells"]
    assert (floor["status"], odd["status"]) == ("ok", "failed")
    assert words in odd["reason"]

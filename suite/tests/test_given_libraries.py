# SPDX-License-Identifier: BSD-3-Clause
"""``-b so:PATH`` and ``-b preload:PATH``: libraries that no plugin brings, and whose functions are really called."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support import assert_refused, called, setting, started

from allocmark import conformance
from allocmark.conformance import cases
from allocmark.errors import UsageError
from allocmark.measuring.given import given_library

FOO = Path(__file__).parent / "native" / "foo.c"
CELL = ["burst", *setting(bulk=8, keep=128, touch=0, off_ns=0, cores=1, cache=256)]
QUICK = ["--rounds", "1", "--blocks", "2", "--sample-ms", "1", "--no-latency", "--no-reuse", "--no-placement"]


def build(folder: Path, name: str, *flags: str) -> Path:
    """The library as ``name``."""
    file = folder / name
    file.parent.mkdir(exist_ok=True)
    command = ["cc", "-O1", "-fno-builtin", "-shared", "-fPIC", "-Wl,--build-id", *flags, "-o", str(file), str(FOO)]
    subprocess.run(command, check=True, timeout=60)
    return file


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with libfoo.so, which replaces malloc, and others/libfoo.so, whose functions begin with foo_."""
    folder = tmp_path_factory.mktemp("libraries")
    build(folder, "libfoo.so")
    build(folder, "others/libfoo.so", "-DPREFIX=foo_")
    build(folder, "half.so", "-DWITHOUT_FREE")
    return folder


def test_a_library_is_measured_without_code(allocmark_command, libraries, tmp_path):
    file = libraries / "others" / "libfoo.so"
    done = allocmark_command("run", *CELL, *QUICK, "-b", f"so:{file}", "--prefix", "foo_", "-o", "here")
    assert done.returncode == 0, done.stderr
    told = json.loads(allocmark_command("show", "here", "--json").stdout)
    (cell,) = (each for each in told["cells"] if each["backend"] == "so")
    assert (cell["variant"], cell["status"]) == ("libfoo", "ok")
    library = cell["attestation"]["library"]
    assert library["file"] == str(file)
    assert library["calls"] == ["foo_free", "foo_malloc"]
    assert cell["attestation"]["pools"]["mbuf"] == {"function": "foo_malloc", "usable_bytes": "4711"}
    said = subprocess.run(["readelf", "-n", file], capture_output=True, text=True, check=True).stdout
    assert f"Build ID: {library['build_id']}" in said
    assert f"so:libfoo: {file}, build id {library['build_id']}" in " ".join(done.stdout.split())


def test_a_prefix_is_not_asked_of_a_library_beside_it_with_plain_names(allocmark_command, libraries):
    names = ["-b", "so:others/libfoo.so", "-b", "so:libfoo.so", "-b", "so:others/../others/libfoo.so"]
    done = allocmark_command("run", *CELL, *QUICK, *names, "--prefix", "foo_", "--json", "-", cwd=libraries)
    assert done.returncode == 0, done.stderr
    libraries_of = [each["attestation"]["library"] for each in json.loads(done.stdout)["cells"] if not each["floor"]]
    assert [(Path(each["file"]), each["calls"]) for each in libraries_of] == [
        (libraries / "others" / "libfoo.so", ["foo_free", "foo_malloc"]),
        (libraries / "libfoo.so", ["free", "malloc"]),
    ]
    both = ["-b", f"so:{libraries / 'half.so'}", "-b", f"so:{libraries / 'others' / 'libfoo.so'}"]
    refused = allocmark_command("run", *CELL, *both, "--prefix", "foo_")
    assert_refused(refused, "half.so: has neither foo_malloc and foo_free nor malloc and free: --prefix is for all")


def test_a_malloc_that_the_caller_preloads_is_told_and_not_measured_as_glibc_s(
    allocmark_command, libraries, monkeypatch
):
    monkeypatch.setenv("LD_PRELOAD", str(libraries / "libfoo.so"))
    done = allocmark_command("run", *CELL, *QUICK, "-b", "glibc", "-o", "here")
    assert done.returncode == 0, done.stdout
    assert f"LD_PRELOAD={libraries}/libfoo.so was set" in " ".join(done.stdout.split())
    monkeypatch.delenv("LD_PRELOAD")
    told = json.loads(allocmark_command("show", "here", "--json").stdout)
    (cell,) = (each for each in told["cells"] if each["backend"] == "glibc")
    assert "libc.so" in cell["attestation"]["library"]["file"]
    assert cell["attestation"]["pools"]["mbuf"]["usable_bytes"] == "2184"


def test_two_libraries_of_one_name_are_told_apart_and_a_run_of_them_is_resumed(allocmark_command, libraries, tmp_path):
    names = ["-b", "so:libfoo.so", "-b", "so:again/libfoo.so", "-b", "preload:libfoo.so"]
    (libraries / "again").mkdir()
    shutil.copy(libraries / "libfoo.so", libraries / "again")
    done = allocmark_command("run", *CELL, *QUICK, *names, "-o", tmp_path / "here", cwd=libraries)
    assert done.returncode == 0, done.stderr
    told = json.loads(allocmark_command("show", "here", "--json").stdout)
    found = {f"{each['backend']}:{each['variant']}": each["attestation"].get("library") for each in told["cells"]}
    assert found.pop("null:default") == {}
    assert {label: Path(library["file"]) for label, library in found.items()} == {
        "so:libfoo": libraries / "libfoo.so",
        "so:libfoo-2": libraries / "again" / "libfoo.so",
        "preload:libfoo": libraries / "libfoo.so",
    }
    assert all(library["calls"] == ["free", "malloc"] for library in found.values())
    resumed = allocmark_command("run", "--resume", "here")
    assert resumed.returncode == 0, resumed.stderr


def test_a_library_is_checked_by_the_acceptance_kit(libraries):
    kit = cases(f"so:{libraries / 'libfoo.so'}")
    results = [each.run() for each in kit if each.name.startswith("align")]
    assert {result.status for result in results} == {"refused"}
    assert all(result.reason.endswith("the library has no function that aligns") for result in results)
    handover = next(each for each in cases(f"preload:{libraries / 'libfoo.so'}") if each.name.startswith("handover"))
    assert handover.run().status == "passed"


def test_what_cannot_be_measured_is_told_in_one_line(libraries, tmp_path):
    text, foreign, unlinked = (tmp_path / name for name in ("text.so", "foreign.so", "unlinked.so"))
    text.write_text("GROUP ( libfoo.so.1 )\n")
    bytes_of = bytearray((libraries / "libfoo.so").read_bytes())
    struct.pack_into("<H", bytes_of, 18, 40)  # e_machine: Arm
    foreign.write_bytes(bytes_of)
    build(tmp_path, "gone/libgone.so")
    build(tmp_path, "unlinked.so", f"-Wl,--no-as-needed,{tmp_path}/gone/libgone.so")
    shutil.rmtree(tmp_path / "gone")
    (tmp_path / "crash.c").write_text("__attribute__((constructor)) static void f(void) { __builtin_trap(); }\n")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", "crash.so", "crash.c"], cwd=tmp_path, check=True)
    for spec, words in {
        "so:/nowhere.so": "so:/nowhere.so: No such file or directory: name the file of a shared library",
        f"so:{tmp_path}": "Is a directory",
        f"so:{text}": "is no shared library (it has no ELF header)",
        f"so:{foreign}": "foreign.so: is for armv7l, and this machine is ",
        f"so:{libraries / 'half.so'}": "half.so: has no function free: name what its functions begin with",
        f"so:{unlinked}": "libgone.so: cannot open shared object file",
        f"so:{tmp_path / 'crash.so'}": "crash.so: crashed the process that loaded it: ",
        f"preload:{libraries / 'others' / 'libfoo.so'}": "has no function malloc: it does not replace malloc",
        "preload:/no space": "No such file",
    }.items():
        with pytest.raises(UsageError) as refused:
            given_library(spec, "", [])
        assert str(refused.value).startswith(f"{spec}: ")
        assert words in str(refused.value)
        assert "\n" not in str(refused.value)


def test_a_file_that_is_damaged_or_none_is_told(libraries, tmp_path):
    whole = (libraries / "libfoo.so").read_bytes()
    for name, content in {
        "magic": whole[:4],
        "short": whole[:30],
        "head": whole[:64],
        "half": whole[: len(whole) // 2],
    }.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "zeros").write_bytes(whole[:54] + bytes(len(whole)))
    os.mkfifo(tmp_path / "pipe")
    for name, words in {
        "magic": "has no ELF header",
        "short": "has no ELF header",
        "head": "is damaged",
        "half": "is damaged",
        "zeros": "is damaged",
        "pipe": "is no file",
        "/dev/zero": "is no file",
    }.items():
        with pytest.raises(UsageError, match=words):
            given_library(f"so:{tmp_path / name}", "", [])


def test_what_a_library_does_while_it_is_loaded(libraries, tmp_path):
    """It may print and start processes; one that ends the process is refused, whatever the exit status."""

    def built(name: str, code: str) -> str:
        (tmp_path / f"{name}.c").write_text(
            f'#include "{FOO}"\n#include <unistd.h>\n'
            f"__attribute__((constructor)) static void begin(void) {{ {code} }}\n"
        )
        command = ["cc", "-fno-builtin", "-shared", "-fPIC", "-o", f"{name}.so", f"{name}.c"]
        subprocess.run(command, cwd=tmp_path, check=True)
        return f"so:{tmp_path / name}.so"

    ends = built("ends", "_exit(0);")
    with pytest.raises(UsageError, match="ended the process that loaded it, with exit status 0"):
        given_library(ends, "", [])
    prints = built("prints", 'write(1, "hello\\n", 6); if (fork() == 0) { sleep(60); _exit(0); }')
    assert given_library(prints, "", []).backend.label == "so:prints"


def test_a_library_that_is_replaced_has_no_figures_until_it_is_measured_anew(allocmark_command, libraries, tmp_path):
    """As when somebody builds it again, and then resumes a run."""
    file = tmp_path / "libbar.so"
    shutil.copy(libraries / "others" / "libfoo.so", file)
    asked = ["run", *CELL, *QUICK[2:], "--rounds", "6", "-b", f"so:{file}", "--prefix", "foo_", "-o", "here"]
    with started(tmp_path, libraries, *asked) as running:
        run_file = tmp_path / "here" / "run.jsonl"
        while not run_file.exists() or run_file.read_text().count("foo_malloc") < 2:
            assert running.poll() is None
            time.sleep(0.05)
        running.kill()
    file.unlink()
    build(tmp_path, "libbar.so", "-DPREFIX=foo_", "-g")
    done = allocmark_command("run", "--resume", "here", cwd=tmp_path)
    assert done.returncode == 1, done.stdout
    assert "its library is another one than at first: build id " in " ".join(done.stdout.split())
    assert allocmark_command("run", "--resume", "here", cwd=tmp_path).returncode == 0


def test_the_kit_s_verdict_is_about_the_build_that_was_checked(allocmark_command, tmp_path, monkeypatch):
    file = build(tmp_path, "libfoo.so")
    monkeypatch.setattr(conformance, "cases", lambda *asked, **more: cases(*asked, **more)[-3:])

    def said(path: Path) -> str:
        done = allocmark_command("run", *CELL, *QUICK, "-b", f"so:{path}")
        assert done.returncode == 0, done.stderr
        return " ".join(done.stdout.split())

    assert called("conform", f"so:{file}", "--budget", "0.1s").returncode == 0
    assert "acceptance kit: so:libfoo passed" in said(file)
    other = build(tmp_path, "other/libfoo.so", "-g")
    assert "acceptance kit: so:libfoo not checked in this build (allocmark conform NAME)" in said(other)
    build(tmp_path, "libfoo.so", "-O0")
    assert "acceptance kit: so:libfoo not checked in this build" in said(file)


def test_commands_refuse_what_cannot_be_measured(libraries, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = f"so:{libraries / 'libfoo.so'}"
    (tmp_path / "text.so").write_text("GROUP ( libfoo.so.1 )\n")
    assert_refused(called("run", *CELL, "-b", "so:text.so"), f"so:{tmp_path}/text.so: is no shared library")
    assert_refused(called("run", *CELL, "-b", file, "--prefix", "bar_"), "has no function bar_malloc")
    assert_refused(called("run", *CELL, "-b", "glibc", "--prefix", "bar_"), "-b so:PATH, and none is")
    assert_refused(called("conform", "glibc", "--prefix", "bar_"), "-b so:PATH, and none is")
    assert_refused(called("conform", "so:text.so"), "is no shared library")
    assert_refused(called("track", "gate", "HEAD~1", "HEAD", "-b", file), "a file belongs to neither")


def test_a_library_with_much_static_tls_is_loaded(allocmark_command, tmp_path):
    """As Debian's jemalloc, which a process that already runs cannot load by itself."""
    (tmp_path / "tls.c").write_text(
        f'#include "{FOO}"\n__attribute__((tls_model("initial-exec"))) __thread char room[20000];\n'
        "char *use(void) { return room; }\n"
    )
    command = ["cc", "-fno-builtin", "-shared", "-fPIC", "-o", "tls.so", "tls.c"]
    subprocess.run(command, cwd=tmp_path, check=True)
    alone = [sys.executable, "-c", "import ctypes; ctypes.CDLL('./tls.so')"]
    assert b"static TLS" in subprocess.run(alone, cwd=tmp_path, capture_output=True, check=False).stderr
    done = allocmark_command("run", *CELL, *QUICK, "-b", "so:tls.so")
    assert done.returncode == 0, done.stderr

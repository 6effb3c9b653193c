# SPDX-License-Identifier: BSD-3-Clause
"""Checked pools: what they find themselves, and what AddressSanitizer and Valgrind find through them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from native_programs import Build, compiled, run

FAULTS = {
    "read_after_put": "READ of size 1",
    "write_after_put": "WRITE of size 1",
    "write_behind": "WRITE of size 1",
    "write_before": "WRITE of size 1",
}


def test_every_misuse_is_found(build: Build) -> None:
    run(compiled("checks", build, quick=True))


@pytest.fixture(scope="module")
def asan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled("faults", Build.of("address", tmp_path_factory.mktemp("asan")), quick=True)


@pytest.mark.parametrize("fault", FAULTS)
def test_address_sanitizer_reports_the_access(asan: Path, fault: str) -> None:
    done = subprocess.run([asan, fault], capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert "use-after-poison" in done.stderr
    assert FAULTS[fault] in done.stderr


@pytest.mark.parametrize("name", ["none", "owned_memory"])
def test_address_sanitizer_is_silent_about_proper_use(asan: Path, name: str) -> None:
    run(asan, name)


@pytest.fixture(scope="module")
def faults(plain: Build) -> Path:
    if shutil.which("valgrind") is None or not Path("/usr/include/valgrind/memcheck.h").exists():
        pytest.skip("Valgrind and its headers are not installed: apt install valgrind")
    return compiled("faults", plain)


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("none", ["ERROR SUMMARY: 0 errors"]),
        ("read_after_put", ["Invalid read of size 1", "is 3 bytes inside a block of size 40 free'd"]),
        ("write_after_put", ["Invalid write of size 1", "free'd"]),
        ("write_behind", ["Invalid write of size 1", "is 0 bytes after a block of size 40"]),
        ("write_before", ["Invalid write of size 1"]),
        ("read_uninitialised", ["depends on uninitialised value"]),
    ],
)
def test_valgrind_reports_the_access(faults: Path, fault: str, says: list[str]) -> None:
    command = ["valgrind", "--error-exitcode=9", faults, fault]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == (0 if fault == "none" else 9), done.stderr
    for text in says:
        assert text in done.stderr

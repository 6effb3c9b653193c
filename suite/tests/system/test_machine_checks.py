# SPDX-License-Identifier: BSD-3-Clause
import os
import subprocess
import time

import pytest

from allocmark.system import machine
from allocmark.system import machine_checks as doctor
from allocmark.system.machine_checks import MachineCheck

NAMES = """
cores|NUMA nodes|SMT|governor|boost|hypervisor|load|clock source|
memory available|THP|THP defrag|THP shmem|2 MB huge pages|1 GB huge pages|locked memory|ASLR|
DPDK
"""


@pytest.fixture(scope="module")
def found():
    return doctor.checks()


def test_everything_is_looked_at_and_explained(found):
    assert [check.name for check in found] == NAMES.replace("\n", "").split("|")
    for check in found:
        assert check.status in ("ok", "note", "warn", "missing")
        assert check.found
        assert check.meaning.endswith(".")
        assert check.status != "ok" or not check.fix


def test_every_fix_is_a_command(found):
    for check in found:
        assert subprocess.run(["sh", "-n", "-c", check.fix], capture_output=True).returncode == 0, check


def test_json_has_the_members_of_a_check(found):
    for check, json in zip(found, doctor.as_json(found), strict=True):
        assert MachineCheck(**json) == check


def test_text_says_status_by_a_word_and_keeps_commands_whole():
    fix = "echo 512 > " + "/sys" * 40
    text = doctor.render(
        [MachineCheck("THP", "never " * 30, "warn", "Slow. " * 30, fix), MachineCheck("x", "1", "ok", "y.")]
    )
    lines = text.splitlines()
    assert lines[0].startswith("warn    THP   never")
    assert f"$ {fix}" in text
    assert all(len(line) <= 100 for line in lines if "$" not in line)
    assert lines[-2:] == ["ok      x     1", "              y."]


def test_text_of_nothing_is_empty():
    assert doctor.render([]) == ""


@pytest.mark.parametrize(
    ("mode", "status"),
    [
        ("always [madvise] never", "ok"),
        ("[always] madvise never", "note"),
        ("always madvise [never]", "warn"),
        (None, "missing"),
    ],
)
def test_thp_modes(monkeypatch, mode, status):
    monkeypatch.setattr(doctor, "read", lambda path: mode)
    check = doctor.thp_mode()
    assert check.status == status
    assert check.found == (machine.chosen(mode) or "not in this kernel")
    assert ("transparent_hugepage/enabled" in check.fix) == (status in ("note", "warn"))


@pytest.mark.parametrize(
    ("total", "free", "reserved", "overcommit", "surplus", "status", "found"),
    [
        (512, 300, 100, 0, 0, "ok", "200 free of 512, 0 more on demand"),
        (0, 0, 0, 64, 0, "ok", "0 free of 0, 64 more on demand"),
        (70, 0, 0, 64, 64, "warn", "0 free of 70, 0 more on demand"),
        (100, 20, 20, 0, 0, "warn", "0 free of 100, 0 more on demand"),
    ],
)
def test_huge_pages(monkeypatch, total, free, reserved, overcommit, surplus, status, found):
    pages = {"total": total, "free": free, "reserved": reserved, "overcommit": overcommit, "surplus": surplus}
    monkeypatch.setattr(machine, "huge_pages", lambda: {"2048kB": pages})
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    check = doctor.huge_2mb()
    assert (check.status, check.found) == (status, found)
    assert check.fix.startswith("echo 512 | sudo tee /sys/kernel/mm/hugepages/") == (status == "warn")


def test_a_quota_below_the_cpus_is_warned_of(monkeypatch):
    monkeypatch.setattr(machine, "usable_cpus", lambda: [0, 1, 2, 3])
    monkeypatch.setattr(machine, "cpu_quota", lambda: 1.5)
    assert (doctor.cores().status, "quota 1.5 CPUs" in doctor.cores().found) == ("warn", True)
    monkeypatch.setattr(machine, "cpu_quota", lambda: None)
    assert doctor.cores().status == "ok"


def test_a_pause_is_seen():
    """The clock that the spinning thread reads jumps once by 20 ms."""
    assert doctor.longest_pause(0.01) < 0.5
    now, jumps = time.perf_counter(), iter([0.0, 0.001, 0.021, 0.022, 0.2])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "perf_counter", lambda: now + next(jumps))
        assert doctor.longest_pause(0.05) == pytest.approx(0.178)


def test_missing_packages_are_named_with_the_command(monkeypatch):
    monkeypatch.setattr(doctor, "pkg_config", lambda *arguments: None)
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}" if name != "dnf" else None)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert (doctor.dpdk().status, doctor.dpdk().fix) == ("missing", "sudo apt-get install libdpdk-dev")

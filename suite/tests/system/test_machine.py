# SPDX-License-Identifier: BSD-3-Clause
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allocmark import __version__
from allocmark.system import machine

STAT = """\
cpu  3438 0 2557 229673 329 0 51 110 7 0
cpu0 659 0 949 116276 8 0 7 40 7 0
cpu1 2779 0 1607 113397 320 0 43 60 0 0
cpu10 1 0 1 1 1 0 1 10 0 0
intr 1337 0 0
"""


@pytest.mark.parametrize(("text", "cpus"), [("0-2,8", [0, 1, 2, 8]), ("3", [3]), ("", []), ("0,2-3\n", [0, 2, 3])])
def test_cpu_lists(text, cpus):
    assert machine.parse_cpu_list(text) == cpus


@pytest.mark.parametrize(("text", "choice"), [("always [madvise] never", "madvise"), ("none", "none"), (None, None)])
def test_the_choice_in_brackets(text, choice):
    assert machine.chosen(text) == choice


def test_cores_come_before_hardware_threads_and_the_larger_node_first():
    """Two nodes of two cores with two threads each; the first core (CPUs 0 and 4) is not ours."""
    core = {1: 1, 2: 2, 3: 3, 5: 1, 6: 2, 7: 3}
    node = {1: 0, 2: 1, 3: 1, 5: 0, 6: 1, 7: 1}
    assert machine.order_cpus(core, core, node) == [2, 3, 1, 6, 7, 5]


@given(st.dictionaries(st.integers(0, 63), st.tuples(st.integers(0, 15), st.integers(0, 3)), min_size=1))
def test_the_order_is_of_all_cpus_and_shares_no_core_before_it_must(cpus):
    core = {cpu: c for cpu, (c, _) in cpus.items()}
    ordered = machine.order_cpus(cpus, core, {cpu: n for cpu, (_, n) in cpus.items()})
    assert sorted(ordered) == sorted(cpus)
    cores = len(set(core.values()))
    assert len({core[cpu] for cpu in ordered[:cores]}) == cores


def test_usable_cpus_are_the_affinity():
    cpus = machine.usable_cpus()
    assert set(cpus) == os.sched_getaffinity(0)
    assert len(cpus) == len(set(cpus))


def test_an_affinity_of_one_cpu_leaves_one():
    last = max(os.sched_getaffinity(0))
    script = f"import os; os.sched_setaffinity(0, [{last}])\n"
    script += "from allocmark.system import machine; print(machine.usable_cpus())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [last]


def test_the_nodes_of_the_cpus_are_those_of_the_machine():
    nodes = machine.parse_cpu_list(machine.read(f"{machine.NODE}/online") or "0")
    assert {machine.cpu_node(cpu) for cpu in machine.usable_cpus()} <= set(nodes)
    assert machine.cpu_node(10**6) == 0


def test_steal_is_summed_over_the_cpus_asked_for():
    assert machine.parse_steal(STAT, [0, 1]) == 100
    assert machine.parse_steal(STAT, [10]) == 10
    assert machine.parse_steal("", [0]) == 0


def test_available_memory_is_what_the_kernel_says():
    """The figure moves while the test runs; without a cgroup limit it is that of /proc/meminfo."""
    text = Path("/proc/meminfo").read_text().partition("MemAvailable:")[2]
    assert 0 < machine.mem_available() <= int(text.split()[0]) * 1024 * 1.2


@pytest.mark.parametrize(
    ("files", "room"),
    [
        (
            {
                "memory.max": "1000000",
                "memory.current": "700000",
                "memory.stat": "anon 5\ninactive_file 100000",
            },
            400_000,
        ),
        ({"memory.max": "max", "memory.current": "700000"}, None),
        ({"memory.max": "1000", "memory.current": "4000"}, 0),
        (
            {
                "memory.limit_in_bytes": "1000000",
                "memory.usage_in_bytes": "700000",
                "memory.stat": "inactive_file 1\ntotal_inactive_file 2000",
            },
            302_000,
        ),
        ({}, None),
    ],
)
def test_a_cgroup_limit_is_respected(tmp_path, monkeypatch, files, room):
    """The tree of control groups is a recorded one: the machine's own cannot be limited by a test."""
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(machine, "_cgroup_folders", lambda controller: iter([tmp_path]))
    if room is None:
        assert machine.mem_available() > 1 << 20
    else:
        assert machine.mem_available() == room


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({"cpu.max": "150000 100000"}, 1.5),
        ({"cpu.max": "max 100000"}, None),
        ({"cpu.cfs_quota_us": "-1", "cpu.cfs_period_us": "100000"}, None),
        ({"cpu.cfs_quota_us": "50000", "cpu.cfs_period_us": "100000"}, 0.5),
        ({}, None),
    ],
)
def test_a_cpu_quota_is_seen(tmp_path, monkeypatch, files, quota):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(machine, "_cgroup_folders", lambda controller: iter([tmp_path]))
    assert machine.cpu_quota() == quota


@pytest.mark.parametrize(
    ("line", "folder"),
    [
        ("0::/jobs/mine", ""),
        ("4:memory:/jobs/mine", "memory"),
        ("3:cpuset:/\n4:cpu,memory:/jobs/mine", "memory"),
    ],
)
def test_the_groups_above_are_looked_at_too(tmp_path, monkeypatch, line, folder):
    root = tmp_path / folder
    (root / "jobs" / "mine").mkdir(parents=True)
    monkeypatch.setattr(machine, "CGROUP", str(tmp_path))
    real = machine.read
    monkeypatch.setattr(machine, "read", lambda path: line if path == "/proc/self/cgroup" else real(path))
    assert list(machine._cgroup_folders("memory")) == [root / "jobs" / "mine", root / "jobs", root]


def test_facts_are_json_and_those_of_this_machine():
    facts = json.loads(json.dumps(machine.facts()))
    assert facts["allocmark"] == __version__
    assert facts["kernel"] == os.uname().release
    assert facts["python"] == ".".join(map(str, sys.version_info[:3]))
    assert sorted(facts["cpus"]) == sorted(os.sched_getaffinity(0))
    assert facts["machine"]["cpus"] >= len(facts["cpus"])
    assert facts["machine"]["architecture"] == os.uname().machine
    assert facts["thp"]["enabled"] in ("always", "madvise", "never", None)


def test_the_machine_is_the_same_a_second_time():
    assert machine.facts()["machine"] == machine.facts()["machine"]


def test_nothing_is_needed(monkeypatch):
    """A container that hides /proc and /sys: what is not known is None, and nothing is raised."""
    monkeypatch.setattr(machine, "read", lambda path: None)
    for name in ("CPU", "NODE", "THP", "HUGEPAGES", "CGROUP"):
        monkeypatch.setattr(machine, name, "/nonexistent")
    facts = json.loads(json.dumps(machine.facts()))
    assert facts["thp"] == dict.fromkeys(("enabled", "defrag", "shmem_enabled", "khugepaged_defrag", "size"))
    assert facts["machine"]["cpu"] is facts["machine"]["hypervisor"] is facts["load"] is None
    assert facts["hugepages"] == {}
    assert sorted(facts["cpus"]) == sorted(os.sched_getaffinity(0))

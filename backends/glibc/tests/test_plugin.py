# SPDX-License-Identifier: BSD-3-Clause
"""What the plugin hands over, and that each variant is what it says in a process started its way."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from allocmark_glibc import plugin

from allocmark import Unavailable
from allocmark.system.machine import THP, chosen, read

BACKENDS = {each.variant: each for each in plugin.allocmark_backends()}

# A process of a cell in small: threads allocate, then the process says what was on.
CELL = """
import json, os, re, sys, threading
sys.path.insert(0, sys.argv[1])
from conftest import Table

table = Table()
pool = table.create(2176)
ready, done = threading.Barrier(4), threading.Event()
addresses = []

def actor(slot):
    local = table.enter(pool, slot)
    objects = table.get(pool, local, 64)
    addresses.extend(table.addresses(objects))
    ready.wait()
    done.wait()
    table.put(pool, local, objects)
    table.c.thread_leave(pool, local)

threads = [threading.Thread(target=actor, args=(slot,)) for slot in range(3)]
for each in threads: each.start()
ready.wait()
found = table.facts()
found["usable_bytes"] = table.facts(pool)["usable_bytes"]
smaps = open("/proc/self/smaps").read()
advised = [
    range(int(start, 16), int(end, 16))
    for start, end, flags in re.findall(r"^(\\w+)-(\\w+) .*?^VmFlags:(.*?)$", smaps, re.S | re.M)
    if "hg" in flags.split()
]
found["huge_pages_advised"] = all(any(each in area for area in advised) for each in addresses)
done.set()
for each in threads: each.join()
print(json.dumps(found))
"""

# Nothing else is allocated between get and put: what lies above the objects keeps them from the kernel.
BURST = """
import json, sys
sys.path.insert(0, sys.argv[1])
from conftest import Table

table = Table()
pool = table.create(2176)
objects = table.ffi.new("void *[]", 5000)
before = int(table.facts()["arena_bytes"])
table.c.get_bulk(pool, table.ffi.NULL, objects, 5000)
table.c.put_bulk(pool, table.ffi.NULL, objects, 5000)
print(json.dumps({"kept": int(table.facts()["arena_bytes"]) - before}))
"""

PRELOADED = "unsigned long malloc_usable_size(void *object) { return object ? 7 : 0; }"


def facts(variant: str, script: str = CELL, **environ: str) -> dict:
    """What ``script`` found in a process started as the variant asks for."""
    environment = {**os.environ, **environ, **BACKENDS[variant].environ}
    done = subprocess.run(
        [sys.executable, "-c", script, str(Path(__file__).parent)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_descriptions_are_well_formed():
    assert [each.problems() for each in BACKENDS.values()] == [[]] * len(BACKENDS)
    assert [each.variant for each in BACKENDS.values() if each.default] == ["default"]
    assert all(each.capabilities.any_size for each in BACKENDS.values())


@pytest.mark.parametrize("variant", BACKENDS)
def test_the_tunables_reach_the_process(variant):
    assert facts(variant)["tunables"] == BACKENDS[variant].environ["GLIBC_TUNABLES"]


def test_the_version_is_that_of_the_running_library():
    assert {each.version for each in BACKENDS.values()} == {os.confstr("CS_GNU_LIBC_VERSION").removeprefix("glibc ")}


def test_default_has_a_thread_cache_and_arenas_of_its_own():
    found = facts("default")
    assert found["thread_cache"] == "on"
    assert int(found["arenas"]) >= 2


def test_no_tcache_has_no_thread_cache():
    assert facts("no_tcache")["thread_cache"] == "off"


def test_no_trim_keeps_what_was_freed():
    assert facts("no_trim", BURST)["kept"] > 0.9 * 5000 * 2176
    assert facts("default", BURST)["kept"] < 0.5 * 5000 * 2176


def test_one_arena_has_one():
    assert facts("one_arena")["arenas"] == "1"


def test_the_caller_s_environment_does_not_change_a_variant():
    assert facts("default", GLIBC_TUNABLES="glibc.malloc.tcache_count=0")["thread_cache"] == "on"


@pytest.mark.skipif(chosen(read(f"{THP}/enabled")) != "madvise", reason="glibc advises in this mode only")
def test_huge_pages_are_advised_for_every_thread_of_thp_one_arena():
    assert facts("thp_one_arena")["huge_pages_advised"]
    assert not facts("one_arena")["huge_pages_advised"]


def test_a_preloaded_malloc_is_not_measured(tmp_path):
    (tmp_path / "other.c").write_text(PRELOADED)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", "other.so", "other.c"], cwd=tmp_path, check=True)
    assert facts("default", LD_PRELOAD=str(tmp_path / "other.so"))["usable_bytes"] == "2184"


def test_the_older_environment_variables_are_recorded():
    found = facts("default", MALLOC_ARENA_MAX="1")
    assert found["MALLOC_ARENA_MAX"] == "1"
    assert found["arenas"] == "1"


def test_another_c_library_is_unavailable():
    found = plugin.variants(None, "")
    assert {each.unavailable.reason for each in found} == {"the C library here is not glibc"}
    assert [each.problems() for each in found] == [[]] * len(found)


@pytest.mark.parametrize(
    ("version", "thp", "available"),
    [
        ("2.36", True, {"default", "no_tcache", "no_trim", "one_arena", "thp", "thp_one_arena"}),
        ("2.36", False, {"default", "no_tcache", "no_trim", "one_arena"}),
        ("2.34", True, {"default", "no_tcache", "no_trim", "one_arena"}),
        ("2.25", True, {"default"}),
    ],
)
def test_what_this_system_cannot_do_is_unavailable(monkeypatch, version, thp, available):
    monkeypatch.setattr(plugin, "thp_unavailable", lambda: None if thp else Unavailable("off", "echo madvise"))
    found = plugin.variants(BACKENDS["default"].table, version)
    assert {each.variant for each in found if each.table} == available
    assert all(each.unavailable.reason and each.unavailable.fix for each in found if not each.table)


BLOWUP = """\
format: 1
name: blowup
summary: Aligned buffers between small objects that stay.
source: a test
pools:
  large: {object_size: 16777216, objects: 2, cache: 0, alignment: 64}
  small: {object_size: 25, objects: 2047, cache: 0}
actors:
  worker:
    - get: {from: large, n: 1}
    - get: {from: small, n: 1}
    - put: {which: all, from: large}
    - hold: {objects: 1024, release: oldest}
"""


def test_a_heap_that_grows_between_small_objects_is_in_the_table_of_memory(tmp_path):
    """Not a page of the buffers is touched, so that resident memory tells nothing."""
    (tmp_path / "blowup.yaml").write_text(BLOWUP)
    run = [sys.executable, "-m", "allocmark", "run", "blowup.yaml", "-b", "glibc", "--rounds", "1", "--blocks", "2"]
    done = subprocess.run(
        [*run, "--sample-ms", "1", "--no-latency", "--no-reuse", "--no-placement"],
        cwd=tmp_path,
        env={**os.environ, "COLUMNS": "160"},
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    heads, _, row = done.stdout.partition("blowup: memory\n\n")[2].splitlines()[:3]
    assert heads.split()[:6] == ["backend", "live", "at", "most", "resident", "arena"]
    assert float(row.split()[3]) > 48, row

# SPDX-License-Identifier: BSD-3-Clause
"""One cell from Python."""

from __future__ import annotations

import pytest

import allocmark
from allocmark.errors import UsageError

BURST = {"bulk": 32, "keep": 128, "touch": 0, "off_ns": 0, "cores": 1, "cache": 256, "pools.mbuf.objects": 2000}
MIXED = {"mix": "imix", "lifetime": "oldest", "bulk": 32, "touch": 0, "cache": 256}


@pytest.fixture
def installed_mutants(mutants, monkeypatch):
    monkeypatch.syspath_prepend(mutants)
    monkeypatch.setenv("PYTHONPATH", str(mutants))  # for the processes of cells


def test_as_many_samples_as_asked_for_and_the_allocator_is_in_them():
    floor = allocmark.measure("burst", BURST, "null", samples=2)
    assert len(floor) == 2
    assert len(set(floor)) == 2  # each was measured
    assert 0 < min(floor) < min(allocmark.measure("burst", BURST, "glibc", samples=2))


def test_words_are_parameters_too():
    (sample,) = allocmark.measure("mixed_sizes", MIXED, "null:default")
    assert sample > 0


def test_parameters_must_leave_one_cell():
    several = {key: value for key, value in BURST.items() if key != "bulk"}
    with pytest.raises(UsageError, match="burst: these parameters leave 4 cells; expected one"):
        allocmark.measure("burst", several, "null")


def test_what_cannot_run_is_unavailable(installed_mutants):
    parameters = {"burst": 32, "touch": 0, "hold": 0, "rx": 1, "tx": 1, "cache": 256}
    with pytest.raises(allocmark.UnavailableError, match="for at most 1 actor per pool, and 2 use 'mbuf'"):
        allocmark.measure("cross_core_free", parameters, "mutant:alone")


def test_a_lost_process_is_an_error_that_says_why(installed_mutants):
    with pytest.raises(
        allocmark.AllocmarkError, match="mutant:crash failed on burst: killed by SIGSEGV in get_bulk during sample"
    ):
        allocmark.measure("burst", BURST, "mutant:crash")

# SPDX-License-Identifier: BSD-3-Clause
"""DPDK's own measurement, by its own program where that is installed."""

from __future__ import annotations

import pytest

from allocmark.errors import AllocmarkError
from allocmark.system import machine
from allocmark.validate import dpdk_test

pytestmark = pytest.mark.alone

CPU = machine.usable_cpus()[0]


@pytest.mark.skipif(dpdk_test.missing() is not None, reason=str(dpdk_test.missing()))
def test_its_first_rate():
    """It prints that of bulk 1 without a cache first, after 5 s."""
    told: list[float] = []
    assert 1 < dpdk_test.dpdk_ns(CPU, 0, 1, 32, told.append) < 10_000
    assert told == sorted(told)


def test_a_program_that_says_nothing_is_an_error(tmp_path, monkeypatch):
    program = tmp_path / "dpdk-test"
    program.write_text("#!/bin/sh\necho 'EAL: no memory'\n")
    program.chmod(0o755)
    monkeypatch.setattr(dpdk_test, "PROGRAM", str(program))
    assert dpdk_test.missing() is None
    with pytest.raises(AllocmarkError, match="printed no rate for cache=512 bulk=32 keep=128"):
        dpdk_test.dpdk_ns(CPU, 512, 32, 128, lambda _: None)


def test_a_program_that_is_not_there_is_said(monkeypatch):
    monkeypatch.setattr(dpdk_test, "PROGRAM", "no-such-program")
    assert "is not installed" in (dpdk_test.missing() or "")
    with pytest.raises(AllocmarkError, match="could not be started"):
        dpdk_test.dpdk_ns(CPU, 512, 32, 128, lambda _: None)

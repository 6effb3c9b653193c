# SPDX-License-Identifier: BSD-3-Clause
"""The table of the verifying mode."""

from __future__ import annotations

from dataclasses import replace

from allocmark.output.text.verified import verified


def test_a_cell_says_its_verdict_and_what_its_pool_keeps_back(simulate) -> None:
    run = simulate(rounds=1)
    first = run.cases[0]
    cells = [
        replace(first.cells[0], status="failed", reason="lost 3 objects", attestation={}),
        replace(first.cells[1], attestation={"stranded": {"mbuf": 1024}}),
        replace(first.cells[2], attestation={"stranded": {}}),
    ]
    rows = verified(replace(run, rounds={0: (replace(first, cells=tuple(cells)),)})).splitlines()[2:]
    assert rows[0].endswith("lost 3 objects")
    assert "failed" in rows[0]
    assert rows[1].endswith("1,024 free objects of mbuf cannot be got by one thread alone")
    assert "verified" in rows[1]
    assert "alone" not in rows[2]
    assert "verified" in rows[2]

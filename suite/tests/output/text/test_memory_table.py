# SPDX-License-Identifier: BSD-3-Clause
"""What cells keep in memory: where each figure comes from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from allocmark.output.html import build_site
from allocmark.output.text.run_table import render
from allocmark.results.store import Run, read_run
from fixtures.simulated import SHAPES, edit_run

MIB = 1 << 20
MALLOC = {"process": {"arena_bytes": str(180 * MIB), "mapped_bytes": str(2 * MIB)}, "growth_bytes": 3 * MIB}
#: What the memory probe finds of two pools.
POOLS = {"pools": {"a": {"bytes": 30 * MIB}, "b": {"bytes": 10 * MIB}}}


@pytest.fixture
def known(simulate: Callable[..., Run]) -> Run:
    """A run of one case. glibc tells of its arenas, turbomem of its regions, dpdk_ring of one pool of two."""

    def edit(lines: list[Any]) -> None:
        for line in lines:
            if line["type"] == "cell":
                after = {"memory": {"process": {"resident": 30 * MIB}}}
                line["probes"] = {"start": {"memory": {"process": {"resident": 20 * MIB}}}, "after": after}
                line["attestation"] = {"live_bytes": 16 * MIB}
                if line["backend"] == "glibc":
                    line["attestation"] |= MALLOC
                elif line["backend"] == "turbomem":
                    after["memory"] |= POOLS
                else:
                    after["memory"]["pools"] = {**POOLS["pools"], "b": {"unknown": "it does not say"}}

    run = simulate(shapes=SHAPES[:1])
    edit_run(run.path, edit)
    return read_run(run.path)


def test_arenas_and_growth_are_columns(known: Run) -> None:
    _, _, after = render(known, width=200).partition("burst: memory\n\n")
    table = after.splitlines()
    rows = {line.split()[0]: line.split()[1:] for line in table[2:7]}
    assert table[0].split() == ["backend", "live", "at", "most", "resident", "arena", "growth"]
    assert rows["glibc:default"] == ["16.0", "10.0", "182", "3.00"]
    assert rows["turbomem"] == ["16.0", "10.0", "40.0"]
    assert rows["dpdk_ring:lf_stack"] == ["16.0", "10.0"]


def test_arenas_and_growth_are_on_pages(known: Run, tmp_path: Path) -> None:
    build_site([known], tmp_path / "site")
    pages = "".join(page.read_text() for page in (tmp_path / "site").rglob("*.html"))
    assert "arena MiB" in pages
    assert "growth MiB" in pages
    assert ">182<" in pages

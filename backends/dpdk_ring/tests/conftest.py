# SPDX-License-Identifier: BSD-3-Clause
"""`cell` runs one variant in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from allocmark_dpdk import plugin

from allocmark.system.machine import huge_pages

HERE = Path(__file__).parent
SPEC = {"object_size": 2176, "objects": 4095, "cache": 256}

Cell = Callable[..., dict[str, Any]]


def skip_unless_available(variant: str) -> None:
    (backend,) = (b for b in plugin.allocmark_backends() if b.variant == variant)
    if backend.unavailable:
        pytest.skip(f"{backend.unavailable.reason}: {backend.unavailable.fix}")


@pytest.fixture
def cell() -> Cell:
    """``cell(handler, pages, steps, spec, wrap=command, killed=bool, **request)``: what the process saw."""

    def run(
        *args: Any, spec: dict[str, int] | None = None, wrap: str = "", killed: bool = False, **request: Any
    ) -> dict[str, Any]:
        handler, pages, steps = args
        skip_unless_available(f"{handler}-{pages}")
        request |= {"handler": handler, "pages": pages, "do": steps, "spec": SPEC | (spec or {})}
        command = [sys.executable, str(HERE / "cell.py"), json.dumps(request)]
        if wrap:
            command = ["sh", "-c", f'{wrap}; exec "$@"', "sh", *command]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        if killed:
            assert done.returncode == -9, done.stderr
            return {}
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""  # a backend never prints
        (line,) = done.stdout.splitlines()
        return json.loads(line)

    return run


@pytest.fixture
def machine_as_before() -> Iterator[None]:
    """Afterwards no more huge pages exist, and no more may, than before; others' may come and go meanwhile."""

    def read() -> list[int]:
        pages = huge_pages()["2048kB"]
        return [pages[name] or 0 for name in ("total", "surplus", "overcommit")]

    before = read()
    yield
    patience = time.monotonic() + 30
    while any(now > was for now, was in zip(read(), before, strict=True)):
        assert time.monotonic() < patience, f"{read()} huge pages, surplus and limit; before: {before}"
        time.sleep(0.05)

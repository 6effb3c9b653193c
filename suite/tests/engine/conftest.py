# SPDX-License-Identifier: BSD-3-Clause
"""Engines on the floor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from allocmark.engine import null_table
from allocmark.engine.session import Engine
from allocmark.system import machine
from allocmark.workload.language.expand import Template
from allocmark.workload.tape.compile import compile_workload
from allocmark.workload.tape.program import Program

HEAD = "format: 1\nname: w\nsummary: s\nsource: s\n"
POOL = "pools: {p: {object_size: 256, objects: 4000}}\n"
CPUS = machine.usable_cpus()


@pytest.fixture
def compiled() -> Callable[[str], Program]:
    """``compiled(text)``: the only case of a workload, which has a pool ``p`` when it declares none."""

    def case_of(text: str) -> Program:
        head = HEAD if text.startswith("pools:") else HEAD + POOL
        (case,) = Template.parse(head + text, Path("w.yaml")).cases()
        return compile_workload(case.workload, 1)

    return case_of


@pytest.fixture
def start(compiled: Callable[[str], Program]) -> Iterator[Callable[..., Engine]]:
    """``start(text, pin=True, **options)``: an engine on the floor with its live sets filled; drained at the end."""
    engines = []

    def started(text: str, pin: bool = True, **options: Any) -> Engine:
        program = compiled(text)
        cpus = [(CPUS[i] if pin else -1, -1) for i in range(len(program.actors))]
        engines.append(Engine(null_table(), {}, program, cpus, **options))
        engines[-1].settle()
        return engines[-1]

    yield started
    for engine in engines:
        engine.drain()
        engine.close()

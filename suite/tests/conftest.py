# SPDX-License-Identifier: BSD-3-Clause
"""What many tests share: the command as a user runs it, and plugins as if they were installed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import hypothesis
import pytest
from support import make_plugin

import allocmark

# Fixtures of several folders.
from fixtures.browser import browser, open_page, scripts, small_run  # noqa: F401
from fixtures.huge_pages import hugetlb, thp  # noqa: F401
from fixtures.simulated import simulate  # noqa: F401
from fixtures.tracked import history, track  # noqa: F401

# Tests run side by side: how long one example takes says nothing.
hypothesis.settings.register_profile("side by side", deadline=None)
hypothesis.settings.load_profile("side by side")

COMMAND = [sys.executable, "-m", "allocmark"]


@pytest.fixture(scope="session")
def mutants(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that makes the plugin ``mutant`` importable: one variant for each way to be broken."""
    folder = tmp_path_factory.mktemp("mutants")
    builder = allocmark.cffi_module(
        "mutants_native",
        "const void *mutant_table(const char *kind);",
        [str(Path(__file__).parent / "native" / "mutants.c")],
        extra_compile_args=["-Wall", "-Wextra", "-Werror"],
    )
    builder.compile(tmpdir=str(folder))
    make_plugin(
        folder,
        "mutant",
        """
import allocmark
from mutants_native import ffi, lib

TABLE = int(ffi.cast("uintptr_t", lib.mutant_table(b"good")))
MUTATIONS = [
    "none", "twice", "overlap", "misaligned", "null", "overwrite", "outside", "lose", "partial", "exhausted",
    "no_memory", "init_fails", "enter_fails", "create_crash", "put_crash", "crash", "killed", "abort", "hang", "exit",
    "fork_crash", "fork_hang", "overrun", "null_fact", "many_regions",
]

@allocmark.hookimpl
def allocmark_backends():
    backends = [
        allocmark.Backend(
            name="mutant", variant=name, description="broken on purpose", version="1", table=TABLE,
            options={"mutation": name}, default=name == "none",
        )
        for name in MUTATIONS
    ]
    lie = allocmark.Backend(
        name="mutant", variant="no_thp", description="says huge pages, has none", version="1", table=TABLE,
        pages=allocmark.Pages.HUGETLB,
    )
    alone = allocmark.Backend(
        name="mutant", variant="alone", description="for one actor", version="1", table=TABLE,
        capabilities=allocmark.Capabilities(max_actors=1),
    )
    return [*backends, lie, alone]
""",
    )
    return folder


Runner = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def allocmark_command(tmp_path: Path) -> Runner:
    """Runs ``allocmark ARGUMENTS`` in an empty folder, or another; ``plugins`` are folders on the path."""

    def run(
        *arguments: str | Path, plugins: Sequence[Path] = (), cwd: Path = tmp_path, timeout: float = 240
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *map(str, arguments)],
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, plugins))},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return run

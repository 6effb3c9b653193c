# SPDX-License-Identifier: BSD-3-Clause
"""A pool of which everything can be counted by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import make_plugin

import allocmark


@pytest.fixture(scope="session")
def stash(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that makes the plugin ``stash`` importable."""
    folder = tmp_path_factory.mktemp("stash")
    source = Path(__file__).parents[1] / "native" / "stash.c"
    builder = allocmark.cffi_module(
        "stash_native",
        "const void *stash_table(int tells);",
        [str(source)],
        extra_compile_args=["-Wall", "-Wextra", "-Werror"],
    )
    builder.compile(tmpdir=str(folder))
    code = """
import allocmark
from stash_native import ffi, lib

def _variant(name, tells):
    table = int(ffi.cast("uintptr_t", lib.stash_table(tells)))
    return allocmark.Backend(
        name="stash", variant=name, description="", version="1", table=table, default=tells,
        capabilities=allocmark.Capabilities(max_actors=2),
    )

@allocmark.hookimpl
def allocmark_backends():
    return [_variant("told", True), _variant("silent", False)]
"""
    return make_plugin(folder, "stash", code)

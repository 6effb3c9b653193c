# SPDX-License-Identifier: BSD-3-Clause
"""A wheel that cannot be built says why, in the words of the tool that failed and not in pip's."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from allocmark.gate.revisions.wheel import build_wheel

TOOL = """
import sys

def build_wheel(*_, **__):
    raise AssertionError

def prepare_metadata_for_build_wheel(*_, **__):
    print("running dist_info")
    sys.exit({said!r})
"""


@pytest.mark.parametrize(
    ("said", "told"),
    [
        # As setuptools before 70.1 where there is no wheel.
        (
            "error: invalid command 'bdist_wheel'",
            "error: invalid command 'bdist_wheel': pip install -U setuptools wheel",
        ),
        ("error: no such option", "error: no such option"),
        ("it is not to be built", "it is not to be built"),
    ],
)
def test_the_reason_is_that_of_the_build_tool(tmp_path: Path, said: str, told: str) -> None:
    def lay_out(source: Path) -> None:
        source.mkdir()
        source.joinpath("tool.py").write_text(TOOL.format(said=said))
        source.joinpath("pyproject.toml").write_text(
            '[build-system]\nrequires = []\nbuild-backend = "tool"\nbackend-path = ["."]\n'
        )

    wheel, log, reason = build_wheel(lay_out, tmp_path / "kept", Path(sys.executable))
    assert (wheel, reason) == (None, told)
    assert log.is_file()

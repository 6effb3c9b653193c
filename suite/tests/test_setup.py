# SPDX-License-Identifier: BSD-3-Clause
"""What `make setup` refuses. That it works is shown by every test that runs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

SETUP = Path(__file__).parents[2] / "tools" / "setup"


@pytest.mark.parametrize(("says", "found"), [("Python 3.9.2", "Python 3.9.2"), (None, "no such command")])
def test_a_python_that_is_named_and_too_old_is_refused_and_not_replaced(
    tmp_path: Path, says: str | None, found: str
) -> None:
    python = tmp_path / "python"
    if says:
        python.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo {says} && exit\nexit 1\n')
        python.chmod(0o755)
    done = subprocess.run(
        [SETUP], env={**os.environ, "PYTHON": str(python)}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert done.stderr == (
        f"setup: PYTHON={python} is not Python 3.11 or newer ({found}): name another one, or leave PYTHON out\n"
    )

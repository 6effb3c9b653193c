# SPDX-License-Identifier: BSD-3-Clause
"""What compiling a backend takes, and whether it is here."""

from __future__ import annotations

import os
import shlex
import shutil
import sysconfig
from pathlib import Path

from allocmark.errors import UsageError


def check_build_needs(*, cxx: bool) -> None:
    """Raises UsageError, one line with the remedy, when nothing can be compiled here."""
    language, variable = ("C++", "CXX") if cxx else ("C", "CC")
    # As setuptools chooses it.
    command = os.environ.get(variable) or sysconfig.get_config_var(variable) or ("c++" if cxx else "cc")
    (compiler, *_) = shlex.split(command) or [""]
    if shutil.which(compiler) is None:
        raise UsageError(
            f"no {language} compiler: {compiler!r} is not found; install one (sudo apt-get install g++), or name yours "
            f"in the variable {variable}"
        )
    header = Path(sysconfig.get_path("include"), "Python.h")
    if not header.is_file():
        raise UsageError(
            f"Python's headers are missing ({header}): install them "
            f"(sudo apt-get install python{sysconfig.get_python_version()}-dev)"
        )

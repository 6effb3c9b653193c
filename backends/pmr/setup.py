# SPDX-License-Identifier: BSD-3-Clause
"""Everything is declared in pyproject.toml; only the native module has to be named here."""

import site
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path

from setuptools import setup

# pip builds apart from what is installed, and a backend is built for the allocmark that will measure it: the installed
# one, or that of the clone around this folder. Where neither is, pip has to bring it.
site.addsitedir(sysconfig.get_path("purelib"))
sys.path.append(str(Path(__file__).resolve().parents[2] / "suite"))

setup(
    setup_requires=[] if find_spec("allocmark") else ["allocmark"],
    cffi_modules=["allocmark_pmr/_build.py:ffibuilder"],
)

# SPDX-License-Identifier: BSD-3-Clause
"""Everything is declared in pyproject.toml; the native module is built only where its library is."""

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


def modules() -> list[str]:
    """The native module, where its library is; else the plugin says what is missing."""
    import allocmark

    return (
        ["allocmark_foonathan/_build.py:ffibuilder"]
        if allocmark.has_header("foonathan_memory/foonathan/memory/memory_pool.hpp")
        else []
    )


if find_spec("allocmark"):
    setup(cffi_modules=modules())
else:
    setup(setup_requires=["allocmark"])

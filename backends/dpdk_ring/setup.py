# SPDX-License-Identifier: BSD-3-Clause
"""Everything is declared in pyproject.toml; the native module is built only where DPDK is."""

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
    from allocmark import pkg_config

    if pkg_config("--exists", "libdpdk >= 22.11") is not None:
        return ["allocmark_dpdk/_build.py:ffibuilder"]
    # The plugin then says what is missing.
    print("allocmark-dpdk: pkg-config finds no libdpdk >= 22.11: installed without it", file=sys.stderr)
    return []


if find_spec("allocmark"):
    setup(cffi_modules=modules())
else:
    setup(setup_requires=["allocmark"], cffi_modules=["allocmark_dpdk/_build.py:ffibuilder"])

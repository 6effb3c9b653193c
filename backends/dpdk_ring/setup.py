# SPDX-License-Identifier: BSD-3-Clause
"""Everything is declared in pyproject.toml; the native module is built only where DPDK is."""

import os
import subprocess
import sys

from setuptools import setup


def dpdk_is_here() -> bool:
    """Whether pkg-config knows a DPDK that is new enough. Without one, the plugin says what is missing."""
    query = [os.environ.get("PKG_CONFIG", "pkg-config"), "--exists", "libdpdk >= 22.11"]
    try:
        return subprocess.run(query, check=False).returncode == 0
    except OSError:
        return False


if dpdk_is_here():
    setup(cffi_modules=["allocmark_dpdk/_build.py:ffibuilder"])
else:
    print("allocmark-dpdk: pkg-config finds no libdpdk >= 22.11: installed without it", file=sys.stderr)
    setup()

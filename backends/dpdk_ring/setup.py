# SPDX-License-Identifier: BSD-3-Clause
"""Everything is declared in pyproject.toml; the native module is built only where DPDK is."""

import sys

from setuptools import setup

import allocmark

if allocmark.pkg_config("--exists", "libdpdk >= 22.11") is None:  # then the plugin says what is missing
    print("allocmark-dpdk: pkg-config finds no libdpdk >= 22.11: installed without it", file=sys.stderr)
    setup()
else:
    setup(cffi_modules=["allocmark_dpdk/_build.py:ffibuilder"])

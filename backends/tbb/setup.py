# SPDX-License-Identifier: BSD-3-Clause
"""Everything is declared in pyproject.toml; the native module, for memory pools, is built where TBB's headers are."""

from setuptools import setup

import allocmark

found = allocmark.has_header("oneapi/tbb/scalable_allocator.h")
# Without it, the plugin says what is missing.
setup(cffi_modules=["allocmark_tbb/_build.py:ffibuilder"] if found else [])

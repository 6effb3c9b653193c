# SPDX-License-Identifier: BSD-3-Clause
"""Everything is declared in pyproject.toml; the native module is built only where its library is."""

from setuptools import setup

import allocmark

found = allocmark.has_header("foonathan_memory/foonathan/memory/memory_pool.hpp")
# Without it, the plugin says what is missing.
setup(cffi_modules=["allocmark_foonathan/_build.py:ffibuilder"] if found else [])

# SPDX-License-Identifier: BSD-3-Clause
"""Everything is declared in pyproject.toml; the native module is built only where its library is."""

from setuptools import setup

import allocmark

# Without it, the plugin says what is missing.
setup(cffi_modules=["allocmark_ck/_build.py:ffibuilder"] if allocmark.has_header("ck_stack.h") else [])

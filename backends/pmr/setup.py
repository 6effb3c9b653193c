# SPDX-License-Identifier: BSD-3-Clause
"""Everything is declared in pyproject.toml; only the native module has to be named here."""

from setuptools import setup

setup(cffi_modules=["allocmark_pmr/_build.py:ffibuilder"])

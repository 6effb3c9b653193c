# SPDX-License-Identifier: BSD-3-Clause
"""Only what pyproject.toml cannot say: the native engine."""

from setuptools import setup

setup(cffi_modules=["suite/allocmark/engine/build.py:ffibuilder"])

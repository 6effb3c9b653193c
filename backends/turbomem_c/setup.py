# SPDX-License-Identifier: BSD-3-Clause
from setuptools import setup

setup(cffi_modules=["allocmark_turbomem/_build.py:ffi"])

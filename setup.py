# SPDX-License-Identifier: BSD-3-Clause
"""Only what pyproject.toml cannot say: the native parts."""

from setuptools import Extension, setup

#: No module of Python: `allocmark record` preloads it into programs.
RECORDER = Extension(
    "allocmark.traces._recorder",
    ["suite/allocmark/traces/native/recorder.c"],
    depends=["suite/allocmark/traces/native/recording.h"],
    # Else the compiler would make a calloc of a malloc that is zeroed, which calls itself.
    extra_compile_args=["-std=gnu11", "-O2", "-fvisibility=hidden", "-fno-builtin", "-Wall", "-Wextra", "-Werror"],
    extra_link_args=["-ldl", "-pthread"],
    py_limited_api=True,
)

setup(
    cffi_modules=[
        "suite/allocmark/engine/build.py:ffibuilder",
        "suite/allocmark/traces/traces_build.py:ffibuilder",
    ],
    ext_modules=[RECORDER],
)

# SPDX-License-Identifier: BSD-3-Clause
"""Only what pyproject.toml cannot say: the native parts, and the scripts of the pages, which are not in git."""

import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

VENDOR = Path("suite/allocmark/output/html/vendor")
FETCH = Path("tools/assets/fetch")

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


def fetch_scripts() -> bool:
    """Whether the scripts are there; in a clone they are fetched."""
    if not VENDOR.is_dir() and FETCH.is_file():
        subprocess.run([sys.executable, str(FETCH)], check=False)
    return VENDOR.is_dir()


class BuildPackage(build_py):
    def run(self):
        # An editable installation uses what `make setup` fetches. Without the scripts all but pages works.
        if not (self.editable_mode or fetch_scripts()):
            print("allocmark: built without the scripts of the pages: report and publish will say so", file=sys.stderr)
        super().run()


class SourceDistribution(sdist):
    def run(self):
        if not fetch_scripts():
            raise SystemExit(f"allocmark: no source distribution without the scripts of the pages: {FETCH} says why")
        super().run()


setup(
    cffi_modules=[
        "suite/allocmark/engine/build.py:ffibuilder",
        "suite/allocmark/traces/traces_build.py:ffibuilder",
    ],
    ext_modules=[RECORDER],
    cmdclass={"build_py": BuildPackage, "sdist": SourceDistribution},
)

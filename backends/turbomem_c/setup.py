# SPDX-License-Identifier: BSD-3-Clause
"""Everything else is declared in pyproject.toml. Where DPDK is, its mempool driver is built into the package."""

import os
import subprocess
import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_ext import build_ext

PACKAGE = "allocmark_turbomem"


def obstacle():
    """Why the driver cannot be built, or None. The backend is whole without it."""
    query = [os.environ.get("PKG_CONFIG", "pkg-config"), "--exists", "libdpdk >= 22.11"]
    try:
        found = subprocess.run(query, check=False).returncode == 0
    except OSError:
        found = False
    return None if found else "pkg-config finds no libdpdk >= 22.11"


class BuildAll(build_ext):
    def run(self):
        super().run()
        reason = obstacle()
        if reason is None:
            try:
                self.build_driver()
            except (OSError, subprocess.CalledProcessError) as error:
                reason = str(error)
        if reason is not None:
            print(f"allocmark-turbomem: no DPDK driver: {reason}", file=sys.stderr)

    def build_driver(self):
        package = Path() if self.inplace else Path(self.build_lib)
        objects, driver = Path(self.build_temp).absolute(), (package / PACKAGE).absolute()
        make = ["make", "-C", "driver", f"OBJ={objects}", f"OUT={driver}"]
        subprocess.run(make + (["-B"] if self.force else []), check=True)


setup(cffi_modules=[f"{PACKAGE}/_build.py:ffi"], cmdclass={"build_ext": BuildAll})

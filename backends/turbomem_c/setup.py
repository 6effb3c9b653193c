# SPDX-License-Identifier: BSD-3-Clause
"""Everything else is declared in pyproject.toml. Where DPDK is, its mempool driver is built into the package."""

import subprocess
import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_ext import build_ext

import allocmark

PACKAGE = "allocmark_turbomem"


class BuildAll(build_ext):
    def run(self):
        super().run()
        try:  # the backend is whole without it
            if allocmark.pkg_config("--exists", "libdpdk >= 22.11") is None:
                raise OSError("pkg-config finds no libdpdk >= 22.11")
            self.build_driver()
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"allocmark-turbomem: built without the DPDK driver: {error}", file=sys.stderr)

    def build_driver(self):
        package = Path() if self.inplace else Path(self.build_lib)
        objects, driver = Path(self.build_temp).absolute(), (package / PACKAGE).absolute()
        make = ["make", "-C", "driver", f"OBJ={objects}", f"OUT={driver}"]
        subprocess.run(make + (["-B"] if self.force else []), check=True)


setup(cffi_modules=[f"{PACKAGE}/_build.py:ffi"], cmdclass={"build_ext": BuildAll})

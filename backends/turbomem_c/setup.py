# SPDX-License-Identifier: BSD-3-Clause
"""Everything else is declared in pyproject.toml. Where DPDK is, its mempool driver is built into the package."""

import site
import subprocess
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path

from setuptools import setup
from setuptools.command.build_ext import build_ext

# pip builds apart from what is installed, and a backend is built for the allocmark that will measure it: the installed
# one, or that of the clone around this folder. Where neither is, pip has to bring it.
site.addsitedir(sysconfig.get_path("purelib"))
sys.path.append(str(Path(__file__).resolve().parents[2] / "suite"))

PACKAGE = "allocmark_turbomem"


class BuildAll(build_ext):
    def run(self):
        from allocmark import pkg_config

        super().run()
        try:  # the backend is whole without it
            if pkg_config("--exists", "libdpdk >= 22.11") is None:
                raise OSError("pkg-config finds no libdpdk >= 22.11")
            self.build_driver()
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"allocmark-turbomem: built without the DPDK driver: {error}", file=sys.stderr)

    def build_driver(self):
        package = Path() if self.inplace else Path(self.build_lib)
        objects, driver = Path(self.build_temp).absolute(), (package / PACKAGE).absolute()
        make = ["make", "-C", "driver", f"OBJ={objects}", f"OUT={driver}"]
        subprocess.run(make + (["-B"] if self.force else []), check=True)


setup(
    setup_requires=[] if find_spec("allocmark") else ["allocmark"],
    cffi_modules=[f"{PACKAGE}/_build.py:ffi"],
    cmdclass={"build_ext": BuildAll},
)

# SPDX-License-Identifier: BSD-3-Clause
"""Makes a plugin, as a wheel, of a shared library that a repository's own build made."""

from __future__ import annotations

import zipfile
from pathlib import Path

from allocmark.gate.revisions.recipe import Library
from allocmark.new_backend import distribution_of

_MALLOC = """\
LIBRARY = allocmark.MallocLibrary({name!r}, FILE, allocmark.Unavailable("not built"), prefix={prefix!r})


@allocmark.hookimpl
def allocmark_backends():
    return [LIBRARY.variant("default", "as its commit builds it", default=True)]
"""
_TABLE = """\
table = ctypes.CDLL(str(FILE)).allocmark_{identifier}_table
table.restype = ctypes.c_void_p


@allocmark.hookimpl
def allocmark_backends():
    return [
        allocmark.Backend(
            name={name!r},
            variant="default",
            description="as its commit builds it",
            version="",
            table=table(),
            default=True,
            capabilities=allocmark.Capabilities(any_size={any_size}),
        )
    ]
"""
_PLUGIN = """\
import ctypes
from pathlib import Path

import allocmark

FILE = Path(__file__).with_name({file!r})
"""
_METADATA = "Metadata-Version: 2.1\nName: {distribution}\nVersion: 0\n"
_WHEEL = "Wheel-Version: 1.0\nGenerator: allocmark\nRoot-Is-Purelib: false\nTag: py3-none-any\n"


def pack_library(library: Library, file: Path, folder: Path) -> Path:
    """The wheel of a plugin, in ``folder``, with the backend of ``library``, whose file is ``file``."""
    identifier = library.name.replace("-", "_")
    distribution = distribution_of(library.name)
    package = distribution.replace("-", "_")
    text = _PLUGIN + (_MALLOC if library.interface == "malloc" else _TABLE)
    about = {**vars(library), "identifier": identifier, "file": file.name, "distribution": distribution}
    files = {
        f"{package}/__init__.py": b"",
        f"{package}/plugin.py": text.format(**about).encode(),
        f"{package}/{file.name}": file.read_bytes(),
        f"{package}-0.dist-info/METADATA": _METADATA.format(**about).encode(),
        f"{package}-0.dist-info/WHEEL": _WHEEL.encode(),
        f"{package}-0.dist-info/entry_points.txt": f"[allocmark]\n{library.name} = {package}.plugin\n".encode(),
    }
    record = f"{package}-0.dist-info/RECORD"
    files[record] = "".join(f"{name},,\n" for name in (*files, record)).encode()
    wheel = folder / f"{package}-0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return wheel

# SPDX-License-Identifier: BSD-3-Clause
"""The DPDKs that variants are offered of: the one that this package was built with, and those in named prefixes."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from allocmark import Unavailable
from allocmark.system.availability import built_again
from allocmark_dpdk.native import LIBRARIES, Native
from allocmark_dpdk.prefix import Prefix, UnusableError, named_prefixes

INSTALL = built_again("allocmark-dpdk", "libdpdk-dev pkg-config")

#: In the process of a cell: which release it is of, so that no other DPDK is loaded there.
_CELL = "ALLOCMARK_DPDK_CELL"


@dataclass(frozen=True)
class Release:
    """A DPDK. ``suffix`` is the end of the names of its variants; that of the package's own has none.

    ``module`` is its native module, and ``files`` has the files of `LIBRARIES`. ``missing`` says why there is none.
    """

    version: str = ""
    suffix: str = ""
    module: str = ""
    files: Mapping[str, str] | None = None
    missing: Unavailable | None = None

    def load_table(self, name: str) -> int:
        """The address of a table of `TABLES`. Raises OSError where another DPDK would be measured."""
        native = Native(self.module)
        for library, file in (self.files or {}).items():
            if not os.path.samefile(file, loaded := native.file(library)):
                raise OSError(f"librte_{library} would be that of {loaded}, not {file}")
        return native.table(name)

    def environ(self) -> dict[str, str]:
        """What the process of a cell needs to find it again with `releases`."""
        if not named_prefixes():
            return {}
        files = dict(self.files or {})
        found = {_CELL: json.dumps((self.version, self.suffix, self.module, files))}
        if self.suffix and files:  # DPDK's drivers need more of its libraries than the module does
            folders = os.path.dirname(files["eal"]), os.environ.get("LD_LIBRARY_PATH")
            found["LD_LIBRARY_PATH"] = os.pathsep.join(filter(None, folders))
        return found


def releases() -> list[Release]:
    """All; in the process of a cell only that which is measured there."""
    if cell := os.environ.get(_CELL):
        return [Release(*json.loads(cell))]
    found = [_own()]
    for path in named_prefixes():
        found.append(_named(path, {release.suffix for release in found}))
    return found


def _own() -> Release:
    spec = find_spec("allocmark_dpdk._native")
    if spec is None or spec.origin is None:
        return Release(missing=Unavailable("libdpdk was not there when allocmark-dpdk was built", INSTALL))
    try:
        native = Native(spec.origin)
    except OSError as error:
        return Release(missing=Unavailable(f"DPDK does not load: {error}", INSTALL))
    return Release(native.version, "", spec.origin, {name: native.file(name) for name in LIBRARIES})


def _named(path: Path, taken: set[str]) -> Release:
    name = partial(_free_suffix, taken=taken)
    try:
        prefix = Prefix.read(path)
    except UnusableError as error:
        known = f"v{error.version}" if error.version else path.name
        return Release(error.version, name(known), missing=error.unavailable)
    found = Release(
        prefix.version,
        name(f"v{prefix.version}"),
        str(prefix.module),
        {each: str(prefix.library(each)) for each in LIBRARIES},
    )
    if prefix.module.exists():
        return found
    reason = f"DPDK {prefix.version} in {path} is not built against yet, or has changed since"
    return replace(found, missing=Unavailable(reason, prefix.build_command))


_LONGEST = 30  # letters: names of variants stand in tables


def _free_suffix(text: str, taken: set[str]) -> str:
    """A part of a name of a variant, made of ``text``: two prefixes may hold the same release."""
    stem = "-" + (re.sub(r"[^a-z0-9]+", "_", text.lower())[:_LONGEST].strip("_") or "prefix")
    return next(each for each in (stem, *(f"{stem}-{n}" for n in range(2, len(taken) + 2))) if each not in taken)

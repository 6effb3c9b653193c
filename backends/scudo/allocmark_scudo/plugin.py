# SPDX-License-Identifier: BSD-3-Clause
"""The entry point: Scudo standalone, as LLVM's runtime libraries have it; the newest that is installed."""

from __future__ import annotations

import platform
import re
from pathlib import Path

import allocmark
from allocmark.system.availability import as_root

_FILE = f"lib/clang/*/lib/linux/libclang_rt.scudo_standalone-{platform.machine()}.so"


def _version(path: Path) -> str:
    """LLVM's, which no text in the library tells: the folder is named after it."""
    return path.parts[-4]


def _newest() -> Path | None:
    found = Path("/usr/lib").glob(f"llvm-*/{_FILE}")
    return max(found, key=lambda path: [int(part) for part in re.findall(r"\d+", _version(path))], default=None)


@allocmark.hookimpl
def allocmark_backends() -> list[allocmark.Backend]:
    path = _newest()
    library = allocmark.MallocLibrary(
        "scudo",
        path,
        allocmark.Unavailable(
            "libclang_rt.scudo_standalone is not installed", as_root("apt-get install libclang-rt-14-dev")
        ),
        version=f"LLVM {_version(path)}" if path else "",
        on_request=True,
    )

    def variant(name: str, description: str, options: str, *, default: bool = False) -> allocmark.Backend:
        return library.variant(name, description, environ={"SCUDO_OPTIONS": options}, default=default)

    quarantine = "quarantine_size_kb=256:thread_local_quarantine_size_kb=64:quarantine_max_chunk_size=2048"
    return [
        variant("default", "Scudo as it comes", "", default=True),
        variant("quarantine", "Scudo, freed objects wait before they are used again", quarantine),
        variant("zero", "Scudo, every object is filled with zeros", "zero_contents=true"),
        variant("no_release", "Scudo, freed memory stays with the process", "release_to_os_interval_ms=-1"),
    ]

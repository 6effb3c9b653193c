# SPDX-License-Identifier: BSD-3-Clause
"""The scripts and styles of other people that our pages use, from local copies: no page asks another host for one.

``tools/assets/fetch`` takes the copies from packages of pinned versions and keeps their licences beside them. They are
not in the repository; a wheel carries them.
"""

from __future__ import annotations

from pathlib import Path

from allocmark.errors import AllocmarkError

LICENCES = "LICENSES.txt"  #: the asset that holds the licences of all others

_FOLDER = Path(__file__).parent / "vendor"


class AssetError(AllocmarkError):
    """An asset has not been fetched."""


def asset(name: str) -> bytes:
    """The content of an asset, such as ``"d3.min.js"``. Raises AssetError with the command that fetches it."""
    try:
        return (_FOLDER / name).read_bytes()
    except OSError as error:
        raise AssetError(
            f"{_FOLDER / name}: {error.strerror}: fetch the scripts of the pages with `tools/assets/fetch` "
            "in a checkout of allocmark (`make setup` does)"
        ) from error

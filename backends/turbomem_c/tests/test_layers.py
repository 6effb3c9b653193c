# SPDX-License-Identifier: BSD-3-Clause
"""The layers of the library: no header includes one of a layer above its own, and each folder says what is in it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from native_programs import HEADERS, ROOT

INCLUDE = ROOT / "include"
TOP = "turbomem"
#: from the bottom up. What is in `turbomem` itself is on top, but for what every layer may include.
LAYERS = ["turbomem/system", "turbomem/memory", "turbomem/exchange", "turbomem/cpu", TOP]
FOR_ALL = {"turbomem/error.hpp"}


def layer_of(header: str) -> int:
    return LAYERS.index(str(Path(header).parent))


def includes(text: str) -> list[str]:
    return re.findall(r'^#include "(turbomem/[^"]+)"', text, re.M)


def wrong(header: str, text: str) -> list[str]:
    """What the header includes and must not."""
    return [i for i in includes(text) if i not in FOR_ALL and layer_of(i) > layer_of(header)]


@pytest.mark.parametrize("header", HEADERS)
def test_no_header_includes_a_layer_above(header: str) -> None:
    assert wrong(header, (INCLUDE / header).read_text()) == []


def test_what_must_not_be_included_is_found() -> None:
    text = '#include "turbomem/exchange/depot.hpp"\n#include "turbomem/pool.hpp"\n#include "turbomem/error.hpp"\n'
    assert wrong("turbomem/exchange/cache.hpp", text) == ["turbomem/pool.hpp"]


@pytest.mark.parametrize("layer", LAYERS[:-1])
def test_each_folder_says_what_is_in_it(layer: str) -> None:
    text = (INCLUDE / layer / "README.md").read_text()
    assert set(re.findall(r"^\| `(\w+\.hpp)` \|", text, re.M)) == {h.name for h in (INCLUDE / layer).glob("*.hpp")}


def test_the_main_header_includes_all_that_users_do() -> None:
    text = (INCLUDE / "turbomem" / "turbomem.hpp").read_text()
    alone = {"turbomem/turbomem.hpp", "turbomem/turbomem.h"}
    assert set(includes(text)) == {h for h in HEADERS if str(Path(h).parent) == TOP} - alone

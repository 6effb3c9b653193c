# SPDX-License-Identifier: BSD-3-Clause
"""The scripts of other people: what was fetched is what was meant."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path

import asv
import pytest

from allocmark.asv.local_page import _COPIES
from allocmark.output.html import assets

FETCH = Path(__file__).parents[4] / "tools/assets"
# The packages hold the same code of these in another build.
OTHER_BUILD = {name for name in _COPIES if name.startswith("jquery.flot") and "min" in name} | {"stupidtable.min.js"}


def test_the_copies_are_what_asv_asks_for() -> None:
    page = (Path(asv.__file__).parent / "www/index.html").read_text()
    wanted = re.findall(r"https://[^\"]*/([^\"/]+)\" integrity=\"(sha\d+)-([^\"]+)\"", page)
    assert {name for name, _, _ in wanted} == set(_COPIES)
    for name, kind, digest in wanted:
        found = base64.b64encode(hashlib.new(kind, assets.asset(_COPIES[name])).digest()).decode()
        assert (found == digest) == (name not in OTHER_BUILD), name


def test_every_package_is_pinned_by_its_hash_and_by_no_address() -> None:
    packages = json.loads((FETCH / "package-lock.json").read_text())["packages"]
    named = json.loads((FETCH / "package.json").read_text())["dependencies"]
    assert {name.removeprefix("node_modules/") for name in packages} >= set(named)
    for name, entry in packages.items():
        assert "resolved" not in entry
        assert not name or entry["integrity"].startswith("sha512-")


def test_every_package_has_its_licence_told() -> None:
    told = assets.asset(assets.LICENCES).decode()
    for name, version in json.loads((FETCH / "package.json").read_text())["dependencies"].items():
        assert f"{name} {version}\n" in told


def test_missing_ones_are_said_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assets, "_FOLDER", tmp_path)
    with pytest.raises(assets.AssetError, match=r"d3\.min\.js: No such file.*`tools/assets/fetch`"):
        assets.asset("d3.min.js")

# SPDX-License-Identifier: BSD-3-Clause
"""Backends of a folder, asked in a process of their own."""

from __future__ import annotations

from support import make_plugin

from allocmark import plugins
from allocmark.backend import Pages, Unavailable
from allocmark.discovery import discover

CODE = """
import allocmark
print("a plugin may print")

@allocmark.hookimpl
def allocmark_backends():
    return [allocmark.Backend(
        name="versions", variant="only", description="of one folder", version="{version}", pages=allocmark.Pages.THP,
        unavailable=allocmark.Unavailable("not here", "do this"), options={{"a": "b"}}, environ={{"C": "d"}},
        capabilities=allocmark.Capabilities(any_size=True, max_actors=3),
    )]
"""


def test_two_versions_of_one_plugin_are_told_apart(tmp_path):
    for version in ("1", "2"):
        make_plugin(tmp_path / version, "versions", CODE.format(version=version))
    found = {version: discover(str(tmp_path / version)) for version in ("1", "2")}
    for version, host in found.items():
        (one,) = [r for r in host.backends if not r.backend.floor]
        assert one.backend.version == version
        assert one.prefix == str(tmp_path / version)
        assert one.backend.pages is Pages.THP
        assert one.backend.unavailable == Unavailable("not here", "do this")
        assert one.backend.capabilities.max_actors == 3
        assert (one.backend.options, one.backend.environ) == ({"a": "b"}, {"C": "d"})
        assert not host.broken


def test_what_is_installed_elsewhere_does_not_count(tmp_path):
    names = {r.backend.name for r in discover(str(tmp_path)).backends}
    assert names == {r.backend.name for r in plugins.load_entries(()).backends}  # the host's own


def test_a_broken_plugin_is_named(tmp_path):
    make_plugin(tmp_path, "bad", "raise RuntimeError('no')")
    (broken,) = discover(str(tmp_path)).broken
    assert (broken.plugin, "RuntimeError: no" in broken.cause) == ("bad", True)

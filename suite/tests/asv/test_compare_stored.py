# SPDX-License-Identifier: BSD-3-Clause
"""`allocmark track compare` on results as asv stores them."""

from __future__ import annotations

from support import assert_refused

from fixtures import synthetic


def test_the_worst_comes_first(track, tmp_path):
    commits = synthetic.project(tmp_path / "repository", 6)
    done = track("compare", commits[0], commits[-1], cwd=tmp_path / "repository")
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if "time_object" in line]
    assert len(rows) == 24
    ratios = [float(row.split()[0]) for row in rows]
    assert ratios == sorted(ratios, reverse=True)
    slower = [row for row in rows if " slower " in row]
    assert slower
    assert all(synthetic.SLOWED in row for row in slower)
    assert "ns/object" in rows[0]


def test_a_revision_without_results_is_named(track, tmp_path):
    commits = synthetic.project(tmp_path / "repository", 2)
    for file in (tmp_path / "repository").rglob(f"{commits[1][:8]}*.json"):
        file.unlink()
    done = track("compare", commits[0], "HEAD", cwd=tmp_path / "repository")
    assert_refused(done, "has no results of HEAD: measure with `allocmark track run HEAD^!`;", "--measure")
    assert_refused(track("compare", commits[0], "gone", cwd=tmp_path / "repository"), "no commit 'gone'")


def test_without_a_configuration_of_asv_that_is_said(track):
    assert_refused(track("compare", "HEAD", "HEAD"), "asv.conf.json does not exist")

# SPDX-License-Identifier: BSD-3-Clause
"""`allocmark publish` and `asv publish`: the whole site, from good and from damaged input."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from allocmark.asv import local_page
from allocmark.asv.publish_site import publish
from allocmark.cli import main
from allocmark.errors import AllocmarkError, UsageError
from allocmark.results.store import Run
from fixtures import synthetic


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository of six commits with results and a run."""
    synthetic.project(tmp_path / "project", 6)
    return tmp_path / "project"


@pytest.fixture
def with_run(project: Path, simulate: Callable[..., Run]) -> Path:
    """The same, and a run in its ``runs``."""
    shutil.copytree(simulate().path.parent, project / "runs/first")
    return project


def site_of(project: Path, *runs: str) -> tuple[Path, tuple[str, ...]]:
    done = publish(project / "asv.conf.json", None, runs)
    return done.folder, done.notes


def configure(project: Path, **changes: object) -> None:
    file = project / "asv.conf.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def references(page: Path) -> list[str]:
    """What a page loads or links to, without anchors; other hosts only as links that a reader may follow."""
    text = page.read_text(encoding="utf-8")
    loaded = re.findall(r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=\"([^\"]*)\"", text)
    linked = re.findall(r"<a\b[^>]*\bhref=\"([^\"]*)\"", text)
    return loaded + [link for link in linked if not urlsplit(link).scheme]


def test_the_command_publishes_history_and_runs(
    with_run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(with_run)
    assert main(["publish", "--output", "site"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert f"site: {with_run / 'site'}/index.html" in out
    for name in ("index.html", "asv.html", "index.json", "backend/turbomem.html", "workload/burst.html", ".nojekyll"):
        assert (with_run / "site" / name).is_file(), name
    assert [path.name for path in with_run.iterdir() if path.name.startswith(".site")] == []


def test_every_reference_is_relative_and_there(with_run: Path) -> None:
    site, _ = site_of(with_run)
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 6
    for page in pages:
        for reference in references(page):
            split = urlsplit(reference)
            assert (split.scheme, split.netloc) in (("", ""), ("data", "")), (page, reference)
            assert not split.path.startswith("/"), (page, reference)
            if split.path and not split.scheme:
                assert (page.parent / unquote(split.path)).exists(), (page, reference)


def test_plain_asv_publish_gives_the_same(with_run: Path) -> None:
    site, _ = site_of(with_run)
    ours = {str(path.relative_to(site)) for path in site.rglob("*")}
    shutil.rmtree(site)
    configure(with_run, plugins=[".allocmark.asv.publisher"])
    subprocess.run([sys.executable, "-m", "asv", "publish"], cwd=with_run, check=True, capture_output=True)
    assert {str(path.relative_to(site)) for path in site.rglob("*")} == ours


def test_asv_finds_the_planted_slowdown_and_its_feed_leads_to_its_page(tmp_path: Path) -> None:
    synthetic.project(tmp_path, 24)
    site, _ = site_of(tmp_path)
    found = json.loads((site / "regressions.json").read_text())["regressions"]
    assert {each[0].partition("(")[2].partition(",")[0] for each in found} == {repr(synthetic.SLOWED)}
    feed = (site / "regressions.xml").read_text()
    assert "asv.html#burst.time_object" in feed
    assert "index.html#" not in feed


def test_the_pages_tell_the_history(project: Path) -> None:
    site, _ = site_of(project)
    page = (site / "backend/turbomem.html").read_text()
    assert "Change 5" in page


def test_verdicts_of_the_acceptance_kit_are_shown(with_run: Path) -> None:
    folder = with_run / "conformance"
    folder.mkdir()
    rows = [{"backend": "turbomem:thp", "version": "0.1.0", "case": "whole_pool", "verdict": "passed", "why": ""}]
    (folder / "turbomem.json").write_text(json.dumps(rows))
    (folder / "glibc.json").write_text("cut o")
    site, notes = site_of(with_run)
    assert "1 of 1 case passed (version 0.1.0)" in (site / "backend/turbomem.html").read_text()
    assert len([note for note in notes if "glibc.json: not JSON" in note]) == 1


def test_what_was_never_measured_has_no_panel(project: Path) -> None:
    known = project / ".asv/results/benchmarks.json"
    members = json.loads(known.read_text())
    never = members["burst.time_object"] | {"name": "full.burst.time_object"}
    known.write_text(json.dumps(members | {"full.burst.time_object": never}))
    site, _ = site_of(project)
    assert set(json.loads((site / "index.json").read_text())["benchmarks"]) == set(members) - {"version"}


def test_without_asv_and_its_configuration_runs_are_published(
    tmp_path: Path, simulate: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(simulate().path.parent, tmp_path / "plain/runs/first")
    monkeypatch.chdir(tmp_path / "plain")
    for name in ("asv", "json5"):  # as where asv is not installed
        monkeypatch.setitem(sys.modules, name, None)
    site = publish().folder
    assert site == tmp_path / "plain/html"
    assert (site / "workload/burst.html").is_file()
    assert not (site / "asv.html").exists()
    (tmp_path / "plain/asv.conf.json").write_text("{}")
    with pytest.raises(UsageError, match="cannot be read without asv"):
        publish()


def test_damage_is_told_and_the_rest_is_published(
    with_run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    results = with_run / ".asv/results"
    cut, *_ = sorted((results / "bench1").glob("*-virtualenv-py3.11.json"))
    cut.write_bytes(cut.read_bytes()[:1000])
    (results / "bench2").mkdir()
    shutil.copy(results / "bench1" / sorted(results.glob("bench1/*-*.json"))[1].name, results / "bench2")
    (with_run / "runs/torn").mkdir()
    (with_run / "runs/torn/run.jsonl").write_text('{"type":"run"')
    before = {path: path.read_bytes() for path in results.rglob("*") if path.is_file()}
    monkeypatch.chdir(with_run)
    assert main(["publish"]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert all(line.startswith("allocmark: ") for line in lines)
    told = "\n".join(lines)
    for name in (cut.name, "bench2/machine.json", "runs/torn/run.jsonl"):
        assert name in told
    site = with_run / ".asv/html"
    assert len(json.loads((site / "index.json").read_text())["revision_to_hash"]) == 5
    assert cut.name in (site / "index.html").read_text()
    assert {path: path.read_bytes() for path in results.rglob("*") if path.is_file()} == before


def test_rewritten_commits_do_not_stop_it(project: Path) -> None:
    git = ["git", "-C", str(project), "-c", "user.name=A", "-c", "user.email=a@example.org"]
    subprocess.run([*git, "commit", "-q", "--amend", "-m", "Rewritten"], check=True)
    subprocess.run([*git, "reflog", "expire", "--expire=now", "--all"], check=True)
    subprocess.run([*git, "gc", "-q", "--prune=now"], check=True)
    site, (note,) = site_of(project)
    assert "1 commit with results left out, because this history lacks them" in note
    assert len(json.loads((site / "index.json").read_text())["revision_to_hash"]) == 5


def test_nothing_yet_is_said_and_nothing_is_written(project: Path) -> None:
    shutil.rmtree(project / ".asv")
    with pytest.raises(AllocmarkError, match=r"nothing to publish: no runs in .*`allocmark run` makes one.*`asv run`"):
        site_of(project)
    assert not (project / ".asv").exists()


def test_what_fails_leaves_the_old_site(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site, _ = site_of(project)
    before = (site / "index.html").read_bytes()
    configure(project, repo="file:///nowhere")
    with pytest.raises(AllocmarkError, match="asv publish failed, nothing was changed: ") as caught:
        site_of(project)
    assert "\n" not in str(caught.value)
    assert (site / "index.html").read_bytes() == before
    assert [path.name for path in site.parent.iterdir() if path.name.startswith(".html")] == []


def test_a_repository_that_cannot_be_reached_is_told_in_gits_words(project: Path) -> None:
    configure(project, repo="http://127.0.0.1:1/pool.git")
    with pytest.raises(AllocmarkError, match=r"nothing was changed: fatal: unable to access 'http://127\.0\.0\.1:1/"):
        site_of(project)
    assert not (project / ".asv/html").exists()


def test_a_branch_that_is_not_there_is_refused(project: Path) -> None:
    configure(project, branches=["master"])
    with pytest.raises(UsageError, match=r"asv\.conf\.json: .*has no branch 'master': it has main: "):
        site_of(project)
    assert not (project / ".asv/html").exists()


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("branches", "main", "'main': expected a list of texts"),
        ("branches", [5], "a list: expected a list of texts"),
        ("runs", 5, "5: expected a list of texts"),
        ("plugins", None, "None: expected a list of texts"),
        *((key, 5, "5: expected a text") for key in ("repo", "results_dir", "html_dir", "env_dir")),
    ],
)
def test_a_configuration_of_other_types_is_refused(project: Path, key: str, value: object, said: str) -> None:
    config = project / "asv.conf.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {key: value}))
    with pytest.raises(UsageError, match=re.escape(f'asv.conf.json: "{key}" is {said}')):
        publish(config)


def test_a_shallow_clone_is_refused_where_it_lacks_commits_with_results(project: Path, tmp_path: Path) -> None:
    def clone(depth: int) -> Path:
        folder = tmp_path / str(depth)
        subprocess.run(["git", "clone", "-q", f"--depth={depth}", f"file://{project}", str(folder)], check=True)
        for name in ("asv.conf.json", ".asv"):
            copy = shutil.copytree if (project / name).is_dir() else shutil.copy
            copy(project / name, folder / name)
        return folder

    with pytest.raises(UsageError, match=r"a shallow clone, which lacks 5 commits with results: .*--unshallow"):
        site_of(clone(1))
    assert not (tmp_path / "1/.asv/html").exists()
    site, notes = site_of(clone(6))
    assert site.is_dir()
    assert not any("lacks" in note for note in notes)


def test_a_folder_of_others_is_not_replaced(project: Path) -> None:
    (project / "folder").mkdir()
    (project / "folder/info.json").write_text("[]")
    (project / "file").write_text("precious")
    with pytest.raises(UsageError, match=r"holds info\.json and no site"):
        publish(project / "asv.conf.json", project / "folder")
    with pytest.raises(UsageError, match="is a file"):
        publish(project / "asv.conf.json", project / "file")
    assert (project / "folder/info.json").read_text() == "[]"


def test_what_github_pages_needs_stays(project: Path) -> None:
    target = project / "pages"
    (target / ".git").mkdir(parents=True)
    (target / ".git/HEAD").write_text("ref: refs/heads/gh-pages")
    (target / "CNAME").write_text("bench.example.org")
    for _ in range(2):
        publish(project / "asv.conf.json", target)
    assert (target / ".git/HEAD").read_text() == "ref: refs/heads/gh-pages"
    assert (target / "CNAME").read_text() == "bench.example.org"
    assert (target / "index.html").is_file()


def test_a_run_that_is_named_must_be_readable(with_run: Path) -> None:
    with pytest.raises(AllocmarkError, match="not found"):
        site_of(with_run, str(with_run / "runs/none"))
    site, _ = site_of(with_run, str(with_run / "runs/first"))
    assert (site / "workload/burst.html").is_file()


def test_another_asv_is_noticed(tmp_path: Path) -> None:
    page = '<script src="https://example.org/new.js" integrity="x"></script>'
    (tmp_path / "index.html").write_text(page)
    with pytest.raises(AllocmarkError, match=r"asv's page loads https://example\.org/new\.js"):
        local_page.make_local(tmp_path)
    assert (tmp_path / "index.html").read_text() == page

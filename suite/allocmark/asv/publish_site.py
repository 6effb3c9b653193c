# SPDX-License-Identifier: BSD-3-Clause
"""Publishes the whole site: runs, and the history that asv stored. Without asv it publishes the runs alone.

The new site is written beside the old one, and replaces it only when it is complete.
"""

from __future__ import annotations

import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from allocmark import __version__
from allocmark.asv import gather
from allocmark.asv.gather import Contents
from allocmark.asv.settings import CONFIG, read_settings
from allocmark.asv.site_folder import MARKER, new_site
from allocmark.asv.stored_results import BENCHMARKS, MACHINE, Results, read_results
from allocmark.errors import AllocmarkError, UsageError
from allocmark.gate.revisions.git import environ_of_git, git, resolve
from allocmark.output import naming
from allocmark.output.html import build_site
from allocmark.output.text.figures import counted
from allocmark.results.store import read_run


@dataclass(frozen=True)
class Published:
    """The site's folder, and a line for each thing that was left out."""

    folder: Path
    notes: tuple[str, ...]


def publish(config: Path | None = None, output: Path | None = None, run_paths: Sequence[str] = ()) -> Published:
    """Write a site with the runs and asv's results. asv is needed only for results, and to read ``config``.

    ``config`` is asv's configuration (default: asv.conf.json here, when it exists). ``output`` defaults to its
    ``html_dir``, or ``html`` without it; ``run_paths`` to the newest of its ``runs``, or ``runs/*`` without it. Damaged
    results and runs are left out, with a note.

    Files in ``output`` that are not of a published site stay as they are; see `allocmark.asv.site_folder.new_site`.

    Raises AllocmarkError, and changes nothing, when there is nothing to publish, somebody else's files are in the way,
    or asv fails; RunFileError for a run in ``run_paths`` that cannot be read.
    """
    settings = read_settings(config)
    patterns = [glob.escape(str(read_run(path).path.absolute())) for path in run_paths] or settings["runs"]
    output = (output or Path(settings["html_dir"])).absolute()
    folder = Path(settings["results_dir"])
    results = read_results(folder)
    notes = results.notes if folder.exists() else ()
    tracked = any(machine.files for machine in results.machines)
    contents = Contents(notes=notes) + gather.runs(patterns) + gather.conformance(settings["conformance"])
    if not tracked and not contents.runs:
        raise AllocmarkError(
            f"nothing to publish: no runs in {', '.join(settings['runs'])} (`allocmark run` makes one), and no results "
            f"of asv in {folder} (`asv run` measures commits)" + "".join(f"; {note}" for note in contents.notes)
        )
    if tracked:
        _check_repository(settings, {file.commit for machine in results.machines for file in machine.files})
    with naming(output), new_site(output) as new, tempfile.TemporaryDirectory(prefix="allocmark-") as work:
        if tracked:
            staged = _stage(results, Path(work) / "results")
            # asv goes on for a while when this process is killed: not in a folder that the next one uses.
            html = Path(work) / "html"
            _run_asv(settings | {"results_dir": str(staged), "html_dir": str(html), "runs": patterns, "notes": notes})
            shutil.copytree(html, new, dirs_exist_ok=True)
        else:
            write_pages(new, contents)
        told = json.loads((new / MARKER).read_text())["notes"]
    return Published(output, tuple(told))


def write_pages(html: Path, contents: Contents, asv: str | None = None) -> None:
    """Write allocmark's pages into the folder ``html``; ``asv`` is the name of asv's own page there."""
    build_site(
        contents.runs,
        html,
        history=contents.history,
        conformance=contents.conformance,
        asv=asv,
        notes=contents.notes,
    )
    # Without this file GitHub Pages leaves some folders out.
    (html / ".nojekyll").touch()
    told = {"allocmark": __version__, "notes": list(contents.notes)}
    (html / MARKER).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def _stage(results: Results, folder: Path) -> Path:
    """A results folder of the usable files and the measured benchmarks alone: asv fails at some damaged files."""
    for machine in results.machines:
        place = folder / machine.name
        place.mkdir(parents=True)
        (place / MACHINE).symlink_to((machine.folder / MACHINE).absolute())
        for file in machine.files:
            (place / file.path.name).symlink_to(file.path.absolute())
    # A benchmark that was never measured would be an empty panel.
    known = json.loads((results.machines[0].folder.parent / BENCHMARKS).read_text(encoding="utf-8"))
    measured = {row.benchmark for machine in results.machines for file in machine.files for row in file.rows}
    kept = {name: known[name] for name in ("version", *results.benchmarks) if name == "version" or name in measured}
    (folder / BENCHMARKS).write_text(json.dumps(kept), encoding="utf-8")
    return folder


def _check_repository(settings: dict[str, Any], measured: Set[str]) -> None:
    """Raises UsageError, one line, when the repository lacks a branch of the configuration, or is a shallow clone that
    lacks ``measured`` commits."""
    repository = Path(settings.get("repo", settings["base"]))
    if not repository.is_dir():
        return  # a URL: asv clones it
    known = [name.removeprefix("refs/") for name in git(repository, "for-each-ref", "--format=%(refname)").split()]
    branches = [name.partition("/")[2] for name in known if name.startswith(("heads/", "remotes/"))]
    for branch in settings.get("branches") or ():
        try:
            resolve(repository, branch)
        except AllocmarkError:
            raise UsageError(
                f'{Path(settings["base"], CONFIG)}: "branches" has {branch!r}, and {repository} has no branch '
                f"{branch!r}: it has {', '.join(branches) or 'none'}: name one of these; nothing was changed"
            ) from None
    if git(repository, "rev-parse", "--is-shallow-repository").strip() != "true":
        return
    missing = measured - set(git(repository, "rev-list", "--all", "HEAD").split())
    if missing:
        raise UsageError(
            f"{repository}: a shallow clone, which lacks {counted(len(missing), 'commit')} with results: fetch the "
            "whole history with `git fetch --unshallow`; nothing was changed"
        )


def _run_asv(settings: dict[str, Any]) -> None:
    config = Path(settings["results_dir"]).parent / CONFIG
    config.write_text(json.dumps(settings), encoding="utf-8")
    # asv looks for plugins beside its configuration, which is a copy in another folder here.
    path = os.pathsep.join(filter(None, (settings["base"], os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [sys.executable, "-m", "asv", "publish", "--config", str(config)],
        cwd=settings["base"],
        env=environ_of_git() | {"PYTHONPATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
    )
    if done.returncode:
        said = [line.strip(" ·") for line in (done.stdout + done.stderr).splitlines() if line.strip(" ·")]
        of_git = [line for line in said if line.startswith("fatal: ")]  # asv's last line only says that git failed
        why = [f"exit status {done.returncode}", *said, *of_git[:1]][-1]
        raise AllocmarkError(f"asv publish failed, nothing was changed: {why}")

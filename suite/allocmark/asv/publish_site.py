# SPDX-License-Identifier: BSD-3-Clause
"""The whole site: asv's pages and ours, put together beside the old one, which they then replace at once."""

from __future__ import annotations

import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from allocmark import __version__
from allocmark.asv import gather
from allocmark.asv.gather import Contents
from allocmark.asv.stored_results import BENCHMARKS, MACHINE, Results, read_results
from allocmark.errors import AllocmarkError, UsageError
from allocmark.output.html import build_site
from allocmark.results.store import read_run

CONFIG = "asv.conf.json"
MARKER = "allocmark.json"  #: tells a folder that was published, and so may be replaced, from any other
_PLUGIN = ".allocmark.asv.publisher"
_NOT_OURS = (".git", "CNAME")  # of a folder that GitHub Pages serves: they stay


@dataclass(frozen=True)
class Published:
    """The site's folder, and a line for each thing that is not in it."""

    folder: Path
    notes: tuple[str, ...]


def publish(config: Path | None = None, output: Path | None = None, run_paths: Sequence[str] = ()) -> Published:
    """Write the site of what ``config`` (asv.conf.json here, when there is one) and the runs have.

    ``output`` defaults to the ``html_dir`` of ``config``, and ``run_paths`` to the newest of its ``runs``. What is
    damaged is left out with a note. A site that stood there before is replaced when all is written.

    Raises AllocmarkError, and leaves everything as it was, when there is nothing to publish, when ``output`` holds
    other files, and when asv fails; RunFileError for a run in ``run_paths`` that cannot be read.
    """
    settings = _settings(config)
    patterns = [glob.escape(str(read_run(path).path.absolute())) for path in run_paths] or settings["runs"]
    output = (output or Path(settings["html_dir"])).absolute()
    _check(output)
    folder = Path(settings["results_dir"])
    results = read_results(folder)
    notes = results.notes if folder.exists() else ()
    tracked = any(machine.files for machine in results.machines)
    contents = Contents(notes=notes) + gather.runs(patterns) + gather.conformance(settings["conformance"])
    if not tracked and not contents.runs:
        raise AllocmarkError(
            f"nothing to publish: no runs in {', '.join(settings['runs'])} (`allocmark run` makes one), no results of "
            f"asv in {folder} (`asv run` measures commits)" + "".join(f"; {note}" for note in contents.notes)
        )
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{output.name}-", dir=output.parent) as work:
        html = Path(work) / "html"
        if tracked:
            staged = _stage(results, Path(work) / "results")
            _run_asv(settings | {"results_dir": str(staged), "html_dir": str(html), "runs": patterns, "notes": notes})
        else:
            html.mkdir()
            write_pages(html, contents)
        told = json.loads((html / MARKER).read_text())["notes"]
        _replace(output, html, Path(work) / "old")
    return Published(output, tuple(told))


def write_pages(html: Path, contents: Contents, asv: str | None = None) -> None:
    """Add our pages to the folder ``html``; ``asv`` is asv's own page in it."""
    build_site(
        contents.runs,
        html,
        history=contents.history,
        conformance=contents.conformance,
        asv=asv,
        notes=contents.notes,
    )
    # GitHub Pages would otherwise run the files through its own generator.
    (html / ".nojekyll").touch()
    told = {"allocmark": __version__, "notes": list(contents.notes)}
    (html / MARKER).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def _settings(config: Path | None) -> dict[str, Any]:
    """The keys of asv.conf.json with absolute paths; asv's defaults, and a site in ``html``, where there is none."""
    path = (config or Path(CONFIG)).absolute()
    base = path.parent
    members: dict[str, Any] = {}
    if config is not None or path.exists():
        try:
            import json5  # of asv, which allows comments

            members = json5.loads(path.read_text(encoding="utf-8"))
        except ImportError as error:
            raise UsageError(f"{path}: asv is not installed, which reads it: pip install 'allocmark[asv]'") from error
        except OSError as error:
            raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise UsageError(f"{path}: not the configuration of asv: {error}") from error
        if not isinstance(members, dict):
            raise UsageError(f"{path}: not the configuration of asv: expected an object")
    for key, default in (("results_dir", "results"), ("html_dir", "html"), ("env_dir", "env")):
        members[key] = str(base / members.get(key, default))
    if (base / members.get("repo", ".")).exists():
        members["repo"] = str(base / members.get("repo", "."))
    members["runs"] = [str(base / pattern) for pattern in members.get("runs", gather.RUNS)]
    members["conformance"] = [str(base / pattern) for pattern in members.get("conformance", gather.CONFORMANCE)]
    members["plugins"] = [name for name in members.get("plugins", []) if name != _PLUGIN] + [_PLUGIN]
    members["base"] = str(base)
    return members


def _check(output: Path) -> None:
    """That ``output`` may be replaced: it is new, empty, or a site."""
    if not output.exists():
        return
    if not output.is_dir():
        raise UsageError(f"{output}: is a file: choose a folder for the site")
    others = sorted(path.name for path in output.iterdir() if path.name not in _NOT_OURS)
    if others and not (output / MARKER).exists() and not _is_of_asv(output):
        raise UsageError(f"{output}: holds files that are no site ({others[0]}): choose a new or an empty folder")


def _is_of_asv(folder: Path) -> bool:
    """Whether asv wrote the site, without our plugin."""
    try:
        return "asv-version" in json.loads((folder / "info.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        return False


def _stage(results: Results, folder: Path) -> Path:
    """A results folder with links to the good files of ``results``, for asv stops at some of the bad ones, and with the
    benchmarks that have figures there.
    """
    for machine in results.machines:
        place = folder / machine.name
        place.mkdir(parents=True)
        (place / MACHINE).symlink_to((machine.folder / MACHINE).absolute())
        for file in machine.files:
            (place / file.path.name).symlink_to(file.path.absolute())
    # Benchmarks that were never measured, such as the full set, would be empty panels.
    known = json.loads((results.machines[0].folder.parent / BENCHMARKS).read_text(encoding="utf-8"))
    measured = {row.benchmark for machine in results.machines for file in machine.files for row in file.rows}
    kept = {name: entry for name, entry in known.items() if name in measured or not isinstance(entry, dict)}
    (folder / BENCHMARKS).write_text(json.dumps(kept), encoding="utf-8")
    return folder


def _run_asv(settings: dict[str, Any]) -> None:
    config = Path(settings["results_dir"]).parent / CONFIG
    config.write_text(json.dumps(settings), encoding="utf-8")
    # asv looks for plugins where its configuration lies.
    path = os.pathsep.join(filter(None, (settings["base"], os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [sys.executable, "-m", "asv", "publish", "--config", str(config)],
        cwd=settings["base"],
        env=os.environ | {"PYTHONPATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
    )
    if done.returncode:
        lines = (done.stderr.strip() or done.stdout.strip() or "without a word").splitlines()
        raise AllocmarkError(f"asv publish failed, nothing was changed: {lines[-1].strip(' ·')}")


def _replace(output: Path, html: Path, old: Path) -> None:
    html.chmod(0o755)
    if not output.exists():
        html.rename(output)
        return
    for name in _NOT_OURS:
        if (output / name).is_file():
            shutil.copy(output / name, html)
        elif (output / name).exists():
            shutil.copytree(output / name, html / name, symlinks=True)
    output.rename(old)
    try:
        html.rename(output)
    except BaseException:
        old.rename(output)
        raise

# SPDX-License-Identifier: BSD-3-Clause
"""Helpers that tests call by name."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from allocmark.cli import main
from fixtures.made_plugin import make_plugin

__all__ = ["assert_refused", "called", "hook", "make_plugin", "output", "packages_in", "setting", "started"]

_HEAD = """
import allocmark
from allocmark.engine import null_table

def backend(name="odd", variant="default", **rest):
    rest = {"table": null_table(), "description": "", "version": "1", **rest}
    return allocmark.Backend(name=name, variant=variant, **rest)
"""


def hook(body: str, signature: str = "allocmark_backends()") -> str:
    """The code of a plugin with one hook, which may call ``backend(name, variant, **members)`` to make a good one."""
    return f"{_HEAD}@allocmark.hookimpl\ndef {signature}:\n    {body}"


def packages_in(folder: Path) -> dict[str, str]:
    """The environment in which ``pip install -e .`` installs into ``folder``, quickly and without a network."""
    folder.mkdir()
    # What is installed editable is named by .pth files, which Python reads in the folders of an environment only.
    (folder / "sitecustomize.py").write_text(f"import site\nsite.addsitedir({str(folder)!r})\n")
    return {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(folder),
        "PIP_TARGET": str(folder),
        "PIP_NO_BUILD_ISOLATION": "0",  # as --no-build-isolation
        "PIP_NO_DEPS": "1",
        "PIP_NO_INDEX": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }


def setting(**values: object) -> list[str]:
    """The options that give values to parameters of a workload."""
    return [word for key, value in values.items() for word in ("--set", f"{key}={value}")]


def output(*command: str | Path, **options: Any) -> str:
    """What a command prints, which has to succeed."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def called(*arguments: object) -> subprocess.CompletedProcess[str]:
    """``allocmark ARGUMENTS`` in this process: quick, for what is not about the process of the command."""
    words = [*map(str, arguments)]
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as error:
        try:
            status = main(words)
        except SystemExit as ended:
            status = ended.code
    return subprocess.CompletedProcess(words, status, out.getvalue(), error.getvalue())


def started(folder: Path, plugins: Path, *arguments: str, **options: Any) -> subprocess.Popen[Any]:
    """``allocmark ARGUMENTS`` in a folder, running."""
    environment = {**os.environ, "PYTHONPATH": str(plugins), "TERM": "xterm", "COLUMNS": "140"}
    return subprocess.Popen([sys.executable, "-m", "allocmark", *arguments], cwd=folder, env=environment, **options)


def assert_refused(result: subprocess.CompletedProcess[str], *words: str) -> None:
    """Exit status 2, nothing on standard output, and one line without a traceback that has all the words."""
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("allocmark: ")
    for word in words:
        assert word in lines[0]

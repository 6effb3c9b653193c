# SPDX-License-Identifier: BSD-3-Clause
"""`allocmark track run` under the real asv, with one benchmark that costs nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from fixtures import synthetic

pytest.importorskip("asv")
pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]  # asv makes an environment


def test_commits_of_a_range_are_measured_once(tmp_path):
    folder = tmp_path / "repository"
    commits = synthetic.repository(folder, 3)
    configuration = {
        "version": 1, "project": "p", "repo": ".", "branches": ["HEAD"], "environment_type": "virtualenv",
        "benchmark_dir": "benchmarks", "build_command": [], "install_command": [], "uninstall_command": [],
    }  # fmt: skip
    (folder / "asv.conf.json").write_text(json.dumps(configuration))
    (folder / "benchmarks").mkdir()
    (folder / "benchmarks" / "__init__.py").write_text("")
    (folder / "benchmarks" / "one.py").write_text("def time_one():\n    pass\n")

    def run() -> str:
        done = subprocess.run(
            [sys.executable, "-m", "allocmark", "track", "run", "HEAD~2..HEAD", "--", "-a", "rounds=1"],
            cwd=folder,
            env={**os.environ, "HOME": str(tmp_path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=500,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    run()
    files = sorted(file for file in (folder / "results").glob("*/*.json") if file.name != "machine.json")
    saved = [json.loads(file.read_text()) for file in files]
    assert {each["commit_hash"] for each in saved} == set(commits[1:])
    for each in saved:
        row = dict(zip(each["result_columns"], each["results"]["one.time_one"], strict=False))
        assert row["samples"]
    run()
    assert [json.loads(file.read_text()) for file in files] == saved

# SPDX-License-Identifier: BSD-3-Clause
"""The page of recorded programs: its commands record and replay."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

from allocmark.measuring.replaying import find_traces
from proofs import recorded_programs

Runner = Callable[..., "subprocess.CompletedProcess[str]"]


def test_the_commands_of_the_page_record_and_replay(allocmark_command: Runner, tmp_path: Path) -> None:
    """The compiler's, and all that is replayed; the others' programs need not be installed."""
    *records, replay = recorded_programs.documented()
    assert [words[0] for words in records] == ["record"] * len(records)
    assert {words[2] for words in records} == recorded_programs.NEEDS.keys()
    (tmp_path / "suite").symlink_to(recorded_programs.ROOT / "suite")
    done = allocmark_command(*next(words for words in records if "cc.trace" in words))
    assert done.returncode == 0, done.stdout + done.stderr
    traces = replay[1 : replay.index("--baseline")]
    assert {name for name in traces if name.endswith(".trace")} == recorded_programs.NEEDS.keys()
    assert all(find_traces(name) for name in traces)
    dry = allocmark_command(*[word for word in replay if word not in ("sqlite.trace", "redis.trace")], "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert "cc pace=full" in dry.stdout.replace("(", "").replace(")", "")

# SPDX-License-Identifier: BSD-3-Clause
"""Which commits a bisection looks at."""

from __future__ import annotations

from pathlib import Path

import pytest

from allocmark.errors import UsageError
from allocmark.gate.bisect import _between
from fixtures.histories import History


def test_a_branch_that_was_merged_is_looked_at_as_one_commit(tmp_path: Path) -> None:
    made = History(tmp_path / "repository")
    good, before = made.commit("good"), made.commit("before")
    made.git("checkout", "-q", "-b", "topic")
    of_the_branch = [made.commit("one"), made.commit("two")]
    made.git("checkout", "-q", "main")
    aside = made.commit("meanwhile")
    made.git("merge", "-q", "--no-ff", "-s", "ours", "-m", "merge of topic", "topic")
    merge, after = made.git("rev-parse", "HEAD"), made.commit("after")

    assert _between(made.folder, good, after) == [before, aside, merge, after]
    assert _between(made.folder, before, "topic") == of_the_branch
    with pytest.raises(UsageError, match=r"is not on the first-parent line of .*git merge-base"):
        _between(made.folder, of_the_branch[0], after)

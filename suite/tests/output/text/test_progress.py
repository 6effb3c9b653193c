# SPDX-License-Identifier: BSD-3-Clause
"""What a run says on standard error while it lasts."""

from __future__ import annotations

import io

import pytest

from allocmark.measuring.schedule import Progress
from allocmark.output.text.progress import SLOWED, reporter


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("kind", [io.StringIO, Terminal])
@pytest.mark.parametrize(("slowed", "times"), [((False, False, False), 0), ((False, True, True), 1)])
def test_why_it_takes_long_is_said_once(
    kind: type[io.StringIO], slowed: tuple[bool, ...], times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "500")
    monkeypatch.setenv("TERM", "xterm")
    stream = kind()
    with reporter(stream) as report:
        for each in slowed:
            report(Progress(0.5, "burst", "glibc:default", 10.0, each))
    assert stream.getvalue().count(SLOWED) == times
    if kind is io.StringIO:
        assert stream.getvalue() == f"allocmark: {SLOWED}\n" * times

# SPDX-License-Identifier: BSD-3-Clause
"""Bundled workloads with random damage: each is good, or refused in one line, soon, and with little memory."""

from __future__ import annotations

import random
import re
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest

from allocmark.cli import main
from allocmark.errors import WorkloadError
from allocmark.workload.language.expand import Template
from allocmark.workload.language.find import BUNDLED
from allocmark.workload.tape.compile import compile_workload
from fixtures.mutations import damaged_bytes

SECONDS = 60  # of processor time for one file: the largest takes a few
MIB = 1024  # more than before
FILES = sorted(BUNDLED.glob("*.yaml"))

_TOKEN = re.compile(r"[A-Za-z_]+|[0-9]+|[^\sA-Za-z_0-9]")
_VALUES = (
    *("0", "-1", "1", "2", "1.5", "1e308", "9" * 18, "9" * 30, "0x10", "010", ".inf", "true", "null", "~", "''", "'1'"),
    *(
        "[]",
        "{}",
        "[1, 2]",
        "{a: 1}",
        "$live",
        "2$live",
        "$",
        "*packets",
        "&a 1",
        "!!int 3",
        "all",
        "random",
        "x" * 200,
    ),
)


def damaged_text(text: str, draw: random.Random) -> str:
    """``text`` with a number, a word or a mark replaced, or two of them swapped."""
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        found = list(_TOKEN.finditer(text))
        one, two = sorted((draw.choice(found), draw.choice(found)), key=lambda token: token.start())
        match draw.randrange(4):
            case 0:
                numbers = [token for token in found if token.group().isdigit()]
                one = draw.choice(numbers or found)
                text = text[: one.start()] + draw.choice(_VALUES) + text[one.end() :]
            case 1:
                text = text[: one.start()] + draw.choice(_VALUES) + text[one.end() :]
            case 2:
                text = text[: one.start()] + text[one.end() :]
            case _ if one.end() <= two.start():
                text = (
                    text[: one.start()] + two.group() + text[one.end() : two.start()] + one.group() + text[two.end() :]
                )
    return text


@contextmanager
def limited(what: object) -> Iterator[None]:
    """Fails after `SECONDS` of processor time, and where memory grows by more than `MIB`."""

    def late(_: int, __: FrameType | None) -> None:
        pytest.fail(f"{what}: not done after {SECONDS} s")

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    old = signal.signal(signal.SIGVTALRM, late)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, old)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < MIB << 10, f"{what}: {grown >> 10} MiB"


def damaged(folder: Path, draw: random.Random) -> Path:
    """A damaged copy of one of the files."""
    source = draw.choice(FILES)
    data = source.read_bytes()
    file = folder / source.name
    file.write_bytes(damaged_bytes(data, draw) if draw.random() < 0.3 else damaged_text(data.decode(), draw).encode())
    return file


def test_150_damaged_workloads(tmp_path: Path) -> None:
    """The first case of the short form alone."""
    refused: list[tuple[Path, str]] = []
    for number in range(150):
        file = damaged(tmp_path, random.Random(f"1 {number}"))
        with limited((file.stem, number)):
            try:
                case = Template.load(file).cases(short=True)[0]
                compile_workload(case.workload, 1, str(file))
            except WorkloadError as error:
                refused.append((file, str(error)))
    assert 20 < len(refused) < 145
    for file, said in refused:
        assert re.fullmatch(rf"{re.escape(str(file))}:[0-9]+: .+", said), said


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_1000_damaged_workloads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every case of the short form, and of each 20th file every case that it has."""
    good = 0
    for number in range(1000):
        file = damaged(tmp_path, random.Random(f"2 {number}"))
        command = ["check", str(file)] if number % 20 == 0 else ["show", str(file), "--short"]
        with limited((file.stem, number)):
            status = main(["workloads", *command])
        out, err = capsys.readouterr()
        said = (err or out).splitlines()
        assert status in (0, 2), (number, status)
        assert bool(out) == (status == 0) != bool(err), (number, out, err)
        assert status == 0 or re.match(rf"allocmark: {re.escape(str(file))}:[0-9]+: .", said[0]), (number, said)
        assert len(said) == 1 or (status, command[0]) == (0, "show"), (number, said)
        assert all(line.isprintable() for line in said), (number, said)
        good += status == 0
    assert 50 < good < 900

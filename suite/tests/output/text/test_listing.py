# SPDX-License-Identifier: BSD-3-Clause
"""``allocmark list``: fits the terminal, and says below the table why something cannot be used."""

from __future__ import annotations

import pytest

from allocmark.output.text.listing import render

ROWS = [
    {
        "name": "pool", "variant": variant, "default": True, "version": "1.2.3", "pages": "hugetlb",
        "available": not reason, "description": "a pool of objects with a description that is long " * 3,
        "reason": reason, "fix": "echo 64 | sudo tee nr_hugepages" if reason else "",
        "distribution": "allocmark-pool 1.2.3",
    }
    for variant, reason in (("one", ""), ("two", "no huge pages"), ("three", "no huge pages"))
]  # fmt: skip


@pytest.mark.parametrize("width", [60, 80, 100, 160, 290])
def test_fits_the_terminal(width: int) -> None:
    lines = render(ROWS, width).splitlines()
    assert max(map(len, lines)) <= max(width, 67), "the description keeps 32 columns"
    assert ("distribution" in lines[0]) == (width >= 160)
    assert sum(line.count("objects") for line in lines) == 9, "nothing is lost"


def test_a_reason_is_said_once_with_its_remedy() -> None:
    text = render(ROWS, 100)
    assert "pool:two, pool:three: no huge pages\n    to change that: echo 64 | sudo tee" in text
    assert "reason" not in text.splitlines()[0]


def test_numbers_stand_to_the_right() -> None:
    assert render([{"name": "a", "cases": 5}, {"name": "b", "cases": 1200}]) == (
        "name  cases\n----  -----\na         5\nb     1,200"
    )

# SPDX-License-Identifier: BSD-3-Clause
"""Distinct pages, lines and objects, counted from what changed hands."""

from __future__ import annotations

from pathlib import Path

import pytest

from allocmark.passes.reuse import Event, Reuse, ReusePass, figures
from allocmark.results.records import RecordError, typed
from allocmark.workload.language.expand import Template
from allocmark.workload.tape.compile import compile_workload

MB2, KB4 = 1 << 21, 1 << 12


def gets(*addresses: int, actor: int = 0) -> list[Event]:
    return [Event(address, actor, 0, 0) for address in addresses]


def puts(*addresses: int, actor: int = 0) -> list[Event]:
    return [Event(address, actor, 0, 1) for address in addresses]


def test_a_window_counts_what_is_distinct_in_it():
    events = gets(0, KB4, MB2, MB2 + 64) + gets(0, 0, 0, 0)
    found = figures(events, [64], window=4)
    assert found == {
        "window": 4,
        "gets": 8,
        "pages_2m": 1.5,
        "pages_4k": 2.0,
        "lines": 2.5,
        "objects": 2.5,
        "all": {"pages_2m": 2, "pages_4k": 3, "lines": 4, "objects": 4},
        "foreign_puts": None,
    }
    assert typed(Reuse, found).all.lines == 4


def test_windows_are_an_actors_own():
    # In turns two actors touch two pages; each of them only one.
    events = [event for i in range(10) for event in (*gets(i * 64), *gets(MB2 + i * 64, actor=1))]
    found = figures(events, [0], window=5)
    assert (found["pages_2m"], found["all"]["pages_2m"], found["objects"]) == (1.0, 2, 5.0)


@pytest.mark.parametrize(("size", "lines"), [(0, 0), (1, 1), (64, 2), (65, 2), (97, 3)])
def test_lines_are_of_the_bytes_that_are_touched(size, lines):
    found = figures(gets(32, 32), [size], window=2)
    assert found["lines"] == lines


def test_who_puts_what_another_got():
    events = gets(1, 2, 3, 4) + puts(1) + puts(2, 3, 99, actor=1)  # 99 was got before the record began
    assert figures(events, [0], window=1)["foreign_puts"] == pytest.approx(2 / 3)


def test_too_few_for_a_window_is_nothing():
    assert figures(gets(1, 2, 3), [0], window=4) == {}
    assert ReusePass().merge({0: {}}, {0}) == {}


def test_what_a_workload_touches_is_read_from_its_tape():
    text = (
        "format: 1\nname: w\nsummary: s\nsource: s\npools: {a: {object_size: 256, objects: 99},"
        " b: {object_size: 256, objects: 99}, c: {object_size: 256, objects: 99}}\nactors:\n"
        "  w: [{get: {from: a, n: 8}}, {touch: {bytes: 40, how: write}}, {get: {from: b}}, {put: all},"
        " {repeat: {times: 9, steps: [{get: {from: c, n: 3}}, {touch: {bytes: 64, how: read}},"
        " {touch: {bytes: 16, how: write}}, {put: all}]}}]\n"
    )
    (case,) = Template.parse(text, Path("w.yaml")).cases()
    assert compile_workload(case.workload, 1).touched == [40, 0, 64]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        ({"lines": None}, "lines: expected a whole number or a number, got null"),
        ({"all": {}}, 'all: missing required field "pages_2m"'),
        ({"foreign_puts": "many"}, "foreign_puts: expected a number or null, got a text"),
        ({"gets": True}, "gets: expected a whole number, got true or false"),
        ({"gets": -1}, "gets is -1, expected a number from 0"),
    ],
)
def test_a_damaged_record_is_refused(spoil, said):
    with pytest.raises(RecordError, match=said):
        typed(Reuse, figures(gets(1, 2), [0], window=1) | spoil)

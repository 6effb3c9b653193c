# SPDX-License-Identifier: BSD-3-Clause
from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allocmark.errors import UsageError, WorkloadError
from allocmark.workload.language.distributions import Choice
from allocmark.workload.language.expand import Template
from allocmark.workload.language.steps import Get, Hold, Put

FILE = """\
format: 1
name: sample
summary: One actor.
source: A test.
sweep:
  n: [1, 8]
  size: [64, mix]
  which: [oldest, random]
short: {n: [8], which: [random]}
distributions: {mix: {choice: {64: 7, 594: 4}}}
pools:
  small: {object_size: 128, objects: 1000}
  large: {object_size: 2048, objects: 500}
actors:
  one:
    - get: {from: [small, large], n: $n, size: $size}
    - put: {which: $which, n: 1}
    - put: all
"""


def template(text: str = FILE) -> Template:
    return Template.parse(text, Path("f.yaml"))


def changed(old: str, new: str) -> str:
    assert FILE.count(old) == 1, old
    return FILE.replace(old, new)


def test_every_combination_is_a_case_the_first_variable_slowest() -> None:
    cases = template().cases()
    assert [tuple(case.parameters.items()) for case in cases] == [
        (("n", n), ("size", size), ("which", which))
        for n in (1, 8)
        for size in (64, "mix")
        for which in ("oldest", "random")
    ]
    for case in cases:
        get, put, _ = case.workload.actors["one"].steps
        assert isinstance(get, Get)
        assert isinstance(put, Put)
        assert (get.n, put.which) == (case.parameters["n"], case.parameters["which"])
        if case.parameters["size"] == "mix":
            assert get.size == Choice({64: 7, 594: 4})
        else:
            assert get.size == 64


def test_without_a_sweep_there_is_one_case() -> None:
    text = FILE[: FILE.index("sweep:")] + FILE[FILE.index("distributions:") :]
    [case] = template(text.replace("$n", "4").replace("$size", "mix").replace("$which", "newest")).cases()
    assert case.parameters == {}


def test_a_short_run_has_the_selected_cases() -> None:
    assert [case.parameters for case in template().cases(short=True)] == [
        {"n": 8, "size": 64, "which": "random"},
        {"n": 8, "size": "mix", "which": "random"},
    ]


def test_a_short_run_of_several_selections_has_each_case_once_in_order() -> None:
    selections = "short:\n- {n: [8], size: [64]}\n- {size: [64], which: [random]}\n"
    text = changed("short: {n: [8], which: [random]}\n", selections)
    assert [tuple(case.parameters.values()) for case in template(text).cases(short=True)] == [
        (1, 64, "random"),
        (8, 64, "oldest"),
        (8, 64, "random"),
    ]


def test_no_short_means_all() -> None:
    assert len(template(changed("short: {n: [8], which: [random]}\n", "")).cases(short=True)) == 8


@given(st.lists(st.lists(st.integers(1, 65536), min_size=1, max_size=5, unique=True), min_size=1, max_size=4))
@settings(deadline=None)
def test_as_many_cases_as_the_product_and_no_two_alike(values: list[list[int]]) -> None:
    sweep = {f"v{i}": each for i, each in enumerate(values)}
    gets = ", ".join(f"{{get: {{from: p, n: ${name}}}}}" for name in sweep)
    made = template(
        f"format: 1\nname: x\nsummary: x\nsource: x\nsweep: {sweep}\n".replace("'", "")
        + f"pools: {{p: {{object_size: 1, objects: 1}}}}\nactors: {{a: [{gets}, put: all]}}\n"
    )
    parameters = [tuple(case.parameters.values()) for case in made.cases()]
    assert len(parameters) == math.prod(map(len, values)) == len(set(parameters))


def test_a_variable_takes_the_values_given_even_in_a_short_run() -> None:
    cases = template().cases({"n": ["2", "3"]}, short=True)
    assert [tuple(case.parameters.values()) for case in cases] == [
        (n, size, "random") for n in (2, 3) for size in (64, "mix")
    ]
    assert cases[0].workload.actors["one"].steps[0] == Get(pools=("small", "large"), n=2, size=64)


def test_dotted_paths_are_set_and_become_parameters() -> None:
    given = {
        "pools.small.objects": ["10", "20"],
        "pools.large.alignment": ["4096"],
        "actors.one.count": ["2"],
        "actors.one.1.put.n": ["5"],
        "distributions.mix.choice.64": ["1"],
    }
    cases = template().cases(given, short=True)
    assert len(cases) == 4
    assert cases[0].parameters == {
        "n": 8,
        "size": 64,
        "which": "random",
        "pools.small.objects": 10,
        "pools.large.alignment": 4096,
        "actors.one.count": 2,
        "actors.one.1.put.n": 5,
        "distributions.mix.choice.64": 1,
    }
    assert [case.workload.pools["small"].objects for case in cases] == [10, 20, 10, 20]
    for case in cases:
        assert case.workload.pools["large"].alignment == 4096
        assert case.workload.actors["one"].count == 2
        assert case.workload.actors["one"].steps[1] == Put(which="random", n=5)
    assert cases[2].workload.actors["one"].steps[0] == Get(pools=("small", "large"), n=8, size=Choice({64: 1, 594: 4}))
    assert template().cases()[0].workload.actors["one"].count == 1


def test_setting_a_value_does_not_reach_what_an_alias_shares() -> None:
    text = changed("- put: {which: $which, n: 1}", "- put: &put {which: $which, n: 1}\n    - put: *put")
    steps = template(text).cases({"actors.one.1.put.n": ["5"]})[0].workload.actors["one"].steps
    assert [step.n for step in steps if isinstance(step, Put)] == [5, 1, None]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            {"m": ["1"]},
            "sample: unknown key 'm'; possible: n, size, which, pools.small.object_size, pools.small.obj",
        ),
        ({"pools.smal.objects": ["1"]}, "did you mean 'pools.small.objects'"),
        ({"pools.small.objcts": ["1"]}, "did you mean 'pools.small.objects'"),
        ({"pools.small": ["1"]}, "unknown key 'pools.small'"),
        ({"summary": ["x"]}, "unknown key 'summary'"),
        ({"actors.one.0.get.n": ["1"]}, r"actors.one.0.get.n is \$n; set n instead"),
        ({"n": [""]}, "--set n=: found nothing; expected a value"),
        ({"n": ["null"]}, "--set n=null: found null; expected a value"),
        ({"n": [".nan"]}, "--set n=.nan: found .nan; expected a finite number"),
        ({"n": ["9" * 101]}, "found a number of 101 characters; expected at most 100"),
        ({"n": ["$size"]}, r"--set n=\$size: found a variable; expected a value"),
        ({"n": ["1", "0x1"]}, "--set n: found 0x1 twice; expected it once"),
        ({"n": []}, "--set n: found no value; expected one or more"),
        ({"n": list(map(str, range(1, 2000)))}, "found 7996 cases; expected at most 4096"),
    ],
)
def test_overrides_that_cannot_be_used(overrides: dict[str, list[str]], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        template().cases(overrides)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            {"n": ["0"]},
            r"f.yaml:16: actors.one\[0\].get.n: found 0; expected at least 1 \(with n = 0, size = 64\)",
        ),
        ({"n": ["true"]}, r"f.yaml:16: actors.one\[0\].get.n: found true; expected a whole number"),
        ({"size": ["mxi"]}, "f.yaml:16: .*unknown distribution 'mxi'; did you mean 'mix'"),
        (
            {"pools.small.objects": ["0"]},
            r"f.yaml:12: pools.small.objects: found 0; .*with pools.small.objects = 0",
        ),
        (
            {"pools.large.alignment": ["3"]},
            "f.yaml:13: pools.large.alignment: found 3; expected a power of two",
        ),
        ({"pools.large.object_size": ["500"]}, "f.yaml:16: found a size of 594; expected at most 500"),
    ],
)
def test_overrides_that_make_an_impossible_case(overrides: dict[str, list[str]], message: str) -> None:
    with pytest.raises(WorkloadError, match=message):
        template().cases(overrides)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "n: $n",
            "n: $m",
            r"f.yaml:16: unknown sweep variable '\$m'; possible: \$n, \$size, \$which",
        ),
        ("n: $n", "n: $", r"f.yaml:16: unknown sweep variable '\$'"),
        ("n: $n", "n: 2$n", r"f.yaml:16: found '2\$n'; expected a value, or a variable alone"),
        ("n: $n", "n: $n$n", r"f.yaml:16: found '\$n\$n'; expected a value, or a variable alone"),
        ("n: [1, 8]", "n: [1, 2$size]", r"f.yaml:6: sweep.n\[1\]: found '2\$size'; expected a value, not another"),
        ("n: $n", "n: 3", r"f.yaml:6: found the variable n, which nothing uses; expected \$n"),
        ("n: [1, 8]", "n: []", "f.yaml:6: sweep.n: found 0 entries; expected at least 1"),
        ("n: [1, 8]", "n: 8", "f.yaml:6: sweep.n: found 8; expected a list"),
        ("n: [1, 8]", "n: [1, [8]]", r"f.yaml:6: sweep.n\[1\]: found a list; expected a number, a name"),
        ("n: [1, 8]", "n: [1, $size]", r"f.yaml:6: sweep.n\[1\]: found '\$size'; expected a value"),
        ("n: [1, 8]", "n: [1, 8, 1]", "f.yaml:6: found 1 twice in sweep.n; expected it once"),
        ("n: [1, 8]", "n: [1, true, 8]", "found true; expected a whole number"),  # and not 1 twice
        ("n: [1, 8]", f"n: {list(range(1, 1030))}", "f.yaml:5: found 4116 cases; expected at most 4096"),
        ("n: [1, 8]", "N: [1, 8]", "f.yaml:6: sweep.N: found 'N'; expected a name"),
        (
            "short: {n: [8]",
            "short: {m: [8]",
            "f.yaml:9: short: unknown sweep variable 'm'; .*possible: n, size",
        ),
        ("short: {n: [8]", "short: {n: [9]", "f.yaml:9: short.n: found 9; expected one of 1, 8"),
        ("short: {n: [8]", "short: {n: [true]", "f.yaml:9: short.n: found true; expected one of 1, 8"),
        (
            "n: [1, 8]",
            "n: [1, 8, 70000]",
            r"f.yaml:16: .*found 70000; expected at most 65536 \(with n = 70000,",
        ),
    ],
)
def test_sweeps_that_are_refused(old: str, new: str, message: str) -> None:
    with pytest.raises(WorkloadError, match=message):
        template(changed(old, new)).cases()


def test_variables_stand_anywhere_in_the_body() -> None:
    text = (
        "format: 1\nname: x\nsummary: x\nsource: x\n"
        "sweep: {pool: [a, b], count: [1, 3], room: [7], go: [newest], top: [9], size: [64]}\n"
        "distributions: {d: {uniform: [1, $top]}}\n"
        "pools: {a: {object_size: $size, objects: 9}, b: {object_size: 1, objects: 9}}\n"
        "queues: {q: {capacity: $room}}\n"
        "actors:\n"
        "  s:\n"
        "    count: $count\n"
        "    steps: [{get: {from: $pool, n: d}}, {hold: {objects: 4, release: $go}}, {send: {to: q}}]\n"
        "  r: [receive: {from: q}, put: all]\n"
    )
    cases = template(text).cases()
    assert [(list(c.workload.pools), c.workload.actors["s"].count) for c in cases] == [
        (["a"], 1),
        (["a"], 3),
        (["b"], 1),
        (["b"], 3),
    ]
    get, hold, _ = cases[0].workload.actors["s"].steps
    assert isinstance(get, Get)
    assert isinstance(hold, Hold)
    assert get.n.maximum == 9
    assert hold.release == "newest"
    assert cases[0].workload.queues["q"].capacity == 7
    assert cases[0].workload.pools["a"].object_size == 64


def test_the_digest_is_of_what_parameters_do_not_say() -> None:
    digest = template().digest
    assert len(digest) == 64
    same = [
        ("summary: One actor.", "summary: Another."),
        ("n: [1, 8]", "n: [1, 8, 32]"),
        ("short: {n: [8], which: [random]}\n", ""),
        ("objects: 1000}", "objects: 0x3e8}  # the same number"),
        ("object_size: 128, objects: 1000", "objects: 1000, object_size: 128"),
    ]
    other = [
        ("objects: 1000", "objects: 1001"),
        ("594: 4", "594: 5"),
        ("[small, large]", "[large, small]"),
        ("    - put: all\n", "    - put: all\n    - idle: {ns: 1}\n"),
    ]
    assert {template(changed(*each)).digest for each in same} == {digest}
    assert len({digest, *(template(changed(*each)).digest for each in other)}) == 1 + len(other)

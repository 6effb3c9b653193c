# SPDX-License-Identifier: BSD-3-Clause
from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from allocmark.errors import WorkloadError
from allocmark.workload.language import schema
from allocmark.workload.language.distributions import Choice
from allocmark.workload.language.expand import Template
from allocmark.workload.language.load import parse
from allocmark.workload.language.steps import Get, Hold, Idle, Put, Receive, Repeat, Send, Touch

FILE = """\
format: 1
name: sample
summary: Two actors.
source: A test.
distributions:
  mix: {choice: {64: 7, 594: 4}}
pools:
  small: {object_size: 128, objects: 1000}
  large: {object_size: 2048, objects: 500, cache: 32, alignment: 64, node: 0}
queues:
  wire: {capacity: 64}
actors:
  rx:
    - get: {from: [small, large], n: 8, size: mix}
    - touch: {bytes: 64, how: write}
    - send: {to: wire}
  tx:
    count: 2
    steps:
      - receive: {from: wire, n: 8}
      - hold: {objects: {cycle: [10, 20]}, release: random}
      - repeat:
          times: 2
          steps:
            - put: {which: oldest, n: 1, from: small}
            - idle: {ns: 5}
      - put: all
"""


MANY = [f"\n  q{i}: {{capacity: 1}}" for i in range(64)]


def case(text: str = FILE) -> schema.Workload:
    [only] = Template.parse(text, Path("f.yaml")).cases()
    return only.workload


def changed(old: str, new: str) -> str:
    assert FILE.count(old) == 1, old
    return FILE.replace(old, new)


def refusal(old: str, new: str) -> str:
    """The error of the sample with one change, without the name of the file."""
    with pytest.raises(WorkloadError) as caught:
        case(changed(old, new))
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("f.yaml:")
    return message.removeprefix("f.yaml:")


def test_a_case_is_a_model_that_knows_its_lines() -> None:
    workload = case()
    assert (workload.name, workload.summary, workload.source) == ("sample", "Two actors.", "A test.")
    assert workload.pools["small"] == schema.Pool(object_size=128, objects=1000, cache=256, alignment=0, node=-1)
    assert workload.pools["large"].alignment == 64
    assert workload.queues == {"wire": schema.Queue(capacity=64)}
    assert workload.actors["rx"].count == 1
    assert workload.actors["tx"].count == 2

    get, touch, send = workload.actors["rx"].steps
    assert isinstance(get, Get)
    assert (get.pools, get.n) == (("small", "large"), 8)
    assert isinstance(get.size, Choice)
    assert touch == Touch(bytes=64, how="write")
    assert send == Send(queue="wire", n=None)

    receive, hold, repeat, put = workload.actors["tx"].steps
    assert receive == Receive(queue="wire", n=8)
    assert isinstance(hold, Hold)
    assert (hold.release, hold.objects.maximum) == ("random", 20)
    assert isinstance(repeat, Repeat)
    assert (repeat.times, repeat.until_held) == (2, None)
    assert repeat.steps == (Put(which="oldest", n=1, pool="small"), Idle(ns=5))
    assert put == Put(which="all")

    assert [step.line for step in (get, touch, send)] == [14, 15, 16]
    assert [step.line for step in (receive, hold, repeat, *repeat.steps, put)] == [20, 21, 22, 25, 26, 27]
    assert workload.pools["large"].line == 9


def test_models_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        case().pools["small"].objects = 5


def test_put_all_is_short_for_which() -> None:
    assert case() == case(changed("put: all", "put: {which: all}"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        # the header
        ("format: 1", "format: 2", "1: format: found 2; expected 1"),
        ("format: 1", "format: '1'", "1: format: found '1'; expected 1"),
        ("format: 1", "format: true", "1: format: found true; expected 1"),
        ("format: 1", "format: 1.0", "1: format: found 1.0; expected 1"),
        ("name: sample", "name: Sample", "2: name: found 'Sample'; expected a name"),
        ("summary: Two actors.", "summary: ' '", "3: summary: found ' '; expected some text"),
        ("source: A test.", "summery: x", "4: unknown key 'summery'; did you mean 'summary'?"),
        ("source: A test.\n", "", "1: found no 'source'; expected it"),
        (
            "source: A test.",
            "5: x",
            "4: unknown key 5; possible: format, name, summary, source, sweep, short, default, pools, queues, actors, "
            "cpus, distributions (docs/how-do-i-write-a-workload.md explains them)",
        ),
        # types and bounds
        ("objects: 1000", "objects: 0", "8: pools.small.objects: found 0; expected at least 1"),
        (
            "objects: 1000",
            "objects: 4294967295",
            "8: pools.small.objects: found 4294967295; expected at most",
        ),
        ("objects: 1000", "objects: '9'", "8: pools.small.objects: found '9'; expected a whole number"),
        ("objects: 1000", "objects: 1e3", "8: pools.small.objects: found 1000.0; expected a whole number"),
        ("objects: 1000", "objects: true", "8: pools.small.objects: found true; expected a whole number"),
        ("objects: 1000", "objects: [1]", "8: pools.small.objects: found a list; expected a whole number"),
        ("object_size: 128", "object_size: 0", "8: pools.small.object_size: found 0; expected at least 1"),
        (", objects: 1000", "", "8: pools.small: found no 'objects'; expected it"),
        ("{object_size: 128, objects: 1000}", "7", "8: pools.small: found 7; expected a mapping"),
        (
            "objects: 1000",
            "objcts: 1000",
            "8: pools.small.objcts: unknown key 'objcts'; did you mean 'objects'?",
        ),
        (
            "alignment: 64",
            "alignment: 48",
            "9: pools.large.alignment: found 48; expected a power of two, or 0",
        ),
        ("node: 0", "node: -2", "9: pools.large.node: found -2; expected at least -1"),
        ("capacity: 64", "capacity: 16777217", "11: queues.wire.capacity: found 16777217; expected at most"),
        ("queues:", f"queues:{''.join(MANY)}", "10: queues: found more than 64 entries"),
        ("  rx:", "  Rx:", "13: actors.Rx: found 'Rx'; expected a name"),
        ("  rx:", "  7:", "13: actors.7: found 7; expected text"),
        ("count: 2", "count: 0", "18: actors.tx.count: found 0; expected at least 1"),
        ("count: 2", "cuont: 2", "18: actors.tx.cuont: unknown key 'cuont'; did you mean 'count'?"),
        # steps
        (
            "touch: {bytes",
            "tuoch: {bytes",
            "15: actors.rx[1].tuoch: unknown step 'tuoch'; did you mean 'touch'?",
        ),
        (
            "      - put: all",
            "      - put",
            "27: actors.tx.steps[3]: found 'put'; expected a step (get, put,",
        ),
        ("- put: all", "- put: all\n        get: {from: small}", "27: actors.tx.steps[3]: found put and get"),
        (
            "touch: {bytes: 64,",
            "touch: {bytes: 4294967296,",
            "15: actors.rx[1].touch.bytes: found 4294967296; expected at most 4294967295",
        ),
        ("times: 2", "times: 4294967296", "23: actors.tx.steps[2].repeat.times: found 4294967296; expected at most"),
        ("how: write", "how: wirte", "15: actors.rx[1].touch.how: found 'wirte'; expected 'read' or 'write'"),
        ("put: all", "put: some", "27: actors.tx.steps[3].put: found 'some'; expected 'all', 'oldest'"),
        (
            "put: all",
            "put: newest",
            "27: actors.tx.steps[3].put: found 'newest' without 'n'; expected how many",
        ),
        ("put: all", "put: {which: all, n: 3}", "27: actors.tx.steps[3].put.n: found 'n' beside 'all'"),
        ("n: 8, size: mix", "n: 8", "14: actors.rx[0].get: found 2 pools and no size; expected 'size'"),
        ("[small, large]", "[large, large]", "14: actors.rx[0].get.from: found a pool twice"),
        ("[small, large]", "[]", "14: actors.rx[0].get.from: found 0 entries; expected at least 1"),
        (
            "n: 8, size: mix",
            "n: 65537, size: mix",
            "14: actors.rx[0].get.n: found 65537; expected at most 65536",
        ),
        (
            "times: 2",
            "times: 2\n          until_held: 1",
            "22: actors.tx.steps[2].repeat: found both 'times'",
        ),
        ("          times: 2\n", "", "22: actors.tx.steps[2].repeat: found neither 'times'"),
        (
            "ns: 5",
            "ns: 1000000001",
            "26: actors.tx.steps[2].repeat.steps[1].idle.ns: found 1000000001; expected",
        ),
        # numbers
        (
            "size: mix",
            "size: mxi",
            "14: actors.rx[0].get.size: expected a number; unknown distribution 'mxi'; did",
        ),
        (
            "size: mix",
            "size: [64]",
            "14: actors.rx[0].get.size: found a list; expected a distribution (uniform,",
        ),
        ("size: mix", "size: {unifrom: [1, 2]}", "14: actors.rx[0].get.size.unifrom: unknown distribution"),
        (
            "size: mix",
            "size: {uniform: [1, 2], cycle: [1]}",
            "14: actors.rx[0].get.size: found uniform and cycle",
        ),
        (
            "size: mix",
            "size: {uniform: [9, 2]}",
            "14: actors.rx[0].get.size.uniform: found [9, 2]; expected the",
        ),
        (
            "size: mix",
            "size: {uniform: [9]}",
            "14: actors.rx[0].get.size.uniform: found 1 entries; expected more",
        ),
        (
            "size: mix",
            "size: {uniform: [1, 2, 3]}",
            "14: actors.rx[0].get.size.uniform: found more than 2 entries",
        ),
        ("size: mix", "size: {uniform: 9}", "14: actors.rx[0].get.size.uniform: found 9; expected a list"),
        (
            "size: mix",
            "size: {uniform: [0, 9]}",
            "14: actors.rx[0].get.size: found draws down to 0; expected at",
        ),
        (
            "n: 8, size",
            "n: {cycle: [9, 70000]}, size",
            "14: actors.rx[0].get.n: found draws up to 70000; expected",
        ),
        (
            "{64: 7, 594: 4}",
            "{64: 7, x: 4}",
            "6: distributions.mix.choice.x: found 'x'; expected a whole number",
        ),
        ("{64: 7, 594: 4}", "{64: 0}", "6: distributions.mix.choice.64: found 0; expected more than 0"),
        ("{64: 7, 594: 4}", "{}", "6: distributions.mix.choice: found 0 entries; expected at least 1"),
        (
            "{choice: {64: 7, 594: 4}}",
            "{zipf: {exponent: 1, value: [1]}}",
            "6: distributions.mix.zipf.value: unkno",
        ),
        (
            "{choice: {64: 7, 594: 4}}",
            "{geometric: {mean: 0.5, max: 9}}",
            "6: distributions.mix.geometric.mean: fo",
        ),
        (
            "{choice: {64: 7, 594: 4}}",
            "{empirical: {values: [1], weights: [1, 2]}}",
            "6: distributions.mix.empirical.weights: found 1 values and 2 weights; expected a weight",
        ),
        (
            "{choice: {64: 7, 594: 4}}",
            "{lognormal: {median: 5, sigma: 1, min: 9, max: 3}}",
            "6: distributions.mix.lognormal.min: found min 9 above max 3; expected the smaller one as min",
        ),
        # across parts
        (
            "[small, large]",
            "[small, lrge]",
            "14: unknown pool 'lrge'; did you mean 'large'? possible: small, large",
        ),
        ("from: small}", "from: smal}", "25: unknown pool 'smal'; did you mean 'small'?"),
        ("to: wire", "to: wier", "16: unknown queue 'wier'; did you mean 'wire'? possible: wire"),
        (
            "size: mix",
            "size: 4096",
            "14: found a size of 4096; expected at most 2048, the largest object_size",
        ),
        (
            "bytes: 64",
            "bytes: 129",
            "15: found a touch of 129 bytes; expected at most 128, the object_size of small",
        ),
        ("from: wire, n: 8", "from: wire, n: 65", "20: found n: 65; expected at most 64, the capacity"),
        ("send: {to: wire}", "put: all", "20: found no actor that sends to wire; expected one"),
        ("receive: {from: wire, n: 8}", "get: {from: small}", "16: found no actor that receives from wire"),
        (
            "  tx:\n",
            "  ty:\n    - receive: {from: wire}\n  tx:\n",
            "22: found tx beside ty; expected one kind of",
        ),
        ("count: 2", "count: 256", "17: found more than 256 actors in all; expected fewer"),
        (
            "  rx:\n",
            "  rx:\n    - idle: {ns: 1}\n  r2:\n    - put: all\n  r3:\n",
            "16: found put with nothing held",
        ),
        (
            "  small:",
            "  spare: {object_size: 1, objects: 1}\n  small:",
            "8: found the pool spare, which nothing uses",
        ),
        ("  wire: {", "  air: {capacity: 1}\n  wire: {", "11: found the queue air, which nothing uses"),
        ("  mix:", "  mixx: {cycle: [1]}\n  mix:", "6: found the distribution mixx, which nothing uses"),
    ],
)
def test_what_is_refused(old: str, new: str, message: str) -> None:
    assert refusal(old, new).startswith(message)


def test_the_first_fault_in_the_file_is_told() -> None:
    text = changed("objects: 500", "objects: 0").replace("ns: 5", "ns: -1")
    with pytest.raises(WorkloadError, match=r"^f.yaml:9: "):
        case(text)


def touching(steps: str) -> str:
    """A file whose actor has these steps; pool ``a`` has objects of 64 bytes, ``b`` of 1024."""
    pools = "{a: {object_size: 64, objects: 9}, b: {object_size: 1024, objects: 9}}"
    return f"format: 1\nname: x\nsummary: x\nsource: x\npools: {pools}\nactors:\n  one: {steps}\n"


A, B = "{get: {from: a}}", "{get: {from: b}}"
BIG = "{touch: {bytes: 65, how: read}}"


@pytest.mark.parametrize(
    ("steps", "fits"),
    [
        (f"[{A}, {B}, {BIG}, put: all]", True),
        (f"[{B}, {BIG}, {A}, put: all]", True),
        (f"[{B}, {A}, {BIG}, put: all]", False),
        (f"[{BIG}, {A}, {B}, put: all]", True),  # the steps are done over and over
        (f"[{BIG}, {B}, {A}, put: all]", False),
        (f"[{B}, {{repeat: {{times: 2, steps: [{BIG}, {A}]}}}}, put: all]", False),  # the second time round
        (f"[{B}, {{repeat: {{times: 2, steps: [{A}]}}}}, {BIG}, put: all]", False),
        (
            "[{get: {from: [a, b], size: {uniform: [65, 99]}}}, {touch: {bytes: 65, how: read}}, put: all]",
            True,
        ),
        (
            "[{get: {from: [a, b], size: {uniform: [64, 99]}}}, {touch: {bytes: 65, how: read}}, put: all]",
            False,
        ),
    ],
)
def test_a_touch_stays_within_the_smallest_object_it_can_meet(steps: str, fits: bool) -> None:
    text = touching(steps)
    if "from: b" not in text and "a, b" not in text:
        pytest.fail("the pool b must be used")
    if "from: a" not in text and "a, b" not in text:
        pytest.fail("the pool a must be used")
    if fits:
        assert case(text).pools
    else:
        with pytest.raises(WorkloadError, match="found a touch of 65 bytes; expected at most 64, the object_size of a"):
            case(text)


def test_a_touch_after_hand_overs_meets_what_was_sent() -> None:
    text = touching(f"[{A}, send: {{to: p}}]") + (
        f"  two: [{B}, {{put: all}}, {{receive: {{from: p}}}}, {{send: {{to: q}}}}]\n"
        "  three: [{receive: {from: q}}, {touch: {bytes: 65, how: read}}, {put: all}]\n"
        "queues: {p: {capacity: 8}, q: {capacity: 8}}\n"
    )
    with pytest.raises(WorkloadError, match=r"^f.yaml:9: found a touch of 65 bytes; expected at most 64"):
        case(text)


def test_pools_that_a_case_does_not_use_are_left_out() -> None:
    text = touching("[{get: {from: $pool}}, put: all]") + "sweep: {pool: [a, b]}\n"
    cases = Template.parse(text, Path("f")).cases()
    assert [list(each.workload.pools) for each in cases] == [["a"], ["b"]]


def json_errors(text: str) -> list[str]:
    """What an editor would underline. JSON knows keys that are text only."""
    tree: Any = json.loads(json.dumps(parse(text, "f")))
    validator = jsonschema.Draft202012Validator(schema.json_schema())
    return [error.message for error in validator.iter_errors(tree)]


def test_the_json_schema_accepts_what_is_valid() -> None:
    assert json_errors(FILE) == []
    swept = changed("n: 8, size: mix", "n: $n, size: $mix").replace("objects: 1000", "objects: $objects")
    swept = swept.replace("which: oldest", "which: $which").replace("[small, large]", "$pool")
    assert json_errors(swept + "sweep: {n: [1, 2], mix: [mix], objects: [9], which: [newest], pool: [large]}") == []
    assert json_errors(FILE + "short: [{n: [1]}, {n: [2]}]") == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("format: 1", "format: 2"),
        ("name: sample", "name: Sample"),
        ("source: A test.\n", ""),
        ("objects: 1000", "objcts: 1000"),
        ("objects: 1000", "objects: 0"),
        ("objects: 1000", "objects: many"),
        ("  rx:", "  Rx:"),
        ("touch: {bytes", "tuoch: {bytes"),
        ("- put: all", "- put: all\n        get: {from: small}"),
        ("put: all", "put: some"),
        ("how: write", "how: wirte"),
        ("times: 2", "times: 2\n          until_held: 1"),
        ("n: 8, size", "n: 0, size"),
        ("size: mix", "size: {unifrom: [1, 2]}"),
        ("{64: 7, 594: 4}", "{64: 7, x: 4}"),
        ("capacity: 64", "capacity: 64, lines: 3"),
    ],
)
def test_the_json_schema_knows_typical_mistakes(old: str, new: str) -> None:
    assert json_errors(changed(old, new))


PIECES = [
    "0",
    "-1",
    "1.5",
    "true",
    "x",
    "all",
    "$n",
    "[]",
    "{}",
    "[1]",
    "{x: 1}",
    "{cycle: [1]}",
    "put: all",
    "",
    ",",
    ":",
]


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(st.integers(0, len(re.findall(r"[\w.]+|[^\w\s]", FILE)) - 1), st.sampled_from(PIECES)),
        min_size=1,
        max_size=4,
    )
)
def test_whatever_is_changed_it_is_a_workload_or_a_workload_error(changes: list[tuple[int, str]]) -> None:
    """Some tokens of a valid file, each replaced by something else."""
    tokens = re.split(r"([\w.]+|[^\w\s])", FILE)
    for place, piece in changes:
        tokens[2 * place + 1] = piece
    try:
        case("".join(tokens))
    except WorkloadError as error:
        message = str(error)
    else:
        return
    assert re.match(r"f.yaml:[1-9][0-9]*: \S.*\Z", message)

# SPDX-License-Identifier: BSD-3-Clause
"""Tapes are played by a second, plain interpreter here: they must be closed, in range, and what the file says."""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from allocmark.errors import WorkloadError
from allocmark.workload.language.expand import Template
from allocmark.workload.language.find import BUNDLED, all_workloads
from allocmark.workload.tape import play
from allocmark.workload.tape.compile import compile_workload
from allocmark.workload.tape.instructions import (
    LAYOUT,
    LOOP_DEPTH,
    REPEATABLE,
    Insn,
    Loop,
    Op,
    Recorder,
    assemble,
    roll,
)
from allocmark.workload.tape.play import Player
from allocmark.workload.tape.program import Program, ProgramActor

HEAD = "format: 1\nname: w\nsummary: s\nsource: s\n"
POOL = "pools: {p: {object_size: 64, objects: 1000}}\n"
POOLS = "pools: {a: {object_size: 64, objects: 4000}, b: {object_size: 256, objects: 4000}}\n"


def compiled(text: str, seed: int = 1) -> Program:
    (case,) = Template.parse(HEAD + text, Path("w.yaml")).cases()
    return compile_workload(case.workload, seed, "w.yaml")


def executed(tape: bytes) -> Iterator[Insn]:
    """The instructions in the order in which the engine comes to them, loops unrolled."""
    insns = [Insn(Op(fields[0]), *fields[1:]) for fields in LAYOUT.iter_unpack(tape)]
    left: list[int] = []
    at = 0
    while insns[at].op is not Op.HALT:
        insn = insns[at]
        at += 1
        if insn.op is Op.LOOP:
            left.append(insn.arg)
            assert len(left) <= LOOP_DEPTH
        elif insn.op is Op.END:
            left[-1] -= 1
            if left[-1]:
                at = insn.arg
            else:
                left.pop()
        else:
            yield insn
    assert not left


class Played:
    """What an actor holds, pool by pool, while its tapes are run."""

    def __init__(self, actor: ProgramActor) -> None:
        self.actor = actor
        self.held = Counter[int]()
        self.mixed = 0
        self.got = 0
        self.sent = Counter[int]()
        self.received = Counter[int]()
        self.ops = Counter[Op]()

    def run(self, tape: bytes) -> None:
        for insn in executed(tape):
            self.ops[insn.op] += 1
            times = insn.arg if insn.op in REPEATABLE else 1
            match insn.op:
                case Op.GET | Op.GET_READ | Op.GET_WRITE:
                    self.held[insn.target] += insn.n * times
                    self.got += insn.n * times
                case Op.PUT_OLDEST | Op.PUT_NEWEST:
                    self.held[insn.target] -= insn.n * times
                case Op.PUT_RANDOM | Op.MIXED_PUT_RANDOM:
                    mixed = insn.op is Op.MIXED_PUT_RANDOM
                    held = self.mixed if mixed else self.held[insn.target]
                    indices = memoryview(self.actor.indices).cast("I")[insn.arg : insn.arg + insn.n]
                    assert len(indices) == insn.n
                    for i, index in enumerate(indices):
                        assert 0 <= index < held - i
                    if mixed:
                        self.mixed -= insn.n
                    else:
                        self.held[insn.target] -= insn.n
                case Op.PUT_ALL:
                    assert insn.n == self.held[insn.target] > 0
                    self.held[insn.target] = 0
                case Op.GET_SIZED:
                    self.held[insn.target] += insn.n
                    self.got += insn.n
                case Op.RESIZE:
                    self.held[insn.target] -= insn.n
                    self.held[insn.aux] += insn.n
                    self.got += insn.n
                case Op.READ | Op.WRITE:
                    assert insn.n <= self.held[insn.target]
                case Op.TOUCH_AT:
                    in_row = insn.target == len(self.actor.ring_capacity)
                    assert insn.n <= (self.mixed if in_row else self.held[insn.target])
                case Op.MIXED_GET:
                    self.mixed += insn.n
                    self.got += insn.n
                case Op.MIXED_READ | Op.MIXED_WRITE:
                    assert insn.n <= self.mixed
                case Op.MIXED_PUT_OLDEST | Op.MIXED_PUT_NEWEST:
                    self.mixed -= insn.n * times
                case Op.MIXED_SEND:
                    self.sent[insn.target] += insn.n
                    self.mixed -= insn.n
                case Op.MIXED_RECEIVE:
                    self.received[insn.target] += insn.n
                    self.mixed += insn.n
                case Op.SEND:
                    self.sent[insn.target] += insn.n
                    self.held[insn.aux] -= insn.n
                case Op.RECEIVE:
                    self.received[insn.target] += insn.n
                    self.held[insn.aux] += insn.n
            assert 0 <= self.mixed <= self.actor.mixed_capacity
            for pool, held in self.held.items():
                assert 0 <= held <= self.actor.ring_capacity[pool]


def check(program: Program) -> None:
    """The invariants of every program: closed bodies, counted objects, and queues that end empty."""
    filled, moved = Counter[int](), Counter[int]()
    for actor in program.actors:
        played = Played(actor)
        played.run(actor.prologue)
        for queue, n in played.sent.items():
            filled[queue] += n
        for queue, n in played.received.items():
            filled[queue] -= n
        before, before_mixed = +played.held, played.mixed
        played.got, played.sent, played.received = 0, Counter(), Counter()
        played.run(actor.body)
        assert (+played.held, played.mixed) == (before, before_mixed)
        assert played.got == actor.objects
        assert actor.iterations >= 1
        for queue, n in played.sent.items():
            filled[queue] += n * actor.settle_iterations
            moved[queue] += n * actor.iterations
        for queue, n in played.received.items():
            filled[queue] -= n * actor.settle_iterations
            moved[queue] -= n * actor.iterations
    assert not any(filled.values())
    assert not any(moved.values())


@pytest.mark.parametrize("template", all_workloads([BUNDLED]), ids=lambda template: template.name)
def test_bundled_workloads(template):
    for case in template.cases(short=True):
        check(compile_workload(case.workload, 1))


def test_a_program_survives_its_json():
    for template in all_workloads([BUNDLED]):
        for case in template.cases(short=True):
            program = compile_workload(case.workload, 3)
            assert Program.from_json(program.to_json()) == program


def test_burst_becomes_two_instructions():
    program = compiled(
        POOL
        + "actors: {w: [{repeat: {until_held: 128, steps: [{get: {from: p, n: 8}}, {touch: {bytes: 64, how: write}}]}},"
        "{repeat: {until_held: 0, steps: [{put: {which: oldest, n: 8}}]}}]}\n"
    )
    body = list(executed(program.actors[0].body))
    assert [(insn.op, insn.n, insn.arg, insn.aux) for insn in body] == [
        (Op.GET_WRITE, 8, 16, 64),
        (Op.PUT_OLDEST, 8, 16, 0),
    ]
    assert program.pools[0].working_set == 128


def test_seeds():
    text = POOLS + (
        "actors: {w: [{get: {from: [a, b], n: 8, size: {uniform: [1, 256]}}},"
        "{hold: {objects: 100, release: random}}]}\n"
    )
    assert compiled(text, 1) == compiled(text, 1)
    assert compiled(text, 1) != compiled(text, 2)
    check(compiled(text))


def test_actors_of_one_kind_draw_apart_unless_they_share_queues():
    apart = compiled(
        POOL.replace("1000", "4000")
        + "actors: {w: {count: 2, steps: [{get: {from: p, n: 4}}, {hold: {objects: 90, release: random}}]}}\n"
    )
    assert apart.actors[0].indices != apart.actors[1].indices
    assert [actor.name for actor in apart.actors] == ["w[0]", "w[1]"]
    assert not apart.actors[0].coupled


def test_rates_balance_queues():
    program = compiled(
        POOL + "queues: {q: {capacity: 64}}\nactors:\n  rx: [{get: {from: p, n: 12}}, {send: {to: q}}]\n"
        "  tx: {count: 2, steps: [{receive: {from: q, n: 8}}, {hold: {objects: 40, release: oldest}}]}\n"
    )
    check(program)
    assert {actor.name: actor.iterations for actor in program.actors} == {"rx[0]": 4, "tx[0]": 3, "tx[1]": 3}
    assert (program.queues[0].senders, program.queues[0].receivers) == (1, 2)
    assert all(actor.coupled for actor in program.actors)


def test_a_live_set_that_grows_and_shrinks():
    program = compiled(
        POOL + "actors: {w: [{get: {from: p, n: 100}}, {hold: {objects: {cycle: [500, 100]}, release: newest}}]}\n"
    )
    check(program)
    assert program.actors[0].ring_capacity[0] > 200


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (
            POOL + "actors: {w: [{get: {from: p, n: 2}}, {put: {which: oldest, n: 3}}]}\n",
            6,
            "put of 3 objects, and w holds 2",
        ),
        (POOL + "actors: {w: [{get: {from: p, n: 2}}]}\n", 6, "w holds 2 objects more each time it has run its steps"),
        (
            POOL + "actors: {w: [{repeat: {times: 501, steps: [{get: {from: p, n: 2}}]}}, {put: all}]}\n",
            6,
            "pool 'p' has 1,000 objects, and w alone holds 1,002",
        ),
        (
            POOL + "actors: {w: [{get: {from: p, n: 9}},"
            "{repeat: {times: 5, steps: [{put: {which: oldest, n: 2}}]}}]}\n",
            6,
            "put of 2 objects, and w holds 1 here",
        ),
        (
            POOL + "actors: {w: [{repeat: {until_held: 9, steps: [{get: {from: p}}, {put: all}]}}]}\n",
            6,
            "never ends",
        ),
        (
            POOL + "actors: {w: [{get: {from: p}}, {put: all}, {touch: {bytes: 8, how: read}}]}\n",
            6,
            "nothing to touch",
        ),
        (
            POOL + "queues: {q: {capacity: 64}}\nactors:\n"
            "  rx: [{get: {from: p, n: 12}}, {send: {to: q, n: 8}}, {put: all}]\n"
            "  tx: [{receive: {from: q}}, {put: all}, {receive: {from: q, n: 70}}, {put: all}]\n",
            9,
            "capacity",
        ),
    ],
)
def test_impossible_shapes_are_refused_with_their_line(text, line, words):
    with pytest.raises(WorkloadError) as caught:
        compiled(text)
    assert words in str(caught.value)
    assert str(caught.value).startswith(f"w.yaml:{line}: ")


ITEMS = st.builds(
    Insn,
    st.sampled_from([Op.GET, Op.PUT_OLDEST, Op.WRITE, Op.IDLE]),
    st.integers(0, 1),
    st.integers(1, 3),
    st.integers(1, 2),
    st.just(0),
    st.just(0),
)


@given(st.lists(ITEMS, max_size=12), st.integers(1, 40))
@settings(max_examples=200)
def test_rolling_changes_nothing(items, times):
    plain = items * times
    rolled = roll(plain)
    assert list(executed(assemble(rolled))) == plain
    if times > 5 and 0 < len(items) <= 8:
        assert len(assemble(rolled)) < len(assemble(plain))


@given(st.lists(st.sampled_from([Insn(Op.GET, 0, 4, 1), Insn(Op.WRITE, 0, 4, 64), Insn(Op.PUT_OLDEST, 0, 4, 1)])))
def test_recording_keeps_what_is_done(items):
    recorder = Recorder()
    for insn in items:
        recorder.add(insn)
    assert not any(isinstance(item, Loop) for item in recorder.items)
    done = Counter[str]()
    for insn in executed(assemble(recorder.items)):
        done["got"] += insn.n * insn.arg if insn.op in (Op.GET, Op.GET_WRITE) else 0
        done["written"] += insn.n * insn.arg if insn.op is Op.GET_WRITE else insn.n if insn.op is Op.WRITE else 0
        done["put"] += insn.n * insn.arg if insn.op is Op.PUT_OLDEST else 0
    asked = Counter(insn.op for insn in items)
    assert done["got"] == 4 * asked[Op.GET]
    assert done["written"] == 4 * asked[Op.WRITE]
    assert done["put"] == 4 * asked[Op.PUT_OLDEST]


STEPS = st.lists(
    st.one_of(
        st.builds("{{get: {{from: [a, b], n: {}, size: {{uniform: [1, 256]}}}}}}".format, st.integers(1, 40)),
        st.builds(
            "{{hold: {{objects: {}, release: {}}}}}".format,
            st.integers(0, 300),
            st.sampled_from(["oldest", "newest", "random"]),
        ),
        st.just("{put: all}"),
        st.just("{idle: {ns: 100}}"),
    ),
    min_size=1,
    max_size=6,
)


@given(STEPS, st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_any_mix_of_steps_compiles_to_a_closed_program_or_is_refused(steps, seed):
    first, last = "{get: {from: [a, b], n: 3, size: 9}}", "{hold: {objects: 200, release: oldest}}"
    text = POOLS + f"actors: {{w: [{', '.join([first, *steps, last])}]}}\n"
    with contextlib.suppress(WorkloadError):
        check(compiled(text, seed))


def test_a_million_gets_and_puts_are_two_instructions():
    program = compiled(
        POOL.replace("1000", "1048575")
        + "actors: {w: [{repeat: {until_held: 1000000, steps: [{get: {from: p}}, {touch: {bytes: 1, how: write}}]}},"
        "{repeat: {until_held: 0, steps: [{put: {which: oldest, n: 1}}]}}]}\n"
    )
    body = list(executed(program.actors[0].body))
    assert [(insn.op, insn.n, insn.arg) for insn in body] == [(Op.GET_WRITE, 1, 10**6), (Op.PUT_OLDEST, 1, 10**6)]
    assert program.actors[0].ring_capacity == (10**6,)


DRAWN = "{get: {from: [a, b], n: 2, size: {choice: {9: 1, 99: 2}}}}"
LOOPED = st.recursive(
    st.sampled_from(
        [
            "{get: {from: a, n: 3}}",
            "{get: {from: b, n: 2}}",
            DRAWN,
            "{touch: {bytes: 8, how: write}}",
            "{put: {which: oldest, n: 1}}",
            "{put: {which: newest, n: 2, from: a}}",
            "{put: all}",
            "{put_all: a}",
            "{hold: {objects: 40, release: oldest}}",
            "{hold: {objects: 5, from: b, release: newest}}",
            "{resize: {from: a, to: b, n: 2}}",
            "{idle: {ns: 100}}",
        ]
    ),
    lambda steps: st.builds(
        lambda times, inner: f"{{repeat: {{times: {times}, steps: [{', '.join(inner)}]}}}}",
        st.integers(0, 30),
        st.lists(steps, min_size=1, max_size=4),
    ),
    max_leaves=8,
)


@example(["{repeat: {times: 2, steps: [{touch: {bytes: 8, how: write}}, {get: {from: a, n: 3}}]}}"], 0)
@example([DRAWN, "{repeat: {times: 4, steps: [{touch: {bytes: 8, how: write}}]}}"], 0)
@given(st.lists(LOOPED, min_size=1, max_size=5), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_a_repeat_is_what_it_would_be_step_by_step(steps, seed):
    """The same instructions in the same order, whether passes become a loop or all are played."""
    first, last = "{get: {from: a, n: 9}}, {get: {from: b}}", "{hold: {objects: 50, release: oldest}}"
    text = POOLS + f"actors: {{w: [{', '.join([first, *steps, last])}]}}\n"
    outcomes = []
    for jumping in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            # With random numbers a body goes on until its tape is long, and loops make it shorter.
            patch.setattr(play, "RANDOM_BODY", 1)
            if not jumping:
                patch.setattr(Player, "_further", lambda *_: 0)
                patch.setattr(Player, "_is_as_before", lambda *_: False)
            try:
                program = compiled(text, seed)
            except WorkloadError as error:
                assume(jumping or "steps to play one by one" not in str(error))  # which a loop spares
                outcomes.append(str(error))
                continue
            check(program)
            (actor,) = program.actors
            outcomes.append(
                (plain(actor.prologue), plain(actor.body), actor.ring_capacity, actor.objects, actor.live_bytes)
            )
    assert outcomes[0] == outcomes[1]


def plain(tape: bytes) -> list[Insn]:
    """One instruction for each call and each touch: what is counted, or done by one instruction, is written out."""
    out = []
    for insn in executed(tape):
        for _ in range(insn.arg if insn.op in REPEATABLE else 1):
            if insn.op is Op.GET_WRITE:
                out.append(Insn(Op.GET, insn.target, insn.n, 1))
                out.append(Insn(Op.WRITE, insn.target, insn.n, insn.aux))
            else:
                out.append(insn._replace(arg=1 if insn.op in REPEATABLE else insn.arg, step=0))
    return out


def test_a_repeat_that_reaches_its_number_is_what_it_would_be_step_by_step(monkeypatch):
    text = POOLS + (
        "actors: {w: [{repeat: {until_held: 2000, steps: [{get: {from: a, n: 3}}, {get: {from: b, n: 4}}]}},"
        "{repeat: {until_held: 100, steps: [{put: {which: oldest, n: 3, from: a}},"
        "{put: {which: newest, n: 4, from: b}}]}}]}\n"
    )
    looped = compiled(text).actors[0]
    monkeypatch.setattr(Player, "_further", lambda *_: 0)
    monkeypatch.setattr(Player, "_is_as_before", lambda *_: False)
    played = compiled(text).actors[0]
    assert plain(looped.body) == plain(played.body)
    assert looped.ring_capacity == played.ring_capacity


def test_objects_of_several_pools_cross_a_queue():
    program = compiled(
        POOLS + "queues: {q: {capacity: 64}}\nactors:\n"
        "  rx: [{get: {from: [a, b], n: 8, size: {uniform: [1, 256]}}}, {send: {to: q}}]\n"
        "  tx: [{receive: {from: q}}, {touch: {bytes: all, how: read}}, {hold: {objects: 30, release: random}}]\n"
    )
    check(program)
    assert [actor.mixed_capacity for actor in program.actors] == [8, 38]
    assert 0 < program.live_bytes < 46 * 256
    assert max(actor.iterations for actor in program.actors) <= 8  # both draw, and are even soon


def test_packets_wait_before_the_first_is_handed_on():
    program = compiled(
        POOL.replace("1000", "4000") + "queues: {wire: {capacity: 64}, later: {capacity: 64}, sent: {capacity: 64}}\n"
        "actors:\n  rx: [{get: {from: p, n: 32}}, {send: {to: wire, n: 28}}, {send: {to: later, n: 4}}]\n"
        "  wait: [{repeat: {until_held: 200, steps: [{receive: {from: later, n: 4}}]}}, {receive: {from: later, n: 4}},"
        " {send: {to: sent, n: 4}}]\n"
        "  tx: [{receive: {from: wire, n: 28}}, {put: all}, {receive: {from: sent, n: 4}}, {put: all}]\n"
    )
    check(program)
    assert {actor.name: actor.iterations for actor in program.actors} == {"rx[0]": 1, "wait[0]": 1, "tx[0]": 1}


def test_all_of_a_pool_are_put_at_once_and_others_stay():
    program = compiled(
        POOLS + "actors: {w: [{get: {from: a, n: 3}}, {get: {from: b}}, {get: {from: a}}, {put_all: a}, {put_all: a},"
        "{put: all}]}\n"
    )
    check(program)
    ops = [(insn.op, insn.target, insn.n) for insn in executed(program.actors[0].body)]
    assert ops[-2:] == [(Op.PUT_ALL, 0, 4), (Op.PUT_OLDEST, 1, 1)]
    assert "w step 4 (put_all), line 6" in program.steps


def test_a_pool_is_put_all_at_once_beside_a_queue_of_others():
    check(
        compiled(
            POOLS + "queues: {q: {capacity: 64}}\nactors:\n"
            "  rx: [{get: {from: a, n: 8}}, {put_all: a}, {get: {from: b, n: 4}}, {send: {to: q}}]\n"
            "  tx: [{receive: {from: q}}, {put: all}]\n"
        )
    )


QUEUE = "queues: {q: {capacity: 64}}\n"


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (
            "actors: {w: {count: 3, steps: [{get: {from: a}}, {put_all: a}]}}",
            6,
            "found a put_all of pool 'a', which 3 actors use; expected one, as it takes back what all of them hold",
        ),
        (
            "actors:\n  one: [{get: {from: a}}, {put: all}]\n  two: [{get: {from: a}}, {put_all: a}]",
            8,
            "found a put_all of pool 'a', which 2 actors use; expected one, as it takes back what all of them hold",
        ),
        (
            QUEUE + "actors:\n  rx:\n    - get: {from: a, n: 8}\n    - send: {to: q}\n    - put_all: a\n"
            "  tx: [{receive: {from: q}}, {put: all}]",
            11,
            "found a put_all of pool 'a', whose objects go through queue 'q'; expected none of them in a queue",
        ),
        (
            QUEUE + "actors: {w: [{get: {from: a, n: 8}}, {send: {to: q}}, {receive: {from: q, n: 8}}, {put_all: a}]}",
            7,
            "found a put_all of pool 'a', whose objects go through queue 'q'; expected none of them in a queue",
        ),
        (
            QUEUE + "actors:\n  rx: [{get: {from: [a, b], n: 8, size: {uniform: [1, 256]}}}, {send: {to: q}}]\n"
            "  tx: [{receive: {from: q}}, {put_all: a}]",
            9,
            "found a put_all, and tx holds objects of several pools as they come through a queue; expected a pool of "
            "which none are sent",
        ),
        (
            "actors: {w: [{get: {from: a}}, {put_all: a}, {touch: {bytes: 8, how: read}}]}",
            6,
            "nothing to touch: what came last is put or sent already; touch it earlier",
        ),
        ("actors: {w: [{get: {from: a}}, {put_all: c}]}", 6, "unknown pool 'c'; possible: a"),
        (
            "actors: {w: [{get: {from: a}}, {put_all: b}, {put: all}]}",
            6,
            "found a put_all from b, and no step that gets from it; expected one",
        ),
        (
            "actors: {w: [{put_all: a}]}",
            6,
            "found put_all with nothing held; expected a get or receive first",
        ),
    ],
)
def test_what_cannot_be_put_all_at_once_is_refused_in_one_line(text, line, message):
    with pytest.raises(WorkloadError) as caught:
        compiled((POOLS if re.search(r"\bb\b", text) else POOLS.partition(", b")[0] + "}\n") + text + "\n")
    assert str(caught.value) == f"w.yaml:{line}: {message}"


def test_the_limit_of_what_is_played_step_by_step_says_what_to_change():
    with pytest.raises(WorkloadError) as caught:
        compiled(
            POOL + "actors: {w: [{get: {from: p, n: 500}}, {repeat: {times: 3000000, steps: ["
            "{put: {which: random, n: 1}}, {get: {from: p}}]}}, {put: all}]}\n"
        )
    assert "more than 2,000,000 steps to play one by one" in str(caught.value)
    assert "repeat less often" in str(caught.value)

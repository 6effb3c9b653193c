# SPDX-License-Identifier: BSD-3-Clause
"""What an exchange costs with more cores than there are here: the library's code on simulated cores, and the model."""

from __future__ import annotations

from pathlib import Path

import pytest
import scaling
from native_programs import run

EXCHANGES = 400


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scaling.build(tmp_path_factory.mktemp("scaling"))


@pytest.fixture
def simulate(program: Path):
    return lambda pattern, cores, outside: scaling.simulate(program, pattern, cores, outside, EXCHANGES)


@pytest.mark.parametrize("cores", [1, 2, 16, 64])
def test_what_a_core_frees_itself_it_takes_without_the_others(simulate, cores):
    found = simulate("own", cores, 0)
    assert found.tries == pytest.approx(1, rel=0.01)
    assert found.brought < 0.15  # those of the beginning


@pytest.mark.parametrize("outside", scaling.OUTSIDE)
def test_pairs_do_not_disturb_each_other(simulate, outside):
    two, many = (simulate("pairs", cores, outside) for cores in (2, 64))
    assert many.tries <= 1.1 * two.tries
    assert many.brought <= 1.1 * two.brought


def test_one_head_for_all_would_not_scale(simulate):
    few, many = (simulate("one-head", cores, 0) for cores in (2, 32))
    assert many.tries > 3 * few.tries
    assert many.rate < 2 * few.rate


@pytest.mark.parametrize(("cores", "outside"), [(1, 0), (2, 4), (8, 4), (8, 64), (32, 4)])
def test_the_model_tells_the_tries_at_one_head(simulate, cores, outside):
    assert scaling.model(cores, outside) == pytest.approx(simulate("one-head", cores, outside).tries, rel=0.15)


def test_figures_are_the_same_in_every_run(simulate):
    assert simulate("one-puts", 4, 4) == simulate("one-puts", 4, 4)


def test_what_cannot_be_simulated_is_refused(program):
    with pytest.raises(AssertionError, match="usage: scaling PATTERN CORES OUTSIDE EXCHANGES"):
        run(program, "own", "129", "0", "10")

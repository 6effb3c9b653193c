# SPDX-License-Identifier: BSD-3-Clause
"""allocmark.toml: what it takes, and what is said of one that cannot be used."""

from __future__ import annotations

import os
import tomllib

import pytest

from allocmark.errors import UsageError
from allocmark.gate.revisions.recipe import INTERFACES, read_recipe
from allocmark.new_backend import rendered_recipe
from fixtures.c_repository import RECIPE

GOOD = RECIPE.format(workload="burst")


def test_what_it_says(tmp_path):
    (tmp_path / "allocmark.toml").write_text(GOOD.replace('"burst"', '"burst", "bench/mine.yaml"'))
    recipe = read_recipe(tmp_path)
    assert recipe.build == ("make libpool.so",)
    (library,) = recipe.libraries
    assert (library.name, library.path, library.prefix, library.any_size) == ("pool", "libpool.so", "pool_", True)
    assert recipe.workload_names() == ["burst", str(tmp_path / "bench" / "mine.yaml")]


def test_a_mark_of_the_byte_order_is_no_part_of_it(tmp_path):
    (tmp_path / "allocmark.toml").write_text(GOOD, encoding="utf-8-sig")
    assert read_recipe(tmp_path).build == ("make libpool.so",)


def test_nobody_waits_for_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "allocmark.toml")
    with pytest.raises(UsageError, match="is a pipe, expected a file"):
        read_recipe(tmp_path)


def test_none_is_no_error(tmp_path):
    assert read_recipe(tmp_path) is None


@pytest.mark.parametrize("interface", INTERFACES)
def test_what_init_writes_is_good(tmp_path, interface):
    text = rendered_recipe("my-pool", interface, ci=False)["allocmark.toml"]
    for name in tomllib.loads(text).get("files", ()):
        (tmp_path / name).write_text("")
    (tmp_path / "allocmark.toml").write_text(text)
    (library,) = read_recipe(tmp_path).libraries
    assert (library.name, library.interface) == ("my-pool", interface)
    assert max(map(len, text.splitlines())) <= 140


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("build", "biuld", "unknown key 'biuld'; did you mean 'build'?"),
        ('build = ["make libpool.so"]', "", "build is missing: give the command"),
        ('["make libpool.so"]', "3", "build is 3: it takes a list of texts"),
        ("[backend.pool]", "[pool]", "unknown key 'pool'"),
        ("[backend.pool]", "[backend.Pool]", "backend.Pool cannot be the name of a backend"),
        ('library = "libpool.so"', "", "backend.pool.library is missing: write library"),
        ('library = "libpool.so"', 'library = "/usr/lib/libpool.so"', "give a path inside the repository"),
        ('library = "libpool.so"', 'library = "../libpool.so"', "give a path inside the repository"),
        ('"malloc"', '"mallok"', "backend.pool.interface is 'mallok': it takes 'malloc'"),
        ('"malloc"', '"table"', "backend.pool.prefix is 'pool_'"),
        ("prefix", "suffix", "unknown key 'backend.pool.suffix'; did you mean 'backend.pool.prefix'?"),
        ("[backend.pool]", 'files = ["nowhere.c"]\n[backend.pool]', "files names 'nowhere.c', which does not exist"),
        ("build = [", "build = ", "not TOML: "),
        ("build = [", f"build = {'[' * 100_000}", "not TOML: "),
    ],
)
def test_what_is_wrong_is_said_in_a_line(tmp_path, before, after, said):
    (tmp_path / "allocmark.toml").write_text(GOOD.replace(before, after))
    with pytest.raises(UsageError) as raised:
        read_recipe(tmp_path)
    text = str(raised.value)
    assert text.startswith(f"{tmp_path / 'allocmark.toml'}: ")
    assert said in text
    assert "\n" not in text

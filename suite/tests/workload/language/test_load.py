# SPDX-License-Identifier: BSD-3-Clause
from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allocmark.errors import WorkloadError
from allocmark.workload.language import load as module
from allocmark.workload.language.load import LineError, Map, line_of, load, parse, scalar


def refused(text: str) -> LineError:
    with pytest.raises(LineError) as caught:
        parse(text, "f.yaml")
    message = str(caught.value)
    assert message.startswith(f"f.yaml:{caught.value.line}: ")
    assert "expected" in message
    assert "\n" not in message
    return caught.value


def test_values_and_lines() -> None:
    tree = parse("a: 1\nb:\n  - x\n  - {c: 2.5,\n     d: 'off'}\n", "f")
    assert tree == {"a": 1, "b": ["x", {"c": 2.5, "d": "off"}]}
    places = {("a",): 1, ("b",): 2, ("b", 0): 3, ("b", 1): 4, ("b", 1, "c"): 4, ("b", 1, "d"): 5}
    assert {place: line_of(tree, place) for place in places} == places


def test_a_part_the_tree_lacks_is_passed_over() -> None:
    tree = parse("a:\n  b: 1", "f")
    assert line_of(tree, ("a", "function-after", "b", 7)) == 2
    assert line_of(tree, ("z",)) == tree.line == 1


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("-1", -1),
        ("+7", 7),
        ("0x1F", 31),
        ("0o17", 15),
        ("9223372036854775807", 2**63 - 1),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("true", True),
        ("False", False),
        ("off", "off"),
        ("yes", "yes"),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("2001-01-01", "2001-01-01"),
        ("-", "-"),
    ],
)
def test_plain_scalars_follow_yaml_1_2(text: str, value: object) -> None:
    assert scalar(text) == value
    assert type(scalar(text)) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "~",
        "null",
        ".nan",
        "-.inf",
        "1e999",
        "010",
        "9223372036854775808",
        "-9223372036854775809",
        "9" * 101,
    ],
)
def test_scalars_without_a_use(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        scalar(text)


@pytest.mark.parametrize(
    ("text", "line", "found"),
    [
        ("", 1, "empty"),
        ("- 1", 1, "a list"),
        ("a: 1\nb: 2\na: 3", 3, "'a' again"),
        ("a: {64: 1, 64: 2}", 1, "64 again"),
        ("a: 1\n---\nb: 2", 2, "second document"),
        ("a:\n  b:\n\t- 1", 3, "tab"),
        ("a: {b: 1", 1, "flow mapping"),
        ("a: 'x", 1, "quoted"),
        ("a: 1\ntrue: 2", 2, "true as a key"),
        ("a: 1\n1.5: 2", 2, "1.5 as a key"),
        ("a: 1\n[b]: 2", 2, "a list as a key"),
        ("a: 1\n? {b: 1}\n: 2", 2, "a mapping as a key"),
        ("a: 1\nb:\nc: 2", 2, "nothing"),
        ("a: 1\nb: !!python/object/apply:os.system [ls]", 2, "python/object"),
        ("a: !!str 1", 1, "tag"),
        ("a: ! 1", 1, "tag"),
        ("a: 1\nb: .inf", 2, ".inf"),
        ("a: *x", 1, "alias *x"),
        ("a: &x [*x]", 1, "alias *x"),
        ("a: 1\nb: \x00", 2, "'\\x00'"),
        ("a: \ud800", 1, "'\\ud800'"),
    ],
)
def test_refusals(text: str, line: int, found: str) -> None:
    error = refused(text)
    assert found in str(error)
    assert error.line == line


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "{a: " * 100_000,
        "- " * 100_000,
        "? " * 100_000,
        "a: " + "9" * 1_000_000,
        "a: 0x" + "f" * 1_000_000,
        "a: 1e" + "9" * 1_000_000,
        "a: [" + "1," * 500_000 + "]",
        "a: &a ["
        + "1," * 9
        + "1]\n"
        + "".join(f"{y}: &{y} [{f'*{x},' * 9}]\n" for x, y in zip("abcdefgh", "bcdefghi", strict=True)),
        "a0: &a0 []\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 2000)),
    ],
    ids=[
        "brackets",
        "braces",
        "dashes",
        "keys",
        "digits",
        "hex",
        "exponent",
        "flat",
        "laughs",
        "nested aliases",
    ],
)
def test_hostile_files_are_refused_at_once(text: str) -> None:
    start = time.process_time()
    refused(text)
    assert time.process_time() - start < 2  # it takes milliseconds; without limits minutes, or the stack


def test_limits_are_exact() -> None:
    depth = module.MAX_DEPTH
    parse("a: " + "[" * (depth - 1) + "]" * (depth - 1), "f")
    refused("a: " + "[" * depth + "]" * depth)
    room = module.MAX_NODES - 3  # the top, the key and the list
    parse("a: [" + "1," * room + "]", "f")
    refused("a: [" + "1," * (room + 1) + "]")


def test_aliases_are_shared_and_count_expanded() -> None:
    tree = parse("a: &x [1, 2]\nb: *x\nc: &y 5\nd: *y", "f")
    assert tree == {"a": [1, 2], "b": [1, 2], "c": 5, "d": 5}
    items = module.MAX_NODES // 2
    refused(f"a: &x [{'1,' * items}]\nb: *x")


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\n")  # a byte-order mark
    assert load(path) == {"a": 1}
    for content, found in (
        (b"a: 1\nb: \xff\n", "w.yaml:2: found bytes that are not UTF-8"),
        (b"AMTRACE\n\x01", "w.yaml:1: found a recorded trace; expected a workload: `allocmark replay` measures one"),
        (b"#" * (module.MAX_BYTES + 1), "w.yaml:1: found more than 1048576 bytes"),
    ):
        path.write_bytes(content)
        with pytest.raises(WorkloadError, match=found):
            load(path)
    with pytest.raises(WorkloadError, match=r"missing.yaml:1: cannot be read: No such file"):
        load(tmp_path / "missing.yaml")
    with pytest.raises(WorkloadError, match="cannot be read: Is a directory"):
        load(tmp_path)


YAMLISH = st.text(st.sampled_from("ab01-.:,[]{}&*!|>'\"#%?@ \n\t~<$\\"), max_size=60)


def tree_or_error(read: Callable[[], Map], where: object) -> None:
    try:
        tree = read()
    except WorkloadError as error:
        message = str(error)
    else:
        assert isinstance(tree, Map)
        return
    assert message.startswith(f"{where}:")
    assert "\n" not in message


@given(st.one_of(st.text(max_size=80), YAMLISH))
def test_any_text_is_a_tree_or_a_workload_error(text: str) -> None:
    tree_or_error(lambda: parse(text, "f"), "f")


@given(st.one_of(st.binary(max_size=80), YAMLISH.map(str.encode)))
def test_any_file_is_a_tree_or_a_workload_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(content)
    tree_or_error(lambda: load(path), path)


def test_the_parser_in_python_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    import yaml

    monkeypatch.setattr(module, "_PARSER", yaml.SafeLoader)
    assert parse("a: &x [1, {b: 2}]\nc: *x", "f") == {"a": [1, {"b": 2}], "c": [1, {"b": 2}]}
    for text in ("[" * 100_000, "a: {b: 1", "a: !!str 1", "a:\n\t- 1", "a: 1\n---\nb: 2"):
        refused(text)


def test_loading_does_not_import_pydantic() -> None:
    program = (
        "import sys, allocmark.workload.language.load as load, allocmark.workload.language.find\n"
        "load.parse('a: 1', 'f')\n"
        "sys.exit(bool({'pydantic', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0

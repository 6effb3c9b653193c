# SPDX-License-Identifier: BSD-3-Clause
"""Reads YAML text into a tree that knows its lines. Broken or hostile files end in a `WorkloadError`, quickly.

Scalars are read as YAML 1.2 does (the core schema), because YAML 1.1 turns the words on, off, yes and no into
booleans and 010 into eight. The language has no null, no tags and no merge keys; anchors and aliases work as
long as what they expand to stays within the limits below.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import yaml

from allocmark.errors import WorkloadError, show

MAX_BYTES = 1 << 20  #: of a file
MAX_NODES = 10_000  #: keys and values, aliases expanded
MAX_DEPTH = 32  #: lists and mappings inside each other
MAX_DIGITS = 100  #: characters of a number

Scalar = bool | int | float | str
Key = int | str

_PARSER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # PyYAML may have been built without libyaml

_BOOLEAN = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NULL = {"", "~", "null", "Null", "NULL"}
_NUMERIC = re.compile(r"[-+.0-9]")
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_TOO_DEEP = f"found more than {MAX_DEPTH} lists and mappings inside each other; expected fewer"
_UNPRINTABLE = re.compile(r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class LineError(WorkloadError):
    """A `WorkloadError` that knows where: ``path``, ``line`` (from 1) and ``text`` (found; expected)."""

    def __init__(self, path: Path | str, line: int, text: str) -> None:
        super().__init__(f"{path}:{line}: {text}")
        self.path, self.line, self.text = path, line, text


class Map(dict[Key, Any]):
    """A mapping that knows its own line and, in ``lines``, that of each key."""

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line
        self.lines: dict[Key, int] = {}

    def add(self, key: Key, value: Any, line: int) -> None:
        self[key] = value
        self.lines[key] = line


class List(list[Any]):
    """A list that knows its own line and, in ``lines``, that of each item."""

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line
        self.lines: list[int] = []

    def add(self, value: Any, line: int) -> None:
        self.append(value)
        self.lines.append(line)


def line_of(tree: Map | List, path: Iterable[Key]) -> int:
    """The line of the deepest part of ``path`` that the tree has; parts that it does not have are skipped."""
    node: Any = tree
    line = tree.line
    for part in path:
        if has(node, part):
            line, node = node.lines[part], node[part]
    return line


def has(node: Any, part: Key) -> bool:
    """Whether ``node[part]`` is there."""
    if isinstance(node, List):
        return isinstance(part, int) and 0 <= part < len(node)
    return isinstance(node, Map) and part in node


def load(path: Path) -> Map:
    """Read one workload file.

    Raises `WorkloadError` when it cannot be read, is not UTF-8, is too large, or for what `parse` refuses.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise LineError(path, 1, f"cannot be read: {error.strerror}; expected a workload file") from None
    if content.startswith(b"AMTRACE\n"):
        what = "`allocmark replay` measures one, `allocmark workloads from-trace` makes a workload of it"
        raise LineError(path, 1, f"found a recorded trace; expected a workload: {what}")
    if len(content) > MAX_BYTES:
        raise LineError(path, 1, f"found more than {MAX_BYTES} bytes; expected a smaller file")
    try:
        return parse(content.decode("utf-8-sig"), path)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise LineError(path, line, "found bytes that are not UTF-8; expected text in UTF-8") from None


def parse(text: str, path: Path | str) -> Map:
    """Parse one document whose top is a mapping. ``path`` names it in errors (`WorkloadError`)."""
    if bad := _UNPRINTABLE.search(text):
        line = text.count("\n", 0, bad.start()) + 1
        raise LineError(path, line, f"found the character {bad.group()!a}; expected printable text")
    composer = _Composer(path)
    try:
        for event in yaml.parse(text, Loader=_PARSER):
            composer.take(event)
    except yaml.YAMLError as error:
        raise _syntax_error(error, text, path) from None
    tree = composer.tree
    if not isinstance(tree, Map):
        found = "an empty file" if tree is None else show(tree)
        raise LineError(path, 1, f"found {found}; expected a mapping that begins with 'format: 1'")
    return tree


def scalar(text: str) -> Scalar:
    """What a plain (not quoted) scalar means. Raises ValueError: null, not finite, or too large."""
    if text in _BOOLEAN:
        return _BOOLEAN[text]
    if text in _NULL:
        raise ValueError(f"found {text or 'nothing'}; expected a value")
    if not _NUMERIC.match(text):
        return text
    if _NOT_FINITE.fullmatch(text):
        raise ValueError(f"found {text}; expected a finite number")
    integer = _INTEGER.fullmatch(text)
    if not integer and not _FLOAT.fullmatch(text):
        return text
    if len(text) > MAX_DIGITS:
        raise ValueError(f"found a number of {len(text)} characters; expected at most {MAX_DIGITS}")
    if not integer:
        number = float(text)
        if math.isinf(number):
            raise ValueError(f"found {text}; expected a finite number")
        return number
    if re.match(r"[-+]?0[0-9]", text):
        raise ValueError(f"found {text}; expected a number without leading zeros (octal is written 0o17)")
    value = int(text, 0)
    if not -(2**63) <= value < 2**63:
        raise ValueError(f"found {show(text)}; expected a number of at most 64 bits")
    return value


@dataclass(slots=True)
class _Open:
    """A list or mapping whose end has not been met yet."""

    value: Map | List
    anchor: str | None
    key: Key | None = None
    key_line: int = 0
    nodes: int = 1
    height: int = 1


class _Composer:
    """Builds the tree from parser events, without recursion; checks every limit before anything grows."""

    def __init__(self, path: Path | str) -> None:
        self.path = path
        self.tree: Any = None
        self.open: list[_Open] = []
        self.anchors: dict[str, tuple[Any, int, int]] = {}  # name → value, nodes, height
        self.nodes = 0
        self.documents = 0

    def take(self, event: yaml.Event) -> None:
        line = event.start_mark.line + 1  # type: ignore[union-attr]  # parsers always set it
        if isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                self.fail(line, "found a second document; expected one")
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in self.anchors:
                self.fail(line, f"found the alias *{event.anchor}; expected its anchor before it")
            self.place(*self.anchors[event.anchor], line)
        elif isinstance(event, yaml.ScalarEvent):
            self.refuse_tag(event, line)
            value: Scalar = event.value
            if event.implicit[0]:  # plain: not quoted
                try:
                    value = scalar(event.value)
                except ValueError as error:
                    self.fail(self.line_here(line), str(error))
            if event.anchor:
                self.anchors[event.anchor] = (value, 1, 0)
            self.place(value, 1, 0, line)
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            self.refuse_tag(event, line)
            self.begin(event, line)
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            done = self.open.pop()
            if done.anchor:
                self.anchors[done.anchor] = (done.value, done.nodes, done.height)
            self.nodes -= done.nodes  # they were counted one by one
            self.place(done.value, done.nodes, done.height, done.value.line)

    def begin(self, event: yaml.CollectionStartEvent, line: int) -> None:
        mapping = isinstance(event, yaml.MappingStartEvent)
        if self.open and isinstance(self.open[-1].value, Map) and self.open[-1].key is None:
            self.fail(line, f"found {'a mapping' if mapping else 'a list'} as a key; expected a name")
        if len(self.open) == MAX_DEPTH:
            self.fail(line, _TOO_DEEP)
        self.count(1, line)
        line = self.line_here(line)
        self.open.append(_Open(Map(line) if mapping else List(line), event.anchor))

    def place(self, value: Any, nodes: int, height: int, line: int) -> None:
        """Put a finished value where it belongs: under the pending key, at the list's end, or at the top."""
        self.count(nodes, line)
        if len(self.open) + height > MAX_DEPTH:
            self.fail(line, _TOO_DEEP)
        if not self.open:
            self.tree = value
            return
        top = self.open[-1]
        top.nodes += nodes
        top.height = max(top.height, height + 1)
        if isinstance(top.value, List):
            top.value.add(value, line)
        elif top.key is None:
            if isinstance(value, bool) or not isinstance(value, int | str):
                self.fail(line, f"found {show(value)} as a key; expected a name")
            if value in top.value:
                first = top.value.lines[value]
                self.fail(line, f"found the key {show(value)} again; expected it once (line {first} has it)")
            top.key, top.key_line = value, line
        else:
            top.value.add(top.key, value, top.key_line)
            top.key = None

    def line_here(self, line: int) -> int:
        """Where a reader looks for a value: at its key, if it has one."""
        if self.open and self.open[-1].key is not None:
            return self.open[-1].key_line
        return line

    def count(self, nodes: int, line: int) -> None:
        self.nodes += nodes
        if self.nodes > MAX_NODES:
            self.fail(line, f"found more than {MAX_NODES} values, aliases expanded; expected fewer")

    def refuse_tag(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent, line: int) -> None:
        if event.tag is not None:
            self.fail(line, f"found the tag {show(event.tag)}; expected plain values without tags")

    def fail(self, line: int, text: str) -> NoReturn:
        raise LineError(self.path, line, text)


def _syntax_error(error: yaml.YAMLError, text: str, path: Path | str) -> LineError:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    lines = text.rstrip().split("\n")
    line = min(mark.line + 1, len(lines)) if mark else 1  # libyaml ends a file a line late
    if re.match(r"\s*\t", lines[line - 1]):
        return LineError(path, line, "found a tab in the indentation; expected spaces")
    problem = " ".join(str(getattr(error, "problem", None) or "a syntax error").split())
    context = getattr(error, "context", None)
    return LineError(path, line, f"{problem}{f' {context}' if context else ''}; expected YAML")

# SPDX-License-Identifier: BSD-3-Clause
"""From a workload file to its cases: every combination of the sweep, each `$name` replaced by its value."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from allocmark.errors import UsageError, show, unknown
from allocmark.workload.language.load import Key, LineError, List, Map, Scalar, line_of, load, parse, scalar
from allocmark.workload.language.quantiles import TableError, read_table

if TYPE_CHECKING:
    from allocmark.workload.language.schema import FileHeader, Workload

MOST_CASES = 4096

Values = Mapping[str, Sequence[Scalar]]
Place = tuple[Key, ...]


@dataclass(frozen=True)
class Case:
    """A workload with one combination of parameters. Those set by a dotted path (``--set``) are among them."""

    parameters: dict[str, Scalar]
    workload: Workload


@dataclass(frozen=True)
class Template:
    """A workload file whose header is valid; its cases are validated when they are made."""

    path: Path
    name: str
    summary: str
    source: str
    sweep: Values
    short: Sequence[Values]  #: selections of the sweep; a case is in the short form if one of them has it
    default: bool  #: whether it is measured when no workload is named
    digest: str  #: sha256 of the body: pools, queues, actors, distributions, cpus, with `$name` where a parameter goes
    body: Map = field(repr=False)
    header: FileHeader = field(repr=False)

    @classmethod
    def load(cls, path: Path, name: str | None = None) -> Template:
        """Read a file, which must say that it is called ``name``, if given. Raises `WorkloadError`."""
        tree = load(path)
        template = cls._of(tree, path)
        if name not in (None, template.name):
            line = tree.lines["name"]
            raise LineError(path, line, f"found name: {template.name}; expected {name}, as the file's name")
        return template

    @classmethod
    def parse(cls, text: str, path: Path) -> Template:
        """Read a file's text; ``path`` names it in errors (`WorkloadError`)."""
        return cls._of(parse(text, path), path)

    @classmethod
    def _of(cls, tree: Map, path: Path) -> Template:
        from allocmark.workload.language import schema  # brings pydantic, which takes longer than the rest

        header = schema.read_header(tree, path)
        body = Map(tree.line)
        for key in schema.BODY:
            if key in tree:
                body.add(key, tree[key], tree.lines[key])
        _check_variables(tree, body, header.sweep, path)
        _check_short(tree, header, path)
        about = (header.name, header.summary, header.source, header.sweep, header.short, header.default)
        return cls(path, *about, _digest(header.format, body, _tables(body, path)), body, header)

    def cases(self, overrides: Mapping[str, Sequence[str]] | None = None, short: bool = False) -> list[Case]:
        """Every combination of the sweep, the first variable slowest; with ``short`` those of the short form.

        ``overrides`` gives other values to sweep variables, and values to dotted paths into the file
        (``pools.mbuf.objects``), each read as a YAML scalar.

        Raises `UsageError` for an unknown key or an unusable value, `WorkloadError` for an impossible case.
        """
        overrides = overrides or {}
        places = self._places()
        follows = {_dotted(place): str(value) for place, value in _leaves(self.body) if _is_variable(value)}
        for key in overrides:
            if key in follows:
                raise UsageError(f"{self.name}: {key} is {follows[key]}; set {follows[key][1:]} instead")
            if key not in self.sweep and key not in places:
                raise UsageError(f"{self.name}: " + unknown("key", key, [*self.sweep, *places]))
        given = {key: _values(key, texts) for key, texts in overrides.items()}
        values = {**self.sweep, **given}
        count = math.prod(map(len, values.values()))
        if count > MOST_CASES:
            raise UsageError(f"{self.name}: found {count} cases; expected at most {MOST_CASES}")
        cases = [
            self._case(parameters, {key: places[key] for key in given if key in places})
            for parameters in self._combinations(values, given if short else None)
        ]
        self._check_used()
        return cases

    def count(self, short: bool = False) -> int:
        """How many cases there are, without validating them."""
        return sum(1 for _ in self._combinations(self.sweep, () if short else None))

    def only_for(self, key: str) -> set[str]:
        """The sweep variables that stand nowhere but behind this key of the file."""
        keys: dict[str, set[Key]] = {}
        for place, value in _leaves(self.body):
            if _is_variable(value):
                keys.setdefault(str(value)[1:], set()).add(place[-1])
        return {variable for variable, found in keys.items() if found == {key}}

    def _combinations(self, values: Values, given: Collection[str] | None) -> Iterator[dict[str, Scalar]]:
        """Every combination; with ``given`` those of the short form, which does not restrict the variables in it."""
        chosen = [{k: v for k, v in each.items() if k not in given} for each in self.short] if given is not None else []
        for each in product(*values.values()):
            parameters = dict(zip(values, each, strict=True))
            if not chosen or any(_within(parameters, selection) for selection in chosen):
                yield parameters

    def _case(self, parameters: dict[str, Scalar], places: Mapping[str, Place]) -> Case:
        from allocmark.workload.language import schema

        body = _substituted(self.body, parameters)
        # An actor's count is set last: it turns a list of steps into a mapping, and other paths lead through that list.
        for key, place in sorted(places.items(), key=lambda each: each[1][-1] == "count"):
            _set(body, place, parameters[key])
        try:
            return Case(parameters, schema.validate(body, self.header, self.path))
        except LineError as error:
            # The line in the file shows $name: say which value it had.
            here = {name for name, line in _variables(self.body) if line == error.line}
            here |= {key for key, place in places.items() if line_of(body, place) == error.line}
            had = ", ".join(f"{key} = {show(value)}" for key, value in parameters.items() if key in here)
            text = f"{error.text} (with {had})" if had else error.text
            raise LineError(error.path, error.line, text) from None

    def _check_used(self) -> None:
        """Every pool, queue and distribution is named somewhere; which of them a case uses may depend on the sweep."""
        named = {value for _, value in _leaves(self.body)} | set().union(*self.sweep.values())
        for section in ("pools", "queues", "distributions"):
            for name in _names(self.body, section):
                if name not in named:
                    found = f"found the {section.removesuffix('s')} {name}, which nothing uses"
                    line = line_of(self.body, (section, name))
                    raise LineError(self.path, line, f"{found}; expected a step that uses it: add one, or delete it")

    def _places(self) -> dict[str, Place]:
        """What a dotted path may name: each single value of the file, and what pools and actors have by default."""
        from allocmark.workload.language.schema import Pool

        places: dict[str, Place] = {}
        for section, fields in (("pools", Pool.allowed()), ("queues", ()), ("actors", ("count",))):
            for name in _names(self.body, section, (Map, List) if section == "actors" else Map):
                places |= {f"{section}.{name}.{each}": (section, name, each) for each in fields}
        for place, value in _leaves(self.body):
            places[_dotted(place)] = place
            if _is_variable(value):
                del places[_dotted(place)]  # the variable is set instead
        return places


def _leaves(node: Any, place: Place = ()) -> Iterator[tuple[Place, Scalar]]:
    if isinstance(node, Map):
        for key, value in node.items():
            yield from _leaves(value, (*place, key))
    elif isinstance(node, List):
        for index, value in enumerate(node):
            yield from _leaves(value, (*place, index))
    else:
        yield place, node


def _dotted(place: Place) -> str:
    return ".".join(map(str, place))


def _names(body: Map, section: str, kind: type | tuple[type, ...] = object) -> list[Key]:
    named = body.get(section)
    return [name for name in named if isinstance(named[name], kind)] if isinstance(named, Map) else []


def _is_variable(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("$")


def _variables(body: Map) -> Iterator[tuple[str, int]]:
    """Each use of a sweep variable, without its dollar, and its line."""
    for place, value in _leaves(body):
        if _is_variable(value):
            yield str(value)[1:], line_of(body, place)


def _values(key: str, texts: Sequence[str]) -> list[Scalar]:
    values: list[Scalar] = []
    for text in texts:
        try:
            value = scalar(text)
        except ValueError as error:
            raise UsageError(f"--set {key}={text}: {error}") from None
        if _is_variable(value):
            raise UsageError(f"--set {key}={text}: found a variable; expected a value")
        if _has(values, value):
            raise UsageError(f"--set {key}: found {text} twice; expected it once")
        values.append(value)
    if not values:
        raise UsageError(f"--set {key}: found no value; expected one or more")
    return values


def _substituted(node: Any, values: Mapping[str, Scalar]) -> Any:
    """A copy with the same lines, in which YAML aliases no longer share a value."""
    if isinstance(node, Map):
        copy = Map(node.line)
        for key, value in node.items():
            copy.add(key, _substituted(value, values), node.lines[key])
        return copy
    if isinstance(node, List):
        items = List(node.line)
        for value, line in zip(node, node.lines, strict=True):
            items.add(_substituted(value, values), line)
        return items
    if _is_variable(node):
        return values[node[1:]]
    return node


def _set(body: Map, place: Place, value: Scalar) -> None:
    node: Any = body
    for part in place[:-1]:
        parent, node = node, node[part]
    if isinstance(node, List) and place[-1] == "count":  # an actor written as its steps alone
        actor = Map(node.line)
        actor.add("steps", node, node.line)
        parent[place[-2]] = node = actor
    if isinstance(node, Map):
        node.add(place[-1], value, node.lines.get(place[-1], node.line))
    else:
        node[place[-1]] = value


def _within(parameters: Mapping[str, Scalar], selection: Values) -> bool:
    return all(_has(values, parameters[key]) for key, values in selection.items())


def _has(values: Sequence[Scalar], value: Scalar) -> bool:
    return any(type(each) is type(value) and each == value for each in values)  # 1 is not true


def _check_variables(tree: Map, body: Map, sweep: Values, path: Path) -> None:
    used = set()
    for place, value in _leaves(body):
        if isinstance(value, str) and "$" in value[1:]:
            found = f"found {show(value)}; expected a value, or a variable alone"
            raise LineError(path, line_of(body, place), found)
    for name, line in _variables(body):
        if name not in sweep:
            raise LineError(path, line, unknown("sweep variable", f"${name}", [f"${each}" for each in sweep]))
        used.add(name)
    for name, values in sweep.items():
        line = line_of(tree, ("sweep", name))
        if name not in used:
            raise LineError(path, line, f"found the variable {name}, which nothing uses; expected ${name} somewhere")
        for index, value in enumerate(values):
            if _has(values[:index], value):
                raise LineError(path, line, f"found {show(value)} twice in sweep.{name}; expected it once")
    count = math.prod(map(len, sweep.values()))
    if count > MOST_CASES:
        line = line_of(tree, ("sweep",))
        raise LineError(path, line, f"found {count} cases; expected at most {MOST_CASES}")


def _check_short(tree: Map, header: FileHeader, path: Path) -> None:
    for index, selection in enumerate(header.short):
        for key, values in selection.items():
            line = line_of(tree, ("short", index, key))
            if key not in header.sweep:
                raise LineError(path, line, "short: " + unknown("sweep variable", key, header.sweep))
            for value in values:
                if not _has(header.sweep[key], value):
                    possible = ", ".join(map(show, header.sweep[key]))
                    raise LineError(path, line, f"short.{key}: found {show(value)}; expected one of {possible}")


def _tables(body: Map, path: Path) -> list[str]:
    """Digests of the files that a workload names."""
    found = []
    for place, value in _leaves(body):
        if place[-1] == "quantiles" and isinstance(value, str):
            try:
                found.append(hashlib.sha256(read_table(path.parent / value)).hexdigest())
            except TableError as error:
                raise LineError(path, line_of(body, place), str(error)) from None
    return found


def _digest(version: int, body: Map, tables: Sequence[str]) -> str:
    content = [version, _plain(body), *([tables] if tables else [])]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _plain(node: Any) -> Any:
    """For a digest: the order of lists matters, that of keys does not."""
    if isinstance(node, dict):
        pairs = [[str(key), _plain(value)] for key, value in node.items()]
        return {"keys": sorted(pairs, key=lambda pair: pair[0])}
    return [_plain(each) for each in node] if isinstance(node, list) else node

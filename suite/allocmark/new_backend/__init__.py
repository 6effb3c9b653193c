# SPDX-License-Identifier: BSD-3-Clause
"""Writes a distribution with a backend, ready to be installed, or the recipe of a repository without Python: the files
in ``templates``, with a name filled in.

A template's path has PACKAGE and NAME for the names, and no dot at the front, where packaging would pass it over.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from allocmark.errors import UsageError, show

#: What a backend can begin from, and what that is.
KINDS = {
    "pool": "a pool in C, to be replaced by yours",
    "malloc": "a library with the functions malloc and free, by its name",
    "cxx": "a pool in C++, to be replaced by your class",
}

_TEMPLATES = Path(__file__).parent / "templates"
_HIDDEN = ("gitignore", "github")  #: written with a dot in front
_NAME = re.compile(r"[a-z][a-z0-9]*([_-][a-z0-9]+)*\Z")
_LONGEST = 40  #: characters of a name


def check_name(name: str) -> None:
    """Raises UsageError for what cannot be a backend, a Python package and a C function at once."""
    if not _NAME.match(name) or len(name) > _LONGEST:
        raise UsageError(
            f"{show(name)} cannot be the name of a backend: it takes words of a-z and 0-9 joined by '_' or '-', a "
            f"letter first, at most {_LONGEST} characters"
        )


def distribution_of(name: str) -> str:
    """What pip calls it: ``allocmark-my-pool`` for ``my_pool``."""
    return f"allocmark-{name.replace('_', '-')}"


def is_native(kind: str) -> bool:
    """Whether a distribution of this kind has native code: allocmark itself has that for all mallocs."""
    return kind != "malloc"


def source_of(name: str, kind: str) -> str:
    """The file to begin with, by its path in the distribution."""
    identifier = name.replace("-", "_")
    if not is_native(kind):
        return f"allocmark_{identifier}/plugin.py"
    return f"src/{identifier}.{'cpp' if kind == 'cxx' else 'c'}"


def rendered(name: str, kind: str) -> dict[str, str]:
    """The text of every file of the distribution, by its path there."""
    native = ("native",) if is_native(kind) else ()
    return _rendered(("common", "ci", *native, kind), name, kind=kind)


def rendered_recipe(name: str, interface: str, *, ci: bool) -> dict[str, str]:
    """The text of an allocmark.toml, with ``ci`` also of a workflow that gates pull requests, by path."""
    return _rendered(("recipe", "ci") if ci else ("recipe",), name, interface=interface)


def _rendered(folders: Sequence[str], name: str, **more: str) -> dict[str, str]:
    import jinja2  # only for this: it takes longer than a command takes to start

    identifier = name.replace("-", "_")
    names = {
        "name": name,
        "identifier": identifier,
        "package": f"allocmark_{identifier}",
        "distribution": distribution_of(name),
        **more,
    }
    files = {}
    for folder in folders:
        loader = jinja2.FileSystemLoader(_TEMPLATES / folder)
        environment = jinja2.Environment(
            loader=loader, undefined=jinja2.StrictUndefined, trim_blocks=True, keep_trailing_newline=True
        )
        for template in loader.list_templates():
            target = template.removesuffix(".j2").replace("PACKAGE", names["package"]).replace("NAME", identifier)
            hidden = "." if target.split("/")[0] in _HIDDEN else ""
            files[hidden + target] = environment.get_template(template).render(names)
    return files


def write(name: str, kind: str, folder: Path) -> None:
    """Write the distribution into ``folder``, which is made. Raises UsageError where it exists."""
    check_name(name)
    files = rendered(name, kind)
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise UsageError(f"{folder}: exists already; name another folder with -o, or remove it") from None
    _write(files, folder)


def write_recipe(name: str, interface: str, folder: Path, *, ci: bool) -> list[Path]:
    """Write an allocmark.toml, and what else `rendered_recipe` has, into ``folder``; the files. Raises UsageError where
    one exists."""
    check_name(name)
    files = rendered_recipe(name, interface, ci=ci)
    for path in files:
        if (folder / path).exists():
            raise UsageError(f"{folder / path}: exists already: edit it, or remove it")
    _write(files, folder)
    return [folder / path for path in sorted(files)]


def _write(files: Mapping[str, str], folder: Path) -> None:
    for path, text in sorted(files.items()):
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

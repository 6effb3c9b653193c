# SPDX-License-Identifier: BSD-3-Clause
"""``allocmark new-backend``: write a distribution with a backend that works at once."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from allocmark.cli.arguments import OK
from allocmark.errors import UsageError
from allocmark.new_backend import KINDS

_DESCRIPTION = """\
Writes a distribution with a backend that can be installed, checked and measured
at once: native code, build, plugin, tests, asv configuration, CI recipe. Then
put your allocator in the place of what is there.

kinds:
"""


def add_new_backend(commands: Any) -> None:
    """Add the command to the parser's sub-commands."""
    parser = commands.add_parser(
        "new-backend",
        help="write a backend of your own: a distribution that works at once",
        description=_DESCRIPTION + "".join(f"  {kind:8}{text}\n" for kind, text in KINDS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=_new_backend)
    parser.add_argument("name", metavar="NAME", help="of the backend, as -b takes it: mypool")
    parser.add_argument("--kind", choices=list(KINDS), default="pool", help="what to begin from (default pool)")
    parser.add_argument("-o", "--output", metavar="DIR", help="new folder (default ./allocmark-NAME)")


def _new_backend(options: argparse.Namespace) -> int:
    from allocmark.discovery import discover
    from allocmark.new_backend import check_name, distribution_of, is_native, source_of, write
    from allocmark.new_backend.build_needs import check_build_needs

    name = options.name
    check_name(name)
    folder = Path(options.output or distribution_of(name))
    if is_native(options.kind):
        check_build_needs(cxx=options.kind == "cxx")
    for each in discover().backends:
        if name in (each.backend.name, each.plugin):
            raise UsageError(f"plugin {each.plugin!r} is here already, with {each.backend.label}: choose another name")
    write(name, options.kind, folder)
    print(f"{folder}: {KINDS[options.kind]}, in {source_of(name, options.kind)}")
    print("next:")
    print(f"  cd {folder}", "  pip install -e .", f"  allocmark conform {name}", sep="\n")
    print(f"  allocmark run burst -b {name} --quick")
    return OK

# SPDX-License-Identifier: BSD-3-Clause
"""Does the acceptance kit refuse every broken pool of `fixtures.mutants`? Runs the case that must find each, and writes
what it said into docs/what-does-the-kit-refuse.md.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from fixtures.mutants import MUTANTS, Mutant, build_mutants, refused

PAGE = Path(__file__).parents[2] / "docs" / "what-does-the-kit-refuse.md"
BEGIN, END = "<!-- made by `make mutants` -->\n", "<!-- end -->\n"


def main() -> int:
    """The command."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="allocmark-mutants-") as folder:
        build_mutants(Path(folder))
        sys.path.insert(0, folder)
        os.environ["PYTHONPATH"] = os.pathsep.join([folder, os.environ.get("PYTHONPATH", "")])
        for mutant in MUTANTS:
            message = refused(mutant)
            print(f"{mutant.variant}: {message or 'NOT REFUSED AS IT MUST BE'}", flush=True)
            rows.append((mutant, message))
    if missed := [mutant.variant for mutant, message in rows if not message]:
        print(f"not refused as they must be: {', '.join(missed)}", file=sys.stderr)
        return 1
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(before + BEGIN + "\n".join(_table(rows)) + "\n" + END + rest.partition(END)[2])
    print(f"written: {PAGE}")
    return 0


def _table(rows: list[tuple[Mutant, str]]) -> Iterator[str]:
    yield "| the pool … | found by | which says |"
    yield "|---|---|---|"
    for mutant, message in rows:
        told = re.sub(r"0x[0-9a-f]{6,}", "0x…", message).replace("|", "\\|")
        found = f"`{mutant.case}`" + (f" with `--budget {mutant.budget:g}s`" if mutant.budget else "")
        yield f"| {mutant.fault} | {found} | {told} |"


if __name__ == "__main__":
    sys.exit(main())

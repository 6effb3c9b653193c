# SPDX-License-Identifier: BSD-3-Clause
"""Tables as text, for a terminal or a pipe. No table holds a single score: the reader knows what matters.

Where to add a column:

- to the table of a run (`allocmark show`): a line in ``_FIGURES`` of `run_table`
- to `allocmark compare`: a header and a text in ``_backends`` (one run) or ``_runs`` (two runs) of `comparison`
- to the table of a measurement pass: a ``PassColumn`` of that pass, in `allocmark.passes`
- to `allocmark list`: a member of the rows in `listing`

`figures` writes numbers, names and parameters, and lays out every table.
"""

from __future__ import annotations

import sys

WIDTH = 160  #: columns of a table that goes into a pipe or a file


def terminal_width() -> int:
    """Columns of the terminal; `WIDTH` when the output is a pipe or a file."""
    import shutil

    return shutil.get_terminal_size().columns if sys.stdout.isatty() else WIDTH

# SPDX-License-Identifier: BSD-3-Clause
"""A distribution that was measured elsewhere: a table of its quantiles, in a text file beside the workload.

A line has a share and the value that no more than this share is above: ``0.5 300`` is the median. Both ascend, and the
last share is 1. Between two lines values lie evenly; below the first share all are the first value. Commas or blanks
separate, and what follows a # is a comment.
"""

from __future__ import annotations

import re
from pathlib import Path

MOST_BYTES = 1 << 20
MOST_LINES = 4096

Table = tuple[tuple[float, ...], tuple[int, ...]]  #: shares and values


class TableError(Exception):
    """A table that cannot be used; the text names file and line."""


def read_table(path: Path) -> bytes:
    """What a file holds. Raises `TableError`."""
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise TableError(
            f"{path} cannot be read: {error.strerror}; expected a table of quantiles beside the workload"
        ) from None
    if len(content) > MOST_BYTES:
        raise TableError(f"{path} has more than {MOST_BYTES} bytes; expected a smaller table")
    return content


def parse_table(path: Path) -> Table:
    """The table in a file. Raises `TableError`."""
    shares: list[float] = []
    values: list[int] = []
    for number, line in enumerate(read_table(path).decode(errors="replace").splitlines(), 1):
        words = re.split(r"[,\s]+", line.partition("#")[0].strip())
        if words == [""]:
            continue
        where = f"{path}:{number}: found {line.strip()[:40]!r}; expected "
        try:
            share, value = float(words[0]), int(words[1])
        except (ValueError, IndexError):
            raise TableError(f"{where}a share from 0 to 1 and a whole number, such as '0.5 300'") from None
        if len(words) > 2 or not 0 <= share <= 1 or not 0 <= value < 2**63:
            raise TableError(f"{where}a share from 0 to 1 and a whole number of at most 63 bits")
        if shares and (share <= shares[-1] or value < values[-1]):
            raise TableError(f"{where}more than the line before, {shares[-1]:g} {values[-1]}")
        if len(shares) == MOST_LINES:
            raise TableError(f"{path}:{number}: found more than {MOST_LINES} quantiles; expected fewer")
        shares.append(share)
        values.append(value)
    if not shares or shares[-1] != 1:
        found = f"a last share of {shares[-1]:g}" if shares else "no quantile"
        raise TableError(f"{path}: found {found}; expected a last line with the share 1 and the largest value")
    return tuple(shares), tuple(values)

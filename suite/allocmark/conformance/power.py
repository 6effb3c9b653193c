# SPDX-License-Identifier: BSD-3-Clause
"""How rare a fault the acceptance kit finds."""

from __future__ import annotations

CONFIDENCE = 0.99


def one_in(calls: int) -> int:
    """A fault that shows in one of so many calls is found in ``calls`` with `CONFIDENCE`; 0: none is.

    A fault in a share p of all calls, at random, misses all of them with (1 - p) ** calls.
    """
    return int(1 / (1 - (1 - CONFIDENCE) ** (1 / calls))) if calls else 0


def stated(calls: int) -> str:
    """In words."""
    return f"{calls:,} calls were checked, which finds a fault in 1 of {one_in(calls):,} calls with {CONFIDENCE:.0%}"

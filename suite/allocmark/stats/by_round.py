# SPDX-License-Identifier: BSD-3-Clause
"""From samples to one figure per round.

The unit of all statistics is a *round*: one fresh process per backend. Samples of one process share its place in
memory, which can double a cost, so more of them say nothing about another process. Figures of blocks are mappings from
the block's index to ns per object; ``rounds`` gives the round of each block.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

from allocmark.stats.estimates import median


def block_medians(samples: Sequence[float], blocks: Sequence[int], kept: Collection[int]) -> dict[int, float]:
    """The median sample of each block in ``kept``, in their order; sample i lies in block ``blocks[i]``."""
    found: dict[int, list[float]] = {}
    for sample, block in zip(samples, blocks, strict=True):
        if block in kept:
            found.setdefault(block, []).append(sample)
    return {block: median(found[block]) for block in sorted(found)}


def round_medians(values: Mapping[int, float], rounds: Sequence[int]) -> dict[int, float]:
    """The median of each round's blocks, by round."""
    found: dict[int, list[float]] = {}
    for block, value in values.items():
        found.setdefault(rounds[block], []).append(value)
    return {each: median(found[each]) for each in sorted(found)}


def log_ratios(values: Mapping[int, float], baseline: Mapping[int, float], rounds: Sequence[int]) -> dict[int, float]:
    """ln(value / baseline) by round: the median over the blocks of the round that have both.

    On logarithms, so that exchanging the two changes the sign and nothing else.
    """
    logs = {block: log_ratio(values[block], baseline[block]) for block in values if block in baseline}
    return round_medians(logs, rounds)


def log_ratio(value: float, baseline: float) -> float:
    """ln(value / baseline). A cost of 0 or less, as a net can be, is infinitely small; two of them are equal."""
    if value > 0 and baseline > 0:
        return math.log(value / baseline)
    return 0.0 if max(value, baseline) <= 0 else -math.inf if baseline > 0 else math.inf


def difference(values: Mapping[int, float], other: Mapping[int, float]) -> dict[int, float]:
    """``values`` minus ``other``, for the rounds that have both. Noise can make one negative."""
    return {key: value - other[key] for key, value in values.items() if key in other}

# SPDX-License-Identifier: BSD-3-Clause
"""All statistics of allocmark, as pure functions: estimates, verdicts, sequential looks, core-to-core distances."""

from allocmark.stats.distances import DISTANCE_TOLERANCE, Distance, dominant_distance, near
from allocmark.stats.estimates import (
    MEDIAN_CONFIDENCE,
    RATIO_CONFIDENCE,
    Estimate,
    block_medians,
    estimate,
    geometric_mean,
    median,
    net,
    order_rank,
    paired_ratio,
    rank_autocorrelation,
    unpaired_ratio,
)
from allocmark.stats.sequential import ERROR, LOOKS, look
from allocmark.stats.verdicts import MARGIN, UNPAIRED_MARGIN, Verdict, gate_verdict, verdict

__all__ = [
    "DISTANCE_TOLERANCE",
    "ERROR",
    "LOOKS",
    "MARGIN",
    "MEDIAN_CONFIDENCE",
    "RATIO_CONFIDENCE",
    "UNPAIRED_MARGIN",
    "Distance",
    "Estimate",
    "Verdict",
    "block_medians",
    "dominant_distance",
    "estimate",
    "gate_verdict",
    "geometric_mean",
    "look",
    "median",
    "near",
    "net",
    "order_rank",
    "paired_ratio",
    "rank_autocorrelation",
    "unpaired_ratio",
    "verdict",
]

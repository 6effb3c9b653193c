# SPDX-License-Identifier: BSD-3-Clause
"""All statistics of allocmark, as pure functions: rounds, estimates, looks, verdicts, modes, distances, shares."""

from allocmark.stats.by_round import block_medians, difference, log_ratio, log_ratios, round_medians
from allocmark.stats.distances import DISTANCE_TOLERANCE, Distance, dominant_distance, near
from allocmark.stats.estimates import (
    MEDIAN_CONFIDENCE,
    RATIO_CONFIDENCE,
    Estimate,
    estimate,
    geometric_mean,
    median,
    order_rank,
    rank_autocorrelation,
    unpaired_ratio,
)
from allocmark.stats.modes import Modes, modes
from allocmark.stats.proportions import one_in, share_bounds
from allocmark.stats.sequential import ERROR, LOOKS, final_look, least_rounds, look
from allocmark.stats.verdicts import MARGIN, UNPAIRED_MARGIN, Verdict, gate_verdict, smallest_seen, verdict

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
    "Modes",
    "Verdict",
    "block_medians",
    "difference",
    "dominant_distance",
    "estimate",
    "final_look",
    "gate_verdict",
    "geometric_mean",
    "least_rounds",
    "log_ratio",
    "log_ratios",
    "look",
    "median",
    "modes",
    "near",
    "one_in",
    "order_rank",
    "rank_autocorrelation",
    "round_medians",
    "share_bounds",
    "smallest_seen",
    "unpaired_ratio",
    "verdict",
]

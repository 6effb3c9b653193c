# SPDX-License-Identifier: BSD-3-Clause
"""All statistics of allocmark, as pure functions: rounds, estimates, looks, verdicts, modes, conditions, shares."""

from allocmark.stats.by_round import block_medians, difference, log_ratio, log_ratios, round_medians
from allocmark.stats.conditions import (
    DISTANCE_TOLERANCE,
    MOST_PER_USABLE,
    PACE_TOLERANCE,
    Conditions,
    near,
    same_pace,
    usual_conditions,
)
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
    "MOST_PER_USABLE",
    "PACE_TOLERANCE",
    "RATIO_CONFIDENCE",
    "UNPAIRED_MARGIN",
    "Conditions",
    "Estimate",
    "Modes",
    "Verdict",
    "block_medians",
    "difference",
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
    "same_pace",
    "share_bounds",
    "smallest_seen",
    "unpaired_ratio",
    "usual_conditions",
    "verdict",
]

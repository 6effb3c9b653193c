# SPDX-License-Identifier: BSD-3-Clause
"""Running: the plan, the process of a cell, the interleaving, the run file and what it says."""

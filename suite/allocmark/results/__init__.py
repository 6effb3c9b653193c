# SPDX-License-Identifier: BSD-3-Clause
"""Results: the records of a run file, and what they add up to. Does not import the engine."""

# SPDX-License-Identifier: BSD-3-Clause
"""Workload files: YAML, schema, steps, distributions, checks."""

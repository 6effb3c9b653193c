# SPDX-License-Identifier: BSD-3-Clause
"""The workload language: load (YAML with lines) → expand (cases of a sweep) → schema (a checked model)."""

# SPDX-License-Identifier: BSD-3-Clause
"""What asv tracks: the short form of three workloads, one cell a parameter combination."""

# SPDX-License-Identifier: BSD-3-Clause
"""Recorded programs: their calls of malloc and free, written down, read, fitted and played."""

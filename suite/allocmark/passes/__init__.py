# SPDX-License-Identifier: BSD-3-Clause
"""Measurement passes, one file each."""

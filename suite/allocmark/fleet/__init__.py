# SPDX-License-Identifier: BSD-3-Clause
"""Measures on several machines at once, and compares what they say."""

# SPDX-License-Identifier: BSD-3-Clause
"""Measurement passes, one file each. A new one is written like `reuse` and named in `registry.PASSES`: that is all."""

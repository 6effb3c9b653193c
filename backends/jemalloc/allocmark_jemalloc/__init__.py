# SPDX-License-Identifier: BSD-3-Clause
"""jemalloc as an allocmark backend."""

# SPDX-License-Identifier: BSD-3-Clause
"""mimalloc 2 and 3 as an allocmark backend."""

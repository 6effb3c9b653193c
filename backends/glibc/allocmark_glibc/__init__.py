# SPDX-License-Identifier: BSD-3-Clause
"""malloc and free of the GNU C library as an allocmark backend."""

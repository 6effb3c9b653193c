# SPDX-License-Identifier: BSD-3-Clause
"""A free list behind a mutex as an allocmark backend."""

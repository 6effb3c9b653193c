# SPDX-License-Identifier: BSD-3-Clause
"""Boost.Pool and Boost.Lockfree as an allocmark backend."""

# SPDX-License-Identifier: BSD-3-Clause
"""DPDK's mempools as an allocmark backend."""

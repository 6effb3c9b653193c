# SPDX-License-Identifier: BSD-3-Clause
"""What the machine and the kernel have: facts, checks, memory mappings."""

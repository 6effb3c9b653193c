# SPDX-License-Identifier: BSD-3-Clause
"""the scalable allocator of oneTBB as an allocmark backend."""

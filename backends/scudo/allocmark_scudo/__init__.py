# SPDX-License-Identifier: BSD-3-Clause
"""the hardened allocator Scudo of LLVM as an allocmark backend."""

# SPDX-License-Identifier: BSD-3-Clause
"""the memory pools of foonathan/memory as an allocmark backend."""

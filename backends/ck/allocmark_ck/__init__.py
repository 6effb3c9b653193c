# SPDX-License-Identifier: BSD-3-Clause
"""free lists of Concurrency Kit as an allocmark backend."""

# SPDX-License-Identifier: BSD-3-Clause
"""How big must a pool and its caches be? Counted while the actors take turns, so the same in every run."""

# SPDX-License-Identifier: BSD-3-Clause
"""How wrong is this instrument on this machine? One file per proof; each measures as `allocmark run` does."""

# SPDX-License-Identifier: BSD-3-Clause
"""The backends of a commit: checked out, built against the header of this allocmark, installed, and listed.

asv builds its commits with the same `build_backends`.
"""

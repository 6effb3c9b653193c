# SPDX-License-Identifier: BSD-3-Clause
"""Revisions of a repository: its backends at a commit, built against this harness and measured by it."""

# SPDX-License-Identifier: BSD-3-Clause
"""The command of docs/how-do-all-allocators-compare.md measures what the page says: `make bench-all` runs it."""

from __future__ import annotations

from proofs.all_allocators import documented


def test_the_documented_command_takes_a_malloc_workload_and_a_pool_workload(allocmark_command):
    done = allocmark_command(*documented(), "--dry-run")
    assert done.returncode == 0, done.stderr
    *cases, _ = done.stdout.splitlines()
    assert {case.split()[0] for case in cases} == {"mixed_sizes", "burst"}
    assert all("glibc:default" in case and "null:default" in case for case in cases)

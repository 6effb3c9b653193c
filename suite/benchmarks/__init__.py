# SPDX-License-Identifier: BSD-3-Clause
"""What asv tracks: workloads on the tracked backends, by default some cases of each, all of them as ``full.*``."""

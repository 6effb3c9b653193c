# SPDX-License-Identifier: BSD-3-Clause
"""From a workload to the tape that the engine runs."""

# SPDX-License-Identifier: BSD-3-Clause
"""What asv tracks: workloads on the tracked backends, by default some cases of each, all of them as ``full.*``."""

import sys
from pathlib import Path

# For `asv_environment`. Last, so that allocmark is the installed one.
sys.path.append(str(Path(__file__).parents[1]))

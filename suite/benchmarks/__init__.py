# SPDX-License-Identifier: BSD-3-Clause
"""What asv measures at every commit: by default some cases of each workload; ``full.*`` has all cases."""

import sys
from pathlib import Path

# For `asv_environment`. Last, so that allocmark is the installed one.
sys.path.append(str(Path(__file__).parents[1]))

# SPDX-License-Identifier: BSD-3-Clause
"""``python -m allocmark``."""

import sys

from allocmark.cli import main

sys.exit(main())

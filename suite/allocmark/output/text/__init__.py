# SPDX-License-Identifier: BSD-3-Clause
"""Reports: a run as tables, and runs compared. No single score: the reader knows what matters."""

# SPDX-License-Identifier: BSD-3-Clause
"""The runs of the report's tests."""

from report.conftest import simulate

__all__ = ["simulate"]

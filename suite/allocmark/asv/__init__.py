# SPDX-License-Identifier: BSD-3-Clause
"""The adapter to airspeed velocity."""

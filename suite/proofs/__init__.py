# SPDX-License-Identifier: BSD-3-Clause
"""Measures the suite itself. Each module is a command: ``PYTHONPATH=suite .venv/bin/python -m proofs.NAME``.

`harness`: what the engine and the commands cost (``make bench-harness``). `gate_power`: which slowdowns the gate finds
(``make gate-power``). `report_speed`, `site_speed`: how long a report and a site take.
"""

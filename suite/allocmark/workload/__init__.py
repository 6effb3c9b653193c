# SPDX-License-Identifier: BSD-3-Clause
"""From YAML to tapes: language/ reads a file, checks it and makes its cases; tape/ compiles a case for the engine."""

# SPDX-License-Identifier: BSD-3-Clause
"""What the suite itself costs, and what its gate finds: each module is a command, `python -m proofs.NAME`."""

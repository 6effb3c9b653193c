# SPDX-License-Identifier: BSD-3-Clause
"""How asv installs a commit here: the harness of this working tree, the backends of the commit. Works in a clone only.

Named in asv.conf.json; not part of the allocmark package, and not in `benchmarks`, all of which asv imports.
"""

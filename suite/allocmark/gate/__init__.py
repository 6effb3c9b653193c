# SPDX-License-Identifier: BSD-3-Clause
"""Did a commit make a backend slower? The gate measures two revisions in turns; bisect finds the commit.

`revisions` builds the backends of a commit, `pairs` lists the cells that both commits have, `rounds` measures them,
`gate` and `bisect` judge, `table` prints.
"""

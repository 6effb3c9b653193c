# SPDX-License-Identifier: BSD-3-Clause
"""tcmalloc of gperftools as an allocmark backend."""

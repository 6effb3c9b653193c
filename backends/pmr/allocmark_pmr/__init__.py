# SPDX-License-Identifier: BSD-3-Clause
"""the pool resources of the C++ standard library as an allocmark backend."""

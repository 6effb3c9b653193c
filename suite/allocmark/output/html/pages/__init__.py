# SPDX-License-Identifier: BSD-3-Clause
"""The pages, a module each: what its template in ``templates/`` shows."""

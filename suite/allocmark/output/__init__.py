# SPDX-License-Identifier: BSD-3-Clause
"""Everything that people read: text, HTML pages, exports."""

# SPDX-License-Identifier: BSD-3-Clause
"""TurboMem for allocmark: the backend is found through the entry point, see `allocmark_turbomem.plugin`."""

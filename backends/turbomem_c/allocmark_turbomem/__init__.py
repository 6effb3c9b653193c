# SPDX-License-Identifier: BSD-3-Clause
"""TurboMem for allocmark: the backend is found through the entry point, see `allocmark_turbomem.plugin`."""

from __future__ import annotations

from pathlib import Path


def dpdk_driver() -> Path | None:
    """TurboMem's mempool driver for DPDK; None where this package was built without DPDK."""
    driver = Path(__file__).with_name("librte_mempool_turbomem.so")
    return driver if driver.exists() else None

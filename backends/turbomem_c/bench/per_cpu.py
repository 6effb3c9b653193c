# SPDX-License-Identifier: BSD-3-Clause
"""What it costs to find a cache by the CPU or by the thread, beside having it at hand.

python backends/turbomem_c/bench/per_cpu.py [ROUNDS]
"""

from __future__ import annotations

import sys

from samples import collect, table

if __name__ == "__main__":
    found = collect("per_cpu", int(sys.argv[1]) if len(sys.argv) > 1 else 30)
    for case in dict.fromkeys(name.split("/")[1] for name in found):
        print(f"\n{case}")
        print(table({side: found[f"{side}/{case}"] for side in ("slots", "per_thread", "per_cpu")}, "per_thread",
                    "ns/object"))  # fmt: skip

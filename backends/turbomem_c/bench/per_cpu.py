# SPDX-License-Identifier: BSD-3-Clause
"""What it costs to find a cache by the CPU or by the thread, beside having it at hand.

python backends/turbomem_c/bench/per_cpu.py [ROUNDS]
"""

from __future__ import annotations

import sys

from samples import collect, table

if __name__ == "__main__":
    found = collect("per_cpu", int(sys.argv[1]) if len(sys.argv) > 1 else 30)
    cases = dict.fromkeys(name.split("/")[1] for name in found)
    for case in cases:
        print(f"\n{case}")
        sides = {side: found[f"{side}/{case}"] for side in ("slots", "per_thread", "per_cpu")}
        print(table(sides, "per_thread", "ns/object", 2 * len(cases)))

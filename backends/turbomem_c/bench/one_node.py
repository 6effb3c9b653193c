# SPDX-License-Identifier: BSD-3-Clause
"""What the NUMA policies cost where there is one node: an exchange beside a numa_exchange.

python backends/turbomem_c/bench/one_node.py [ROUNDS]
"""

from __future__ import annotations

import sys

from samples import collect, table

if __name__ == "__main__":
    found = collect("one_node", int(sys.argv[1]) if len(sys.argv) > 1 else 60)
    cases = sorted({name.split("/")[1] for name in found})
    for case in cases:
        print(f"\n{case}")
        print(table({side: found[f"{side}/{case}"] for side in ("plain", "numa")}, "plain", "ns/object", len(cases)))

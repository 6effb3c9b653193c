# SPDX-License-Identifier: BSD-3-Clause
"""One process for one variant: ``cell.py DRIVER REQUEST`` does what the request says and prints what it saw.

DPDK starts once per process, so every test has its own process. The request is JSON: ``handler``, ``pages``,
``spec`` (members of a pool specification) and ``do`` (a list of steps, by name of method).
"""

from __future__ import annotations

import itertools
import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

from allocmark_dpdk import plugin
from cffi import FFI

import allocmark
from allocmark.system.machine import huge_pages

DRIVER = """
int drive_churn(const allocmark_backend *, void *, uint32_t, uint32_t, uint32_t, uint32_t, const int32_t *, char *);
int drive_cross(const allocmark_backend *, void *, uint32_t, uint32_t, const int32_t *, char *);
uint64_t drive_exhaust(const allocmark_backend *, void *, void **, uint64_t, int *, char *);
double drive_time(const allocmark_backend *, void *, uint32_t, uint32_t, uint32_t, int32_t);
"""


def mapping_of(address: int) -> dict[str, int]:
    """What the kernel says of the mapping with an address: sizes in kB by name, from smaps."""
    found: dict[str, int] = {}
    inside = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if bounds := re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line):
            inside = int(bounds[1], 16) <= address < int(bounds[2], 16)
        elif inside and (size := re.match(r"(\w+): +(\d+) kB", line)):
            found[size[1]] = int(size[2])
    return found


class Cell:
    def __init__(self, driver: str, request: dict[str, Any]) -> None:
        self.ffi = FFI()
        self.ffi.cdef(allocmark.get_declarations() + DRIVER)
        self.driver = self.ffi.dlopen(driver)
        address = plugin._load()[0]
        assert address is not None
        self.table = self.ffi.cast("const allocmark_backend *", address)
        self.request = request
        self.cpus = sorted(os.sched_getaffinity(0))
        self.pool = self.ffi.NULL
        self.seen: dict[str, Any] = {}
        self.keep: list[Any] = []

    def error(self) -> Any:
        return self.ffi.new("allocmark_error *")

    def text(self, value: str) -> Any:
        self.keep.append(self.ffi.new("char[]", value.encode()))
        return self.keep[-1]

    def init(self) -> None:
        chosen = {key: self.request[key] for key in ("handler", "pages")} | self.request.get("options", {})
        if chosen["handler"] == "turbomem":
            chosen = {"driver": str(plugin._turbomem_driver())} | chosen
        pairs = [(self.text(key), self.text(value)) for key, value in chosen.items()]
        options = self.ffi.new("allocmark_option[]", pairs)
        cpus = self.ffi.new("uint32_t[]", self.cpus)
        spec = self.request["spec"]
        init = self.ffi.new("allocmark_init *")
        init.size = self.ffi.sizeof("allocmark_init")
        init.n_options, init.options = len(pairs), options
        init.n_cpus, init.cpus, init.max_threads = len(self.cpus), cpus, len(self.cpus)
        init.pool_bytes = self.request.get("pool_bytes", spec["objects"] * spec["object_size"])
        error = self.error()
        start = time.perf_counter()
        self.seen["init"] = self.table.init(init, error)
        self.seen["init_ms"] = 1e3 * (time.perf_counter() - start)
        self.seen["init_message"] = self.ffi.string(error.message).decode()
        self.seen["affinity_kept"] = sorted(os.sched_getaffinity(0)) == self.cpus

    def again(self) -> None:
        error = self.error()
        self.seen["again"] = self.table.init(self.ffi.new("allocmark_init *"), error)
        self.seen["again_message"] = self.ffi.string(error.message).decode()

    def create(self) -> None:
        spec = self.ffi.new("allocmark_pool_spec *", {"node": -1, "max_threads": len(self.cpus)})
        spec.size, spec.name = self.ffi.sizeof("allocmark_pool_spec"), self.text("mbuf")
        for member, value in self.request["spec"].items():
            setattr(spec, member, value)
        error, pool = self.error(), self.ffi.new("void **")
        start = time.perf_counter()
        self.seen["create"] = self.table.pool_create(spec, pool, error)
        self.seen["create_ms"] = 1e3 * (time.perf_counter() - start)
        self.seen["create_message"] = self.ffi.string(error.message).decode()
        self.seen["huge_while_mapped"] = huge_pages()["2048kB"]
        self.pool = pool[0]
        if self.pool != self.ffi.NULL:
            self.seen["regions"] = self.regions()
            self.seen["mapping"] = mapping_of(self.seen["regions"][0][0])

    def regions(self) -> list[tuple[int, int]]:
        room = self.ffi.new("allocmark_region[]", 4096)
        count = self.table.regions(self.pool, room, 4096)
        return [(room[i].address, room[i].length) for i in range(count)]

    def exhaust(self) -> None:
        capacity = self.request["spec"]["objects"] + 1024  # the handler bucket makes some more
        objects, refusals = self.ffi.new("void *[]", capacity), self.ffi.new("int[2]")
        message = self.error()
        taken = self.driver.drive_exhaust(self.table, self.pool, objects, capacity, refusals, message.message)
        addresses = [int(self.ffi.cast("uintptr_t", objects[i])) for i in range(taken)]
        addresses.sort()
        size = self.request["spec"]["object_size"]
        regions = self.regions()
        self.seen["exhaust"] = {
            "taken": taken,
            "refusals": list(refusals),
            "message": self.ffi.string(message.message).decode(),
            "apart": all(b - a >= size for a, b in itertools.pairwise(addresses)),
            "aligned": all(address % 64 == 0 for address in addresses),
            "inside": all(
                any(start <= address and address + size <= start + length for start, length in regions)
                for address in addresses
            ),
        }
        self.available()

    def churn(self) -> None:
        how = self.request.get("churn", {})
        threads = min(how.get("threads", 2), len(self.cpus)) if how.get("pinned", True) else how["threads"]
        cpus = self.ffi.new("int32_t[]", [self.cpus[i % len(self.cpus)] for i in range(threads)])
        message = self.error()
        failed = self.driver.drive_churn(
            *(self.table, self.pool, threads, how.get("rounds", 20000)),
            *(how.get("bulk", 8), how.get("hold", 40), cpus, message.message),
        )
        self.seen["churn"] = self.ffi.string(message.message).decode() if failed else "ok"
        self.available()

    def cross(self) -> None:
        cpus = self.ffi.new("int32_t[]", [self.cpus[0], self.cpus[-1]])
        message = self.error()
        failed = self.driver.drive_cross(self.table, self.pool, 5000, 8, cpus, message.message)
        self.seen["cross"] = self.ffi.string(message.message).decode() if failed else "ok"
        self.available()

    def measure(self) -> None:
        self.seen["ns"] = {
            f"keep {keep} bulk {bulk}": self.driver.drive_time(
                self.table, self.pool, keep, bulk, self.request.get("samples", 7), self.cpus[-1]
            )
            for keep in (128, 8192)
            for bulk in (1, 32)
        }

    def available(self) -> None:
        self.seen.setdefault("available", []).append(self.table.available(self.pool))

    def facts(self) -> None:
        for key, pool in (("process_facts", self.ffi.NULL), ("pool_facts", self.pool)):
            found: dict[str, str] = {}

            @self.ffi.callback("allocmark_fact_fn")
            def emit(_context: Any, name: Any, value: Any, found: dict[str, str] = found) -> None:
                found[self.ffi.string(name).decode()] = self.ffi.string(value).decode()

            self.table.facts(pool, emit, self.ffi.NULL)
            self.seen[key] = found

    def die(self) -> None:
        os.kill(os.getpid(), 9)

    def destroy(self) -> None:
        self.table.pool_destroy(self.pool)

    def fini(self) -> None:
        self.table.fini()
        self.seen["huge_at_end"] = huge_pages()["2048kB"]


def main() -> None:
    cell = Cell(sys.argv[1], json.loads(sys.argv[2]))
    cell.seen["huge_at_start"] = huge_pages()["2048kB"]
    for step in cell.request["do"]:
        getattr(cell, step)()
        if cell.seen.get(step, 0) not in (0, "ok") and step in ("init", "create"):
            break
    print(json.dumps(cell.seen))


main()

# SPDX-License-Identifier: BSD-3-Clause
"""One process for one variant: ``cell.py REQUEST`` does what the request says and prints what it saw.

DPDK starts once per process, so every test has its own process. The request is JSON: ``handler``, ``pages``,
``spec`` (members of a pool specification) and ``do`` (a list of steps, by name of method).
"""

from __future__ import annotations

import itertools
import json
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

from allocmark_dpdk import plugin
from allocmark_dpdk.release import releases
from cffi import FFI

import allocmark
from allocmark.system.machine import huge_pages
from allocmark.system.mappings import backing


class Cell:
    def __init__(self, request: dict[str, Any]) -> None:
        self.ffi = FFI()
        self.ffi.cdef(allocmark.get_declarations())
        self.table = self.ffi.cast(
            "const allocmark_backend *", releases()[0].load_table(request.get("table", "mempool"))
        )
        self.request = request
        self.cpus = sorted(os.sched_getaffinity(0))
        self.pool = self.ffi.NULL
        self.seen: dict[str, Any] = {}
        self.keep: list[Any] = []

    def attempt(self, name: str, function: Callable[..., int], *arguments: Any) -> None:
        """Calls what may be refused, and keeps its result and its message."""
        error = self.ffi.new("allocmark_error *")
        self.seen[name] = function(*arguments, error)
        self.seen[f"{name}_message"] = self.ffi.string(error.message).decode()

    def text(self, value: str) -> Any:
        self.keep.append(self.ffi.new("char[]", value.encode()))
        return self.keep[-1]

    def init(self) -> None:
        chosen = {key: self.request[key] for key in ("handler", "pages")} | self.request.get("options", {})
        if chosen["handler"] == "turbomem":
            chosen = {"driver": str(plugin._turbomem_driver())} | chosen
        if table := self.request.get("table"):
            chosen |= {"handler": "ring_mp_mc", "objects": table}
        pairs = [(self.text(key), self.text(value)) for key, value in chosen.items()]
        options = self.ffi.new("allocmark_option[]", pairs)
        cpus = self.ffi.new("uint32_t[]", self.cpus)
        spec = self.request["spec"]
        init = self.ffi.new("allocmark_init *")
        init.size = self.ffi.sizeof("allocmark_init")
        init.n_options, init.options = len(pairs), options
        init.n_cpus, init.cpus, init.max_threads = len(self.cpus), cpus, len(self.cpus)
        init.pool_bytes = self.request.get("pool_bytes", spec["objects"] * spec["object_size"])
        self.attempt("init", self.table.init, init)
        self.seen["affinity_kept"] = sorted(os.sched_getaffinity(0)) == self.cpus

    def again(self) -> None:
        self.attempt("again", self.table.init, self.ffi.new("allocmark_init *"))

    def create(self) -> None:
        spec = self.ffi.new("allocmark_pool_spec *", {"node": -1, "max_threads": len(self.cpus)})
        spec.size, spec.name = self.ffi.sizeof("allocmark_pool_spec"), self.text("mbuf")
        for member, value in self.request["spec"].items():
            setattr(spec, member, value)
        pool = self.ffi.new("void **")
        self.attempt("create", self.table.pool_create, spec, pool)
        self.seen["huge_while_mapped"] = huge_pages()["2048kB"]
        self.pool = pool[0]
        if self.pool != self.ffi.NULL and self.table.regions != self.ffi.NULL:
            regions = self.regions()
            self.seen["bytes"] = sum(end - start for start, end in regions)
            self.seen["backing"] = asdict(backing(os.getpid(), regions))

    def regions(self) -> list[tuple[int, int]]:
        """First address, and the one after the last."""
        room = self.ffi.new("allocmark_region[]", 4096)
        count = self.table.regions(self.pool, room, 4096)
        return [(room[i].address, room[i].address + room[i].length) for i in range(count)]

    def in_threads(self, n: int, work: Callable[[Any], None]) -> None:
        """Each enters the pool, works with its handle, and leaves."""

        def enter(slot: int) -> None:
            thread = self.ffi.new("allocmark_thread *", (self.ffi.sizeof("allocmark_thread"), slot, -1, -1))
            error, local = self.ffi.new("allocmark_error *"), self.ffi.new("void **")
            assert self.table.thread_enter(self.pool, thread, local, error) == 0, self.ffi.string(error.message)
            work(local[0])
            self.table.thread_leave(self.pool, local[0])

        with ThreadPoolExecutor(n) as threads:
            list(threads.map(enter, range(n)))

    def exhaust(self) -> None:
        """Single objects until there are none; and with one left, a bulk of two is refused and the one stays."""
        objects: list[Any] = []
        refused = []

        def get(local: Any, n: int) -> bool:
            found = self.ffi.new("void *[]", n)
            if code := self.table.get_bulk(self.pool, local, found, n):
                refused.append(code)
            else:
                objects.extend(found)
            return code == 0

        def put(local: Any) -> None:
            self.table.put_bulk(self.pool, local, self.ffi.new("void *[]", [objects.pop()]), 1)

        def work(local: Any) -> None:
            most = self.request["spec"]["objects"] + 1024  # the handler bucket makes some more
            while len(objects) < most and get(local, 1):
                pass
            self.addresses = sorted(int(self.ffi.cast("uintptr_t", each)) for each in objects)
            put(local)
            get(local, 2)
            self.seen["the last one stayed"] = get(local, 1)
            while objects:
                put(local)

        self.in_threads(1, work)
        size, regions = self.request["spec"]["object_size"], self.regions()
        self.seen["exhaust"] = {
            "taken": len(self.addresses),
            "refusals": refused,
            "apart": all(b - a >= size for a, b in itertools.pairwise(self.addresses)),
            "aligned": all(address % 64 == 0 for address in self.addresses),
            "inside": all(any(a <= each and each + size <= b for a, b in regions) for each in self.addresses),
        }
        self.available()

    def count_trips(self) -> None:
        """Six gets of 32 objects, and six puts: trips so far and objects in the cache, after each."""

        def work(local: Any) -> None:
            assert self.table.trips(self.pool) == 0
            told = self.seen["trips"] = []
            bulks = [self.ffi.new("void *[32]") for _ in range(6)]
            for bulk in bulks:
                assert self.table.get_bulk(self.pool, local, bulk, 32) == 0
                told.append((self.table.trips(self.pool), self.table.cached(self.pool, local)))
            for bulk in bulks:
                self.table.put_bulk(self.pool, local, bulk, 32)
                told.append((self.table.trips(self.pool), self.table.cached(self.pool, local)))

        self.in_threads(1, work)

    def any_size(self) -> None:
        """Objects of many sizes, in two threads: each is written to its end, and keeps what was written."""
        functions, sizes = self.table.any_size(), self.request["sizes"]
        kept = self.seen["kept"] = []

        def work(_: Any) -> None:
            objects = [(functions.malloc(size), bytes([size % 251]) * size) for size in sizes]
            for address, content in objects:
                self.ffi.memmove(address, content, len(content))
            kept.extend(bytes(self.ffi.buffer(address, len(content))) == content for address, content in objects)
            for address, _content in objects:
                functions.free(address)

        self.in_threads(2, work)

    def come_and_go(self) -> None:
        """An object each, in two threads, 100 times."""

        def work(local: Any) -> None:
            held = self.ffi.new("void *[1]")
            assert self.table.get_bulk(self.pool, local, held, 1) == 0
            self.table.put_bulk(self.pool, local, held, 1)

        for _ in range(100):
            self.in_threads(2, work)

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


def main() -> None:
    cell = Cell(json.loads(sys.argv[1]))
    cell.seen["huge_at_start"] = huge_pages()["2048kB"]
    for step in cell.request["do"]:
        getattr(cell, step)()
        if cell.seen.get(step) and step in ("init", "create"):  # refused
            break
    print(json.dumps(cell.seen))


main()

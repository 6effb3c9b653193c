# SPDX-License-Identifier: BSD-3-Clause
"""The table as the engine sees it: cffi reads the real header, Python calls the real functions."""

import pytest
from allocmark_glibc._native import ffi as native_ffi
from allocmark_glibc._native import lib
from cffi import FFI

import allocmark


class Table:
    """The functions of the glibc table, with the errors turned into exceptions."""

    def __init__(self) -> None:
        self.ffi = FFI()
        self.ffi.cdef(allocmark.get_declarations())
        address = int(native_ffi.cast("uintptr_t", lib.allocmark_glibc_table()))
        self.c = self.ffi.cast("const allocmark_backend *", address)
        self.error = self.ffi.new("allocmark_error *")
        self.checked(self.c.init(self.ffi.new("allocmark_init *"), self.error))

    def checked(self, code):
        if code:
            raise OSError(-code, self.ffi.string(self.error.message).decode())

    def create(self, object_size, alignment=0):
        name = self.ffi.new("char[]", b"mbuf")
        spec = self.ffi.new(
            "allocmark_pool_spec *",
            {"name": name, "object_size": object_size, "alignment": alignment, "node": -1},
        )
        spec.size = self.ffi.sizeof("allocmark_pool_spec")
        pool = self.ffi.new("void **")
        self.checked(self.c.pool_create(spec, pool, self.error))
        return pool[0]

    def enter(self, pool, slot=0):
        thread = self.ffi.new("allocmark_thread *", {"slot": slot, "cpu": -1, "node": -1})
        thread.size = self.ffi.sizeof("allocmark_thread")
        local = self.ffi.new("void **")
        self.checked(self.c.thread_enter(pool, thread, local, self.error))
        return local[0]

    def get(self, pool, local, n):
        """n objects as an array of pointers, or a negative errno value."""
        objects = self.ffi.new("void *[]", n)
        code = self.c.get_bulk(pool, local, objects, n)
        return objects if code == 0 else code

    def put(self, pool, local, objects):
        self.c.put_bulk(pool, local, objects, len(objects))

    def addresses(self, objects):
        return [int(self.ffi.cast("uintptr_t", each)) for each in objects]

    def facts(self, pool=None):
        found = {}

        @self.ffi.callback("allocmark_fact_fn")
        def emit(_context, key, value):
            found[self.ffi.string(key).decode()] = self.ffi.string(value).decode()

        self.c.facts(self.ffi.NULL if pool is None else pool, emit, self.ffi.NULL)
        return found


@pytest.fixture(scope="session")
def table():
    return Table()

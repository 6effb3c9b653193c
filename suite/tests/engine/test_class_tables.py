# SPDX-License-Identifier: BSD-3-Clause
"""Tables made from C++ classes by allocmark/backend.hpp, called as the engine calls them."""

from __future__ import annotations

import errno
import importlib.util
import os
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from cffi import FFI

import allocmark
from allocmark.engine import table_problem

NATIVE = Path(__file__).parent / "native"
CXX = os.environ.get("CXX", "g++")
STRICT = ["-std=c++20", "-Wall", "-Wextra", "-Werror"]
KINDS = ("full", "threads", "resource", "plain", "any_size")

pytestmark = pytest.mark.skipif(shutil.which(CXX) is None, reason=f"{CXX} is not installed: apt install g++")


class ClassTable:
    """The functions of one table; an error is raised with its text."""

    def __init__(self, address: int) -> None:
        self.ffi = FFI()
        self.ffi.cdef(allocmark.get_declarations())
        self.c = self.ffi.cast("const allocmark_backend *", address)
        self.error = self.ffi.new("allocmark_error *")

    def checked(self, code: int) -> None:
        if code:
            raise OSError(-code, self.ffi.string(self.error.message).decode())

    def start(self, value: str = "") -> None:
        text = self.ffi.new("char[]", value.encode())
        option = self.ffi.new("allocmark_option *", {"key": text, "value": text})
        self.checked(self.c.init(self.ffi.new("allocmark_init *", {"n_options": 1, "options": option}), self.error))

    def pool(self, **spec: int) -> Any:
        name = self.ffi.new("char[]", b"mbuf")
        made = self.ffi.new("void **")
        wanted = {"object_size": 64, "objects": 4, "name": name, **spec}
        self.checked(self.c.pool_create(self.ffi.new("allocmark_pool_spec *", wanted), made, self.error))
        return made[0]

    def enter(self, pool: Any, slot: int = 0) -> Any:
        local = self.ffi.new("void **")
        thread = self.ffi.new("allocmark_thread *", {"slot": slot})
        self.checked(self.c.thread_enter(pool, thread, local, self.error))
        return local[0]

    def get(self, pool: Any, local: Any, n: int) -> Any:
        """An array of n objects, or the error's number."""
        objects = self.ffi.new("void *[]", n)
        return self.c.get_bulk(pool, local, objects, n) or objects

    def put(self, pool: Any, local: Any, objects: Any) -> None:
        self.c.put_bulk(pool, local, objects, len(objects))


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ClassTable]:
    """By kind. One set of flags does for the sources and for what cffi generates."""
    folder = tmp_path_factory.mktemp("classes")
    functions = "".join(f"const void *allocmark_{kind}_table(void);\n" for kind in KINDS)
    builder = allocmark.cffi_module("class_tables", functions, [str(NATIVE / "classes.cpp")], extra_compile_args=STRICT)
    path = builder.compile(tmpdir=str(folder))
    spec = importlib.util.spec_from_file_location("class_tables", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = {
        kind: int(module.ffi.cast("uintptr_t", getattr(module.lib, f"allocmark_{kind}_table")())) for kind in KINDS
    }
    assert [table_problem(address) for address in found.values()] == [None] * len(KINDS)
    return {kind: ClassTable(address) for kind, address in found.items()}


def test_a_pool_of_single_objects_gives_all_or_nothing(tables):
    table = tables["full"]
    pool = table.pool()
    objects = table.get(pool, table.ffi.NULL, 3)
    assert len({int(table.ffi.cast("uintptr_t", each)) for each in objects}) == 3
    assert table.get(pool, table.ffi.NULL, 2) == -errno.ENOENT
    assert table.c.available(pool) == 1
    table.put(pool, table.ffi.NULL, objects)
    assert table.c.available(pool) == 4
    region = table.ffi.new("allocmark_region[2]")
    assert table.c.regions(pool, table.ffi.NULL, 0) == table.c.regions(pool, region, 2) == 1
    assert region[0].length == 256
    table.c.pool_destroy(pool)


def test_options_facts_and_the_end_reach_the_class(tables):
    table = tables["full"]
    found = {}

    @table.ffi.callback("allocmark_fact_fn")
    def emit(_context, key, value):
        found[table.ffi.string(key).decode()] = table.ffi.string(value).decode()

    table.start("fast")
    pool = table.pool()
    table.c.facts(pool, emit, table.ffi.NULL)
    table.c.facts(table.ffi.NULL, emit, table.ffi.NULL)  # of the process: a class has none
    assert found == {"free": "4", "option": "fast"}
    table.c.fini()
    table.c.facts(pool, emit, table.ffi.NULL)
    assert found["option"] == "ended"
    table.c.pool_destroy(pool)


@pytest.mark.parametrize(
    ("kind", "call", "code", "text"),
    [
        ("full", lambda t: t.start("broken"), errno.EINVAL, "the licence has run out"),
        ("full", lambda t: t.pool(object_size=65), errno.EINVAL, "pool 'mbuf': objects have 64 bytes, no more"),
        ("full", lambda t: t.pool(objects=5), errno.ENOMEM, "pool 'mbuf': out of memory"),
        ("threads", lambda t: t.enter(t.pool(), 7), errno.EINVAL, "no seventh thread"),
        (
            "plain",
            lambda t: t.pool(alignment=64),
            errno.EINVAL,
            "alignment is 64; this allocator gives 16",
        ),
    ],
)
def test_an_exception_is_an_error_with_its_text(tables, kind, call, code, text):
    with pytest.raises(OSError, match=re.escape(text)) as raised:
        call(tables[kind])
    assert raised.value.errno == code


def test_what_a_thread_enters_with_serves_its_calls(tables):
    table = tables["threads"]
    pool = table.pool()
    local, other = table.enter(pool), table.enter(pool, 1)
    objects = table.get(pool, local, 2)
    assert table.get(pool, other, 1)[0] != objects[0]
    assert table.get(pool, local, 3) == -errno.ENOENT
    table.put(pool, local, objects)
    assert table.c.available(pool) == 0
    table.c.thread_leave(pool, local)
    assert table.c.available(pool) == 2
    table.c.thread_leave(pool, other)
    table.c.pool_destroy(pool)


def test_all_come_back_at_once_to_the_pool_or_to_the_thread(tables):
    table = tables["full"]
    pool = table.pool()
    table.get(pool, table.ffi.NULL, 3)
    table.c.put_all(pool, table.ffi.NULL)
    assert table.c.available(pool) == 4
    table.c.pool_destroy(pool)

    table = tables["threads"]
    pool = table.pool()
    local, other = table.enter(pool), table.enter(pool, 1)
    table.c.put_all(pool, other)
    table.c.thread_leave(pool, local)
    assert table.c.available(pool) == 0
    table.c.thread_leave(pool, other)
    assert table.c.available(pool) == 1000
    table.c.pool_destroy(pool)


def test_an_allocator_that_throws_gives_back_what_it_gave(tables):
    table = tables["resource"]
    pool = table.pool(alignment=4096)
    objects = table.get(pool, table.ffi.NULL, 3)
    assert [int(table.ffi.cast("uintptr_t", each)) % 4096 for each in objects] == [0, 0, 0]
    table.put(pool, table.ffi.NULL, objects)
    assert table.get(pool, table.ffi.NULL, 4) == -errno.ENOMEM
    assert table.c.available(pool) == 1  # the call that failed; the three before it were taken back
    table.c.pool_destroy(pool)


def test_an_allocator_may_know_no_alignment(tables):
    table = tables["plain"]
    pool = table.pool(object_size=100)
    table.put(pool, table.ffi.NULL, table.get(pool, table.ffi.NULL, 8))
    assert all(
        getattr(table.c, name) == table.ffi.NULL for name in ("put_all", "available", "regions", "facts", "fini")
    )
    table.c.pool_destroy(pool)


def test_an_allocator_that_takes_back_without_sizes_gives_objects_of_any(tables):
    table = tables["any_size"]
    pool = table.pool(object_size=100)
    objects = table.ffi.new("void *[]", 3)
    for zeroed, byte in ((0, 0xA5), (1, 0)):
        assert table.c.get_sized(pool, table.ffi.NULL, objects, 3, 40, zeroed) == 0
        assert table.c.available(pool) == 40
        assert all(bytes(table.ffi.buffer(each, 40)) == bytes([byte]) * 40 for each in objects)
        table.put(pool, table.ffi.NULL, objects)
    table.put(pool, table.ffi.NULL, table.get(pool, table.ffi.NULL, 1))
    assert table.c.available(pool) == 100
    assert all(tables[kind].c.get_sized == table.ffi.NULL for kind in ("full", "threads", "resource", "plain"))


def test_what_does_not_fit_is_an_error_that_says_what_is_expected():
    command = [CXX, *STRICT, "-fsyntax-only", f"-I{allocmark.get_include()}", str(NATIVE / "misfits.cpp")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = Counter(re.findall(r"static assertion failed: allocmark: (.*)", done.stderr))
    expected = {
        "the class needs `void *get()`": 1,
        "a class with get needs `void put(void *object)`": 2,
        "a class with allocate needs `void deallocate(void *object)`": 1,
        "the class needs a constructor from `const allocmark_pool_spec &`": 1,
        "a class with `L *enter(const allocmark_thread &)` needs `void leave(L *)`": 1,
        "enter must be `L *enter(const allocmark_thread &)`": 1,
        "put_all must be `void put_all()`": 1,
        "available must be `std::uint64_t available() const`": 1,
        "regions must return a range of allocmark_region": 1,
        "facts must be `void facts(const allocmark::Emit &emit) const`": 1,
        "init must be `static void init(const allocmark_init &init)`": 1,
    }
    for text, times in expected.items():
        assert sum(n for found, n in said.items() if found.startswith(text)) == times, (text, done.stderr[:4000])
    assert sum(said.values()) == sum(expected.values())

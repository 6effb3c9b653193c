# SPDX-License-Identifier: BSD-3-Clause
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from allocmark_turbomem import plugin
from cffi import FFI
from native_programs import BUILDS, CXX, Build

import allocmark


def quick_and_thorough(*names: str) -> list[Any]:
    """Builds, as a fixture takes them: quick, and for `make test-long` thorough."""
    marks = [pytest.mark.long]
    return [*names, *(pytest.param(f"{name} thorough", marks=marks, id=f"{name}-{CXX}") for name in names)]


def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Build:
    name, _, thorough = request.param.partition(" ")
    return (Build.thorough if thorough else Build.of)(name, tmp_path_factory.mktemp(name))


@pytest.fixture(scope="module", params=quick_and_thorough(*BUILDS))
def build(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Build:
    return made(request, tmp_path_factory)


@pytest.fixture(scope="module", params=quick_and_thorough("plain", "address"))
def build_of_one_thread(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Build:
    """For a program that starts no thread: ThreadSanitizer has nothing to find in it."""
    return made(request, tmp_path_factory)


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Build:
    return Build.of("plain", tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="session")
def ffi() -> FFI:
    """The ABI as its header declares it."""
    ffi = FFI()
    ffi.cdef(allocmark.get_declarations())
    return ffi


class Table:
    """The native table of a variant, driven as the engine does."""

    def __init__(self, ffi: FFI, variant: str = "base") -> None:
        (backend,) = (b for b in plugin.allocmark_backends() if b.variant == variant)
        self.ffi = ffi
        self.native = ffi.cast("allocmark_backend *", backend.table)
        self.error = ffi.new("allocmark_error *")

    def message(self) -> str:
        return self.ffi.string(self.error.message).decode()

    def init(self, **options: str) -> int:
        strings = [self.ffi.new("char[]", s.encode()) for pair in options.items() for s in pair]
        pairs = self.ffi.new("allocmark_option[]", list(zip(strings[::2], strings[1::2], strict=True)))
        init = self.ffi.new("allocmark_init *")
        init.size = self.ffi.sizeof("allocmark_init")
        init.n_options, init.options = len(options), pairs
        return self.native.init(init, self.error)

    def spec(self, **changes: int) -> Any:
        spec = self.ffi.new("allocmark_pool_spec *")
        spec.size = self.ffi.sizeof("allocmark_pool_spec")
        spec.name = self.ffi.NULL
        wanted = {"object_size": 2176, "objects": 4000, "cache": 256, "working_set": 1000, "node": -1,
                  "max_threads": 2} | changes  # fmt: skip
        for key, value in wanted.items():
            setattr(spec, key, value)
        return spec

    def pool(self, **changes: int) -> Any:
        out = self.ffi.new("void **")
        assert self.native.pool_create(self.spec(**changes), out, self.error) == 0, self.message()
        return out[0]

    def enter(self, pool: Any, slot: int) -> Any:
        thread = self.ffi.new("allocmark_thread *", (self.ffi.sizeof("allocmark_thread"), slot, -1, -1))
        local = self.ffi.new("void **")
        assert self.native.thread_enter(pool, thread, local, self.error) == 0, self.message()
        return local[0]

    def facts(self, pool: Any) -> dict[str, str]:
        found = {}

        @self.ffi.callback("void(void *, const char *, const char *)")
        def emit(_context: Any, key: Any, value: Any) -> None:
            found[self.ffi.string(key).decode()] = self.ffi.string(value).decode()

        self.native.facts(pool, emit, self.ffi.NULL)
        return found


@pytest.fixture
def table(ffi: FFI) -> Iterator[Table]:
    table = Table(ffi)
    yield table
    table.native.fini()

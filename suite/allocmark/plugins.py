# SPDX-License-Identifier: BSD-3-Clause
"""Finds plugins, checks what they hand over, and leaves out those that are broken, so that they cost no other."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial, reduce
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from allocmark import __version__
from allocmark.backend import Backend
from allocmark.malloc_library import GivenLibrary
from allocmark.probes import Probe
from allocmark.system.loading import TLS_REMEDY

if TYPE_CHECKING:
    import pluggy

_T = TypeVar("_T")

_LARGEST_TABLE = 1 << 16  # bytes
_MOST = 10_000  # things that a hook may return


class Entry(NamedTuple):
    """Where a plugin is: the name and the value of its entry point, "MODULE" or "MODULE:OBJECT", and who brings it.

    importlib.metadata has one of its own, which would take the process of each cell 20 to 30 ms to import.
    """

    plugin: str
    target: str
    distribution: str

    def load(self) -> Any:
        """Imports it."""
        without_extras = "".join(self.target.partition("[")[0].split())
        module, _, path = without_extras.partition(":")
        return reduce(getattr, filter(None, path.split(".")), import_module(module))


BUILTIN = Entry("allocmark", "allocmark.builtin", f"allocmark {__version__}")  #: the host's own plugin


@dataclass(frozen=True)
class Registered:
    """A backend variant, and which plugin brought it. ``prefix`` is the folder that the plugin is in; "": the Python
    environment. ``given``: it is a library that was named by its path, and no plugin brought it."""

    backend: Backend
    entry: Entry
    prefix: str = ""
    given: GivenLibrary | None = None

    @property
    def plugin(self) -> str:
        """The plugin's name."""
        return self.entry.plugin

    @property
    def distribution(self) -> str:
        """The plugin's distribution, "NAME VERSION"."""
        return self.entry.distribution


@dataclass(frozen=True)
class BrokenPlugin:
    """A plugin of which nothing is used, and why."""

    plugin: str
    distribution: str
    cause: str


@dataclass
class Host:
    """Everything that plugins brought, the host's own plugin first."""

    backends: list[Registered] = field(default_factory=list)
    probes: list[tuple[Probe, Entry]] = field(default_factory=list)
    workload_dirs: list[Path] = field(default_factory=list)
    broken: list[BrokenPlugin] = field(default_factory=list)

    def __add__(self, other: Host) -> Host:
        """What both have."""
        return Host(*(mine + others for mine, others in zip(vars(self).values(), vars(other).values(), strict=True)))


class _RefusedError(Exception):
    """Why a plugin cannot be used, in words for a person."""


Find = Callable[[], Host]  #: imports a plugin, and says what it alone brings


def here(_: Entry, find: Find) -> Host:
    """Finds it in this process, and puts nothing around it."""
    return find()


def load_entries(entries: Iterable[Entry], prefix: str = "", *, around: Callable[[Entry, Find], Host] = here) -> Host:
    """Load the host's own plugin and these into this process.

    Only the process of a cell, and those that `allocmark.asking` starts, do this: a plugin is foreign code.
    ``around`` is given what imports a plugin, which it calls. ``prefix``, the folder that they are in, comes first on
    this process's path.

    A broken plugin raises nothing. If it cannot be imported, implements an unknown hook, or has a hook that fails or
    returns what cannot be used, then nothing of it is used and it is listed in ``broken``.
    """
    if prefix:
        sys.path.insert(0, prefix)
    host = _ask(Host(), BUILTIN)
    used: set[str] = set()
    for entry in entries:
        if entry.plugin in used:
            cause = f"registers the plugin name {entry.plugin!r} a second time"
            host.broken.append(BrokenPlugin(entry.plugin, entry.distribution, cause))
            continue
        found = around(entry, partial(_ask, host, entry))
        if not found.broken:
            used.add(entry.plugin)
        host = host + found
    host.backends = [replace(registered, prefix=prefix) for registered in host.backends]
    return host


def _ask(host: Host, entry: Entry) -> Host:
    """What one plugin brings, beside those that ``host`` has."""
    try:
        plugin = _guarded("failed to import", entry.load)
        hooks = _registered(entry.plugin, plugin)
        backends = _backends(_call(hooks.allocmark_backends), host.backends)
        dirs = _all_of(Path, _call(hooks.allocmark_workload_dirs), "allocmark_workload_dirs")
        for folder in dirs:
            if problem := _folder_problem(folder):
                raise _RefusedError(f"its hook allocmark_workload_dirs returned {str(folder)!a:.80}: {problem}")
        probes = _all_of(Probe, _call(hooks.allocmark_probes), "allocmark_probes")
        for probe in probes:
            if problems := probe.problems():
                raise _RefusedError(f"hands over a malformed probe {probe.name!r:.40}: {problems[0]}")
        _refuse_unmarked(plugin)
        if not (backends or dirs or probes or any(hook.get_hookimpls() for hook in vars(hooks).values())):
            raise _RefusedError(
                "has no hooks: give its functions allocmark_backends, allocmark_workload_dirs or allocmark_probes, "
                "marked with @allocmark.hookimpl"
            )
        if any(backend.floor for backend in backends) and any(each.backend.floor for each in host.backends):
            raise _RefusedError("declares a floor, and allocmark has its own: leave out floor=True")
        taken = {probe.name for probe, _ in host.probes} & {probe.name for probe in probes}
        if taken:
            raise _RefusedError(f"registers the probe name {min(taken)!r} a second time")
    except _RefusedError as refusal:
        return Host(broken=[BrokenPlugin(entry.plugin, entry.distribution, str(refusal))])
    return Host(
        backends=[Registered(backend, entry) for backend in backends],
        probes=[(probe, entry) for probe in probes],
        workload_dirs=dirs,
    )


def _refuse_unmarked(plugin: Any) -> None:
    """A function that is named as a hook and not marked as one would be passed over in silence."""
    from allocmark import hookspecs

    for name in vars(hookspecs):
        found = getattr(plugin, name, None) if name.startswith(f"{hookspecs.PROJECT}_") else None
        if callable(found) and not hasattr(found, f"{hookspecs.PROJECT}_impl"):
            raise _RefusedError(f"its function {name} is not marked as a hook: write @allocmark.hookimpl above it")


def _guarded(failure: str, call: Callable[[], _T]) -> _T:
    """The result of a plugin's code; whatever it raises is why the plugin cannot be used."""
    try:
        return call()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a plugin may even call sys.exit
        raise _RefusedError(f"{failure}: {brief(error)}") from error


def _registered(name: str, plugin: Any) -> pluggy.HookRelay:
    """The hooks of a plugin: each has a manager of its own."""
    import pluggy  # here, as the process that plans asks no plugin

    from allocmark import hookspecs

    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    try:
        manager.register(plugin, name)
    except (ValueError, pluggy.PluginValidationError) as error:
        raise _RefusedError(f"does not fit a hook: {brief(error)}") from error
    try:
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        known = ", ".join(sorted(n for n in vars(hookspecs) if n.startswith("allocmark_")))
        raise _RefusedError(f"implements an unknown hook ({brief(error)}); the hooks are {known}") from error
    return manager.hook


def _call(hook: pluggy.HookCaller) -> list[Any]:
    """What the plugin's own function for the hook returned."""
    items = _guarded(
        f"its hook {hook.name} failed", lambda: list(islice((item for result in hook() for item in result), _MOST + 1))
    )
    if len(items) > _MOST:
        raise _RefusedError(f"its hook {hook.name} returned more than {_MOST:,} things: does it end?")
    return items


def _all_of(kind: type[_T], items: list[Any], hook: str) -> list[_T]:
    for item in items:
        if not isinstance(item, kind):
            raise _RefusedError(f"its hook {hook} returned a {type(item).__name__}, not a {kind.__name__}")
    return items


def _folder_problem(folder: Path) -> str | None:
    try:
        os.listdir(folder)
    except OSError as error:
        return error.strerror
    except ValueError as error:  # no path at all
        return str(error)
    return None


def _backends(items: list[Any], registered: Sequence[Registered]) -> list[Backend]:
    backends = _all_of(Backend, items, "allocmark_backends")
    owners = {r.backend.name: r.plugin for r in registered}
    seen = set()
    for backend in backends:
        problems = backend.problems()
        if not problems and backend.table is not None:
            problems = table_problems(backend.table)
        if problems:
            label = f"{backend.name!s:.40}:{backend.variant!s:.40}"
            raise _RefusedError(f"hands over a malformed backend {label}: {problems[0]}")

        if backend.name in owners:
            raise _RefusedError(
                f"registers the backend name {backend.name!r}, which plugin {owners[backend.name]!r} has"
            )
        if backend.label in seen:
            raise _RefusedError(f"registers {backend.label} twice")
        seen.add(backend.label)
    return backends


def table_problems(address: int) -> list[str]:
    """What is wrong with what should be an ``allocmark_backend``."""
    from allocmark.engine import table_problem

    # What cannot be read must not take this process down: the kernel is asked first. A table begins with two numbers
    # of 32 bits, its ABI and its size.
    memory = os.open("/proc/self/mem", os.O_RDONLY)
    try:
        size = int.from_bytes(os.pread(memory, 8, address)[4:], sys.byteorder)
        readable = len(os.pread(memory, min(size, _LARGEST_TABLE), address))
    except (OSError, OverflowError):
        return [f"table {address:#x} is not an address that can be read"]
    finally:
        os.close(memory)
    if readable < min(size, _LARGEST_TABLE):
        return [f"table {address:#x} says a size of {size} bytes, and {readable} of them can be read"]
    problem = table_problem(address)
    return [problem] if problem else []


def brief(error: BaseException) -> str:
    """An error in one line."""
    try:
        text = " ".join(str(error).split())
    except BaseException:  # a plugin's own exception may fail again
        text = ""
    if "static TLS" in text:
        text += f": {TLS_REMEDY}"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__

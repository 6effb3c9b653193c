# SPDX-License-Identifier: BSD-3-Clause
"""Finds plugins, checks what they hand over, and leaves out those that are broken, so that they cost no other."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import EntryPoint, distributions, entry_points
from pathlib import Path
from typing import Any, TypeVar

import pluggy

from allocmark import __version__, builtin, hookspecs
from allocmark.backend import Backend
from allocmark.malloc_library import GivenLibrary
from allocmark.probes import Probe
from allocmark.system.loading import TLS_REMEDY

_T = TypeVar("_T")

GROUP = "allocmark"  #: the entry-point group
_LARGEST_TABLE = 1 << 16  # bytes
BUILTIN = "allocmark"  #: the name under which the host's own plugin is registered


@dataclass(frozen=True)
class Registered:
    """A backend variant, and who brought it. ``prefix`` is the folder its plugin is in; "": the Python environment.
    ``given``: it is a library that was named by its path, and no plugin brought it."""

    backend: Backend
    plugin: str
    distribution: str
    prefix: str = ""
    given: GivenLibrary | None = None


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
    probes: list[tuple[Probe, str]] = field(default_factory=list)
    workload_dirs: list[Path] = field(default_factory=list)
    broken: list[BrokenPlugin] = field(default_factory=list)


class _RefusedError(Exception):
    """Why a plugin cannot be used, in words for a person."""


def load(
    only: Iterable[str] | None = None,
    prefix: str = "",
    *,
    skipped: Collection[int] = (),
    begin: Callable[[int, str, str], None] = lambda index, plugin, distribution: None,
) -> Host:
    """Load the host's own plugin and every installed one, or those named in ``only``, into this process.

    Only the process of a cell and the one that `allocmark.discovery` asks do this: a plugin is foreign code. ``begin``
    is told of each before it is imported: its index, its name and its distribution; those in ``skipped`` are left out.

    With ``prefix``, a folder that ``pip install --target`` filled, only the plugins in it are loaded; it comes first on
    this process's path.

    A broken plugin raises nothing. If it cannot be imported, implements an unknown hook, or has a hook that fails or
    returns what cannot be used, then nothing of it is used and it is listed in ``broken``.
    """
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    host = Host()
    wanted = None if only is None else set(only)
    _add(manager, host, BUILTIN, f"allocmark {__version__}", lambda: builtin)
    if prefix:
        sys.path.insert(0, prefix)
    for index, entry in enumerate(_entries(prefix)):
        if index not in skipped and (wanted is None or entry.name in wanted):
            begin(index, entry.name, _distribution(entry))
            _add(manager, host, entry.name, _distribution(entry), entry.load)
    host.backends = [replace(registered, prefix=prefix) for registered in host.backends]
    return host


def _entries(prefix: str) -> list[EntryPoint]:
    """By name. What an interrupted installation left beside the new metadata (``~name``) counts once."""
    if prefix:
        found = [entry for each in distributions(path=[prefix]) for entry in each.entry_points if entry.group == GROUP]
    else:
        found = list(entry_points(group=GROUP))
    once: dict[tuple[str, str, str], EntryPoint] = {}
    for entry in found:
        key = (entry.name, entry.value, canonical(_distribution(entry)))
        if key not in once or _is_left_over(once[key]):
            once[key] = entry
    return sorted(once.values(), key=lambda entry: (entry.name, entry.value))


def _is_left_over(entry: EntryPoint) -> bool:
    return Path(str(getattr(entry.dist, "_path", ""))).name.startswith("~")


def canonical(distribution: str) -> str:
    """The name of "NAME VERSION" as package tools compare it."""
    return re.sub(r"[-_.]+", "-", distribution.split(" ")[0]).lower()


def _distribution(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else "unknown"


def _add(manager: pluggy.PluginManager, host: Host, name: str, distribution: str, importer: Callable[[], Any]) -> None:
    plugin = None
    try:
        plugin = _guarded("failed to import", importer)
        _register(manager, name, plugin)
        others = [p for p in manager.get_plugins() if p is not plugin]
        backends = _backends(_call(manager, "allocmark_backends", others), host.backends)
        dirs = _all_of(Path, _call(manager, "allocmark_workload_dirs", others), "allocmark_workload_dirs")
        probes = _all_of(Probe, _call(manager, "allocmark_probes", others), "allocmark_probes")
        for probe in probes:
            if problems := probe.problems():
                raise _RefusedError(f"hands over a malformed probe {probe.name!r:.40}: {problems[0]}")
        _refuse_unmarked(plugin)
        if not (backends or dirs or probes) and not manager.get_hookcallers(plugin):
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
        if plugin is not None and manager.get_plugin(name) is plugin:
            manager.unregister(plugin)
        host.broken.append(BrokenPlugin(name, distribution, str(refusal)))
        return
    host.backends += [Registered(backend, name, distribution) for backend in backends]
    host.workload_dirs += dirs
    host.probes += [(probe, name) for probe in probes]


def _refuse_unmarked(plugin: Any) -> None:
    """A function that is named as a hook and not marked as one would be passed over in silence."""
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
        raise _RefusedError(f"{failure}: {_brief(error)}") from error


def _register(manager: pluggy.PluginManager, name: str, plugin: Any) -> None:
    if manager.has_plugin(name):
        raise _RefusedError(f"registers the plugin name {name!r} a second time")
    try:
        manager.register(plugin, name)
    except ValueError as error:
        raise _RefusedError(f"is the same object as another plugin: {_brief(error)}") from error
    except pluggy.PluginValidationError as error:
        if manager.is_registered(plugin):  # pluggy before 1.7 keeps what it refused
            manager.unregister(plugin)
        raise _RefusedError(f"does not fit a hook: {_brief(error)}") from error
    try:
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        known = ", ".join(sorted(n for n in vars(hookspecs) if n.startswith("allocmark_")))
        raise _RefusedError(f"implements an unknown hook ({_brief(error)}); the hooks are {known}") from error


def _call(manager: pluggy.PluginManager, hook: str, others: Sequence[Any]) -> list[Any]:
    """The hook's result from the one plugin that is not in ``others``."""
    caller = manager.subset_hook_caller(hook, others)
    return _guarded(f"its hook {hook} failed", lambda: [item for result in caller() for item in result])


def _all_of(kind: type[_T], items: list[Any], hook: str) -> list[_T]:
    for item in items:
        if not isinstance(item, kind):
            raise _RefusedError(f"its hook {hook} returned a {type(item).__name__}, not a {kind.__name__}")
    return items


def _backends(items: list[Any], registered: Sequence[Registered]) -> list[Backend]:
    backends = _all_of(Backend, items, "allocmark_backends")
    owners = {r.backend.name: r.plugin for r in registered}
    seen = set()
    for backend in backends:
        problems = backend.problems()
        if not problems and backend.table is not None:
            problems = _table_problems(backend.table)
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


def _table_problems(address: int) -> list[str]:
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


def _brief(error: BaseException) -> str:
    try:
        text = " ".join(str(error).split())
    except BaseException:  # a plugin's own exception may fail again
        text = ""
    if "static TLS" in text:
        text += f": {TLS_REMEDY}"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__

# SPDX-License-Identifier: BSD-3-Clause
"""What every process that serves a `CellProcess` does: ``python -m MODULE JOB IN OUT [PARENT REPORT]``.

JOB, IN and OUT are inherited file descriptors. JOB holds one JSON document. Then each line of IN is a request and each
line of OUT its reply, as JSON. A reply with "error" is the last one. PARENT is the process whose end ends this one,
and REPORT where `allocmark.engine.guard` says how it ended; under a tool there is no guard. Standard input, output and
error stay free for the tool and for whatever a library prints.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from allocmark import plugins
from allocmark.backend import Backend
from allocmark.engine import report_crashes
from allocmark.engine.guard import guarded
from allocmark.errors import AllocmarkError, RefusedError
from allocmark.malloc_library import GivenLibrary

_LIMITS = [getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")]


def serve(work: Callable[[Mapping[str, Any], TextIO, TextIO], bool]) -> int:
    """Serve until ``work(job, requests, replies)`` has answered its last request, or the parent is gone: then it
    returns False. The exit status."""
    job, requests_from, replies_to, *guard = map(int, sys.argv[1:])
    if guard:
        guarded(*guard)
        report_crashes(replies_to)
    with suppress(OSError):  # when memory runs out, the kernel should end this process and not the run
        Path("/proc/self/oom_score_adj").write_text("1000")
    with open(job) as described, open(requests_from) as requests, open(replies_to, "w") as replies:
        try:
            if work(json.load(described), requests, replies):
                return 0
        except AllocmarkError as error:
            reply(replies, error=str(error), refused=isinstance(error, RefusedError))
            return 1
        except BrokenPipeError:
            pass
    return 1


def job_of(registered: plugins.Registered, probe_plugins: Sequence[plugins.Entry] = ()) -> dict[str, Any]:
    """The members of a job that `backend_of` reads: which variant, and which plugins are loaded for it."""
    return {
        "plugin": registered.plugin,
        "plugins": sorted({registered.entry, *probe_plugins} - {plugins.BUILTIN}),
        "prefix": registered.prefix,
        "backend": registered.backend.label,
        "given": registered.given and vars(registered.given),
    }


def backend_of(job: Mapping[str, Any]) -> tuple[Backend, plugins.Host]:
    """The variant that a job names, and the plugins that it names."""
    entries = [plugins.Entry(*each) for each in job["plugins"]]
    host = plugins.load_entries(entries, job["prefix"], around=partial(_around, job["plugin"]))
    label = job["backend"]
    if given := job["given"]:
        return GivenLibrary(**given).backend(label.partition(":")[2]), host
    for registered in host.backends:
        if registered.backend.label == label:
            return _loaded(registered.backend), host
    cause = "; ".join(broken.cause for broken in host.broken)
    raise AllocmarkError(f"{label} is gone in the process of its cell{': ' if cause else ''}{cause}")


def _loaded(backend: Backend) -> Backend:
    if not backend.load:
        return backend
    try:
        found = backend.loaded()
    except Exception as error:
        raise AllocmarkError(f"does not load: {plugins.brief(error)}") from error
    for problem in found.problems() or plugins.table_problems(found.table or 0):
        raise AllocmarkError(f"does not load: {problem}")
    return found


def _around(own: str, entry: plugins.Entry, find: plugins.Find) -> plugins.Host:
    """What a plugin that only brings probes changes in this process does not reach the backend of another."""
    if entry.plugin == own:
        return find()
    environ, cpus, folder = dict(os.environ), os.sched_getaffinity(0), os.open(".", os.O_PATH)
    limits = {each: resource.getrlimit(each) for each in _LIMITS}
    try:
        return find()
    finally:
        os.environ.clear()
        os.environ.update(environ)
        os.sched_setaffinity(0, cpus)
        os.fchdir(folder)
        os.close(folder)
        for each, before in limits.items():
            with suppress(OSError, ValueError):  # one that only a privileged process may raise again
                resource.setrlimit(each, before)


def reply(replies: TextIO, **values: Any) -> None:
    """Answer a request."""
    replies.write(json.dumps(values, allow_nan=False) + "\n")
    replies.flush()

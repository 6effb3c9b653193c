# SPDX-License-Identifier: BSD-3-Clause
"""The errors that people meet: one line each, caught once, by the command line."""

from __future__ import annotations


class AllocmarkError(Exception):
    """Its text says in one line what was found, where, and what to do. The command line prints it and exits with 2."""


class UsageError(AllocmarkError):
    """An unknown name, a value out of range, or something that this machine cannot do."""


class WorkloadError(AllocmarkError):
    """A workload file that cannot be used. Its text begins with ``FILE:LINE:``."""


class RunFileError(AllocmarkError):
    """A run file that is damaged, cut off or of a newer format."""


class EngineError(AllocmarkError):
    """The native engine or a backend's native code failed; the text is its own."""


class RefusedError(EngineError):
    """A backend refused its set-up, before it handed out any object; the text is its own."""

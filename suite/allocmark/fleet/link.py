# SPDX-License-Identifier: BSD-3-Clause
"""The connection to a scheduler of Dask, each of whose workers is a machine of the fleet."""

from __future__ import annotations

import importlib.util
import logging
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from allocmark.errors import AllocmarkError, UsageError
from allocmark.fleet.duty import perform

SECONDS = 10.0  #: until a scheduler must have answered


def check_installed() -> None:
    """UsageError where Dask is missing."""
    if importlib.util.find_spec("distributed") is None:
        raise UsageError("a fleet needs Dask, which is not installed here: pip install 'allocmark[fleet]'")


class Link:
    """Duties out, answers in. A machine is named as its worker is."""

    def __init__(self, scheduler: str, work: Callable[[Mapping[str, Any]], dict[str, Any]] = perform) -> None:
        """UsageError when no scheduler answers there. ``work`` is what a machine does with a duty."""
        check_installed()
        import distributed

        for each in ("distributed", "distributed.client"):  # what they have to say is said here, in a line
            logging.getLogger(each).setLevel(logging.CRITICAL)
        try:
            connect: Any = distributed.Client  # Dask has no types
            self._client: Any = connect(scheduler, timeout=SECONDS)
        except (OSError, ValueError, TypeError) as error:
            raise UsageError(
                f"--scheduler {scheduler}: no scheduler of Dask answers there within {SECONDS:.0f} s "
                f"({type(error).__name__}): start one with `dask scheduler`, and give its address"
            ) from error
        self._work = work
        self._addresses: dict[str, str] = {}
        self._flying: dict[str, Any] = {}

    def machines(self) -> list[str]:
        """The names of those that are there now. UsageError when two have one name."""
        self._addresses = {}
        for address, name in self._workers().items():
            if name in self._addresses:
                raise UsageError(f"two workers are named {name}: start one on each machine, with a --name of its own")
            self._addresses[name] = address
        return sorted(self._addresses)

    def ask(self, machine: str, duty: Mapping[str, Any]) -> None:
        """Give a machine something to do. It does nothing else meanwhile."""
        self._flying[machine] = self._client.submit(
            self._work, dict(duty), workers=[self._addresses[machine]], allow_other_workers=False, pure=False
        )

    def answers(self, seconds: float) -> dict[str, dict[str, Any]]:
        """What came in, by machine, after at most so many ``seconds``. ``lost``: the machine ended before."""
        import distributed

        wait: Any = distributed.wait
        with suppress(distributed.TimeoutError, distributed.CancelledError):  # what was cancelled is looked at below
            wait(list(self._flying.values()), timeout=seconds, return_when="FIRST_COMPLETED")
        there = self._workers()
        found: dict[str, dict[str, Any]] = {}
        for machine, future in self._flying.items():
            if future.done():
                found[machine] = _answer(future)
            # A worker that was started again has another address, and waits for nothing.
            elif self._addresses[machine] not in there:
                found[machine] = {"lost": "its worker ended"}
        self.forget(found)
        return found

    def _workers(self) -> dict[str, str]:
        """Names by address. AllocmarkError when the scheduler is gone."""
        try:
            found: dict[str, str] = self._client.run_on_scheduler(_names)
        except Exception as error:  # Dask says it in many ways
            raise AllocmarkError(
                f"the scheduler of Dask ended ({type(error).__name__}): what came home is kept, and with a new one "
                "`allocmark fleet run --scheduler … --resume DIR` measures the rest"
            ) from error
        return found

    def forget(self, machines: Iterable[str]) -> None:
        """Expect no answer from these any more."""
        for machine in list(machines):
            if future := self._flying.pop(machine, None):
                future.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.forget(self._flying)
        self._client.close()


def _names(dask_scheduler: Any) -> dict[str, str]:
    # On the scheduler, which may lack allocmark: Dask sends the function itself.
    return {worker.address: str(worker.name) for worker in dask_scheduler.workers.values()}


def _answer(future: Any) -> dict[str, Any]:
    if future.status == "finished":
        answer: dict[str, Any] = future.result()
        return answer
    try:
        error: object = future.exception()
    except BaseException as failure:  # Dask's CancelledError is not always an Exception
        error = failure
    said = re.sub(r"\s+", " ", f"{type(error).__name__}: {error}")
    # What Dask itself says: of a worker that is gone.
    return {"lost" if type(error).__module__.startswith("distributed") else "error": said}

# SPDX-License-Identifier: BSD-3-Clause
"""What a measurement pass is: everything about one kind of measurement, in one file of this folder.

Reading a run loads these files too, so none imports the engine: it is handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from allocmark.engine.session import Engine
    from allocmark.workload.tape.program import Program

R = TypeVar("R")
Reply = Mapping[str, Any]  #: of a cell's process, as JSON
Sampler = Callable[[int], Reply]  #: runs so many units of the workload

LARGEST = 1e15  #: of the figures that a pass records


class Pass:
    """How a kind of measurement is made. It keeps no state: that is in the processes of the cells.

    ``name`` is the request to a cell's process; no two passes share one, and "move" and "finish" are taken.
    """

    name: str
    timed = True  #: False: it only counts. Such passes run before all samples, without the floor.
    most_rounds: int | None = None  #: it is made in the first so many rounds of a case; None: in all
    moves = False  #: whether the engine's memory is drawn anew for each of its blocks
    once = False  #: whether a process can be asked for one block only
    gives_samples = False  #: whether its blocks are those of the case

    def engine_options(self, sample_ms: float) -> dict[str, Any]:
        """Arguments of `Engine` that it needs."""
        return {}

    def start(self, engine: Engine, program: Program, cpus: Sequence[tuple[int, int]]) -> Sampler:
        """In the process of a cell: what takes a sample there."""
        raise NotImplementedError

    def warm_up(self, sample: Sampler, units: int, sample_ms: float, stopping: Callable[[], bool]) -> int:
        """In the parent: the units of the first block. ``sample`` asks the cell's process for one sample."""
        return units

    def blocks(self, wanted: int) -> int:
        """How many blocks it takes in a round with ``wanted`` samples for each cell."""
        return 1

    def next_units(self, units: int, reply: Reply) -> int:
        """The units of the block after the one that gave ``reply``. AllocmarkError when the reply cannot be used."""
        return units

    def merge(self, replies: Mapping[int, Reply], kept: Collection[int]) -> dict[str, Any]:
        """Members of the cell's line in the run file. ``replies`` are by block; in those of ``kept`` the CPUs were
        as far apart and as fast as usual."""
        raise NotImplementedError


class Figures:
    """Base of what a pass records. ValueError for a figure that is negative or absurdly large: none has a meaning."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, int | float) and not 0 <= value < LARGEST:
                raise ValueError(f"{name} is {value:.3g}, expected a number from 0 to {LARGEST:.0g}")


@dataclass(frozen=True)
class PassColumn(Generic[R]):
    """A figure of a pass as tables show it: its head, its value, and how that is written.

    ``missing`` stands where the value is None. ``csv`` names the column in a CSV file; "" keeps it out.
    """

    head: str
    value: Callable[[R], float | None]
    write: Callable[[float], str]
    missing: str = ""
    csv: str = ""

    def text(self, record: R) -> str:
        """The entry of a table."""
        value = self.value(record)
        return self.missing if value is None else self.write(value)


class TablePass(Pass, Generic[R]):
    """A pass beside the samples, with a record of its own in each cell and a table of its own.

    ``record`` is a dataclass: what was read back must have its fields with their types. ``--no-NAME`` leaves the pass
    out, and ``help`` says so.
    """

    help: str
    record: type[R]
    title: str  #: of the table
    columns: Sequence[PassColumn[R]]
    alone = False  #: it is made by itself, in cells of a kind of their own, and not beside the samples of others
    spare: Sequence[str] = ()  #: heads of columns that a narrow terminal loses, the first one first

    def combine(self, records: Mapping[int, R]) -> R:
        """One record for what it found in several rounds, by their numbers: here that of the first."""
        return records[min(records)]

    def note(self, records: Sequence[R]) -> str:
        """What the reader of the table must know."""
        return ""

    def document(self, record: R) -> dict[str, Any]:
        """The record in the JSON of a run."""
        return asdict(record)  # type: ignore[call-overload,no-any-return]  # R is a dataclass

    def facts(self, record: R) -> dict[str, float]:
        """Figures that are the same in every run of the same files, by their names: what a gate compares untimed."""
        return {}

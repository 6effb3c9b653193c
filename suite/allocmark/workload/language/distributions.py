# SPDX-License-Identifier: BSD-3-Clause
"""Distributions of whole numbers, as a workload file writes them, and how they are drawn.

A draw uses nothing but ``rng.random()``, whose sequence Python guarantees for a seed: the same seed gives the same
draws on every machine and version.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from bisect import bisect
from collections.abc import Callable, Sequence
from itertools import accumulate, cycle
from pathlib import Path
from random import Random
from statistics import NormalDist
from typing import Annotated, Any, ClassVar, Generic, Self, TypeVar

from pydantic import ConfigDict, Field, PrivateAttr, RootModel, ValidationInfo, model_validator
from typing_extensions import TypeAliasType

from allocmark.workload.language.parts import Keyed, OneOf, OrVariable, Part, refuse
from allocmark.workload.language.quantiles import Table, TableError, parse_table

MOST_VALUES = 4096

Content = TypeVar("Content")
Sampler = Callable[[], int]
Value = Annotated[int, Field(strict=True, ge=0, le=2**63 - 1), OrVariable()]
Positive = Annotated[float, Field(strict=True, gt=0, le=1e9), OrVariable()]
Values = Annotated[tuple[Value, ...], Field(min_length=1, max_length=MOST_VALUES)]
Weights = Annotated[tuple[Positive, ...], Field(min_length=1, max_length=MOST_VALUES)]


class Distribution(ABC):
    """Whole numbers from ``minimum`` to ``maximum``, both included."""

    kind: ClassVar[str]

    @property
    @abstractmethod
    def minimum(self) -> int: ...

    @property
    @abstractmethod
    def maximum(self) -> int: ...

    @abstractmethod
    def sampler(self, rng: Random) -> Sampler:
        """A function that draws the next number; each sampler has a state of its own."""


class _Whole(RootModel[Content], Distribution, Generic[Content]):
    """A distribution whose content is not a mapping of named settings: its values, or values and weights."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    @model_validator(mode="before")
    @classmethod
    def _content(cls, value: Any) -> Any:
        return value.content if isinstance(value, Keyed) else value

    @property
    def minimum(self) -> int:
        return min(self.root)  # type: ignore[call-overload, no-any-return]  # every content iterates over its values

    @property
    def maximum(self) -> int:
        return max(self.root)  # type: ignore[call-overload, no-any-return]


class Uniform(_Whole[tuple[Value, Value]]):
    """``uniform: [lo, hi]``: every whole number from lo to hi, each as likely as the others."""

    kind: ClassVar[str] = "uniform"

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        low, high = self.root
        if low > high:
            raise refuse(f"found [{low}, {high}]; expected the smaller bound first")
        return self

    def sampler(self, rng: Random) -> Sampler:
        low, high = self.root
        span, random = high - low + 1, rng.random
        if span < 2**53:
            return lambda: low + int(random() * span)
        return lambda: min(low + int(random() * span), high)  # the product may round up to span


class Choice(_Whole[Annotated[dict[Value, Positive], Field(min_length=1, max_length=MOST_VALUES)]]):
    """``choice: {value: weight, …}``: each value in proportion to its weight."""

    model_config = ConfigDict(json_schema_extra={"propertyNames": {"pattern": "^[0-9]+$"}})
    kind: ClassVar[str] = "choice"

    def sampler(self, rng: Random) -> Sampler:
        pairs = sorted(self.root.items())  # the order in the file must not change the draws
        return _weighted([value for value, _ in pairs], [weight for _, weight in pairs], rng)


class Cycle(_Whole[Values]):
    """``cycle: [a, b, c]``: one after the other, over and over; each sampler begins with the first."""

    kind: ClassVar[str] = "cycle"

    def sampler(self, rng: Random) -> Sampler:
        return cycle(self.root).__next__


class Geometric(Part, Distribution):
    """``geometric: {mean, max}``: the number of trials up to the first success, drawn again when beyond max.

    ``mean`` is the mean without the limit; drawing again lowers it.
    """

    kind: ClassVar[str] = "geometric"

    mean: Annotated[float, Field(strict=True, ge=1, le=2**32), OrVariable()]
    max: Annotated[int, Field(strict=True, ge=1, le=2**63 - 1), OrVariable()]

    @property
    def minimum(self) -> int:
        return 1

    @property
    def maximum(self) -> int:
        return self.max

    def sampler(self, rng: Random) -> Sampler:
        if self.mean == 1:
            return lambda: 1
        decay = math.log1p(-1 / self.mean)
        within = -math.expm1(self.max * decay)  # the share that does not lie beyond max
        return lambda: min(1 + int(math.log1p(-rng.random() * within) / decay), self.max)


class _Listed(Part, Distribution):
    """A distribution over the values that it lists."""

    values: Values

    @property
    def minimum(self) -> int:
        return min(self.values)

    @property
    def maximum(self) -> int:
        return max(self.values)


class Zipf(Part, Distribution):
    """``zipf: {exponent: s, values: [v1, v2, …]}``: the k-th value has the weight ``k ** -s``.
    ``zipf: {exponent: s, min: lo, max: hi}``: every whole number from lo to hi, k with the weight ``k ** -s``.
    """

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["values"]}, {"required": ["min", "max"]}]})
    kind: ClassVar[str] = "zipf"

    exponent: Annotated[float, Field(strict=True, ge=0, le=16), OrVariable()]
    values: Values | None = None
    min: Annotated[int | None, Field(strict=True, ge=1, le=2**63 - 1), OrVariable()] = None
    max: Annotated[int | None, Field(strict=True, ge=1, le=2**63 - 1), OrVariable()] = None

    @model_validator(mode="after")
    def _either(self) -> Self:
        if (self.values is None) == (self.min is None and self.max is None) or (self.min is None) != (self.max is None):
            raise refuse("expected either 'values', or 'min' and 'max'")
        _ordered(self.min, self.max)
        return self

    @property
    def minimum(self) -> int:
        return min(self.values) if self.values else self.min or 1

    @property
    def maximum(self) -> int:
        return max(self.values) if self.values else self.max or 1

    def sampler(self, rng: Random) -> Sampler:
        if self.values:
            return _weighted(self.values, [k**-self.exponent for k in range(1, len(self.values) + 1)], rng)
        # The numbers as a line, of which each has the piece from itself to the next.
        low, high, power = self.minimum, self.maximum + 1, 1 - self.exponent
        if abs(power) < 1e-9:
            ratio = math.log(high / low)
            return lambda: min(int(low * math.exp(rng.random() * ratio)), high - 1)
        span = math.expm1(power * math.log(high / low))
        return lambda: min(int(low * math.exp(math.log1p(rng.random() * span) / power)), high - 1)


class Pareto(Part, Distribution):
    """``pareto: {shape: a, min: lo, max: hi}``: the share above x falls as ``(x / lo) ** -a``; drawn again beyond max.

    With ``scale: s`` it falls as ``(1 + (x - lo) / s) ** -a``, the generalised form.
    """

    kind: ClassVar[str] = "pareto"

    shape: Annotated[float, Field(strict=True, gt=0, le=64), OrVariable()]
    min: Annotated[int, Field(strict=True, ge=0, le=2**63 - 1), OrVariable()]
    max: Annotated[int, Field(strict=True, ge=1, le=2**63 - 1), OrVariable()]
    scale: Annotated[float | None, Field(strict=True, gt=0, le=1e18), OrVariable()] = None
    """As `min` when left out."""

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        _ordered(self.min, self.max)
        if not self.min and not self.scale:
            raise refuse("found min 0 and no scale; expected a min of 1 or more, or a scale", "min")
        return self

    @property
    def minimum(self) -> int:
        return self.min

    @property
    def maximum(self) -> int:
        return self.max

    def sampler(self, rng: Random) -> Sampler:
        low, high, scale = self.min, self.max, self.scale or float(self.min)
        within = -math.expm1(-self.shape * math.log1p((high + 1 - low) / scale))  # the share that is not beyond max

        def draw() -> int:
            return min(low + int(scale * math.expm1(-math.log1p(-rng.random() * within) / self.shape)), high)

        return draw


def _ordered(low: int | None, high: int | None) -> None:
    if low is not None and high is not None and low > high:
        raise refuse(f"found min {low} above max {high}; expected the smaller one as min", "min")


class Lognormal(Part, Distribution):
    """``lognormal: {median, sigma, min, max}``: rounded, drawn again when outside min to max."""

    kind: ClassVar[str] = "lognormal"

    median: Positive
    sigma: Annotated[float, Field(strict=True, gt=0, le=16), OrVariable()]
    """The standard deviation of the logarithm."""
    min: Value
    max: Value

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        _ordered(self.min, self.max)
        return self

    @property
    def minimum(self) -> int:
        return self.min

    @property
    def maximum(self) -> int:
        return self.max

    def sampler(self, rng: Random) -> Sampler:
        log = NormalDist(math.log(self.median), self.sigma)
        low = log.cdf(math.log(self.min - 0.5)) if self.min else 0.0
        share = log.cdf(math.log(self.max + 0.5)) - low
        tiny = 2.0**-60  # inv_cdf refuses 0 and 1

        def draw() -> int:
            quantile = min(max(low + rng.random() * share, tiny), 1 - 2.0**-53)
            return min(max(round(math.exp(log.inv_cdf(quantile))), self.min), self.max)

        return draw


class Empirical(_Listed):
    """``empirical: {values: […], weights: […]}``: measured values and how often each was seen."""

    kind: ClassVar[str] = "empirical"

    weights: Weights

    @model_validator(mode="after")
    def _paired(self) -> Self:
        if len(self.values) != len(self.weights):
            found = f"found {len(self.values)} values and {len(self.weights)} weights"
            raise refuse(f"{found}; expected a weight for each value", "weights")
        return self

    def sampler(self, rng: Random) -> Sampler:
        return _weighted(self.values, self.weights, rng)


class Quantiles(_Whole[str]):
    """``quantiles: sizes.txt``: what a table of quantiles says, in a file beside the workload (quantiles.py)."""

    kind: ClassVar[str] = "quantiles"

    _table: Table = PrivateAttr()

    @model_validator(mode="after")
    def _read(self, info: ValidationInfo) -> Self:
        try:
            self._table = parse_table((info.context or {}).get("folder", Path()) / self.root)
        except TableError as error:
            raise refuse(str(error)) from None
        return self

    @property
    def minimum(self) -> int:
        return self._table[1][0]

    @property
    def maximum(self) -> int:
        return self._table[1][-1]

    def sampler(self, rng: Random) -> Sampler:
        shares, values = self._table

        def draw() -> int:
            share = rng.random()
            above = bisect(shares, share)
            if above == 0:
                return values[0]
            part = (share - shares[above - 1]) / (shares[above] - shares[above - 1])
            return round(values[above - 1] + part * (values[above] - values[above - 1]))

        return draw


def _weighted(values: Sequence[int], weights: Sequence[float], rng: Random) -> Sampler:
    below = list(accumulate(weights))
    last, whole, random = len(values) - 1, below[-1], rng.random
    return lambda: values[bisect(below, random() * whole, 0, last)]


KINDS = (Uniform, Choice, Geometric, Zipf, Pareto, Lognormal, Empirical, Quantiles, Cycle)

#: an inline or a named distribution: a mapping with one of these keys
AnyDistribution = TypeAliasType("AnyDistribution", Annotated[Distribution, OneOf("distribution", lambda: KINDS)])

# SPDX-License-Identifier: BSD-3-Clause
"""Which samples are marked as disturbed."""

from __future__ import annotations

from typing import Any

import pytest

from allocmark.engine.session import ActorSample, Sample
from allocmark.passes.throughput import sampler


@pytest.mark.parametrize(
    ("switches", "waited_ns", "disturbed"),
    [(0, 0, False), (3, 9_000, False), (1, 11_000, True), (0, -1, False), (1, -1, True)],
)
def test_a_sample_is_disturbed_without_a_cpu_for_more_than_a_hundredth(
    switches: int, waited_ns: int, disturbed: bool
) -> None:
    class Engine:
        def sample(self, units: int) -> Sample:
            return Sample([ActorSample(900_000, 100_000, units, 0, switches, waited_ns, 0)], [False])

    reply: dict[str, Any] = dict(sampler(Engine(), [(0, 0)])(100))  # type: ignore[arg-type]
    assert ("descheduled" in reply["disturbed"]) == disturbed

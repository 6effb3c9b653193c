# SPDX-License-Identifier: BSD-3-Clause
"""The acceptance kit that every backend must pass: whole on the default variant, its hardest cases on the others."""

from collections.abc import Iterator
from typing import Any

import pytest
from allocmark_turbomem import plugin

from allocmark.conformance import KitCase, cases


def every_case() -> Iterator[Any]:
    (default,) = (each.label for each in plugin.allocmark_backends() if each.default)
    for case in cases("turbomem:*"):
        hard = str(case).startswith(("whole_pool", "handover senders=3"))
        marks = [] if case.backend == default or hard else [pytest.mark.long]
        yield pytest.param(case, marks=marks, id=f"{case.backend} {case}")


@pytest.mark.parametrize("case", list(every_case()))
def test_conformance(case: KitCase) -> None:
    case.check()

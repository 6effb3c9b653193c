# SPDX-License-Identifier: BSD-3-Clause
"""The acceptance kit: whole on the default variant, threads that free for each other on every handler."""

from collections.abc import Iterator
from typing import Any

import pytest
from allocmark_dpdk import plugin

from allocmark.conformance import KitCase, cases

pytestmark = pytest.mark.alone

#: the handler bucket hands out full blocks only: these may find too few objects (README.md)
TOO_MUCH_FOR_BUCKET = ("whole_pool", "handover senders=3")


def every_case() -> Iterator[Any]:
    (default,) = (each.label for each in plugin.allocmark_backends() if each.default)
    for case in cases("dpdk_ring:*"):
        bucket = ":bucket" in case.backend
        if bucket and str(case).startswith(TOO_MUCH_FOR_BUCKET):
            continue
        several = f"handover {'senders=1 receivers=1' if bucket else 'senders=3 receivers=2'} cache=32"
        quick = case.backend == default or (str(case) == several and case.backend.endswith("-base"))
        marks = [] if quick else [pytest.mark.long]
        yield pytest.param(case, marks=marks, id=f"{case.backend} {case}")


@pytest.mark.parametrize("case", list(every_case()))
def test_conformance(case: KitCase) -> None:
    case.check()

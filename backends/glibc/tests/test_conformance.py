# SPDX-License-Identifier: BSD-3-Clause
"""The acceptance kit that every backend must pass, on the default variant."""

import pytest

from allocmark.conformance import KitCase, cases


@pytest.mark.parametrize("case", cases("glibc"), ids=str)
def test_conformance(case: KitCase) -> None:
    case.check()

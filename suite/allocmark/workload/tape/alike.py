# SPDX-License-Identifier: BSD-3-Clause
"""What can be said of the steps of a repeat before they are played: whether every pass of them does the same."""

from __future__ import annotations

from collections.abc import Sequence

from allocmark.workload.language.checks import walk
from allocmark.workload.language.distributions import Distribution
from allocmark.workload.language.steps import Get, Hold, Idle, Put, PutAll, Receive, Repeat, Resize, Send, Step, Touch


def draws(steps: Sequence[Step]) -> bool:
    """Whether numbers are drawn in them: then no two passes are alike."""
    return any(_draws(step) for step in walk(steps))


def regardless(steps: Sequence[Step], several: bool) -> bool:
    """Whether what they do does not depend on what the actor holds. ``several``: it holds objects of several pools."""
    return all(_regardless(step, several) for step in walk(steps))


def touches_earlier(steps: Sequence[Step]) -> bool:
    """Whether they may touch what came before them: in a second pass that is what the first one got."""
    for step in steps:
        if isinstance(step, Touch) or (isinstance(step, Repeat) and touches_earlier(step.steps)):
            return True
        if isinstance(step, Get | Receive | Resize):
            return False
    return False


def _draws(step: Step) -> bool:
    match step:
        case Get():
            numbers = [step.n, step.size]
        case Put():
            numbers = [step.n]
        case Hold():
            numbers = [step.objects]
        case Idle():
            numbers = [step.ns]
        case Repeat():
            numbers = [step.times]
        case _:
            numbers = []
    chosen = (isinstance(step, Put) and step.which == "random") or (isinstance(step, Hold) and step.release == "random")
    return chosen or any(isinstance(number, Distribution) for number in numbers)


def _regardless(step: Step, several: bool) -> bool:
    match step:
        case Put():
            # Of several pools, the order in which their objects came decides which pool is put to.
            return step.which in ("oldest", "newest") and not several
        case Send():
            return step.n is not None and not several
        case Repeat():
            return step.until_held is None
        case Hold() | PutAll() | Resize():
            return False
    return True

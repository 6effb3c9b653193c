# SPDX-License-Identifier: BSD-3-Clause
import pytest

from allocmark.backend import Backend, Pages
from allocmark.engine import Call
from allocmark.measuring.attest import (
    attest,
    check_cache,
    check_cpus,
    check_gets,
    check_growth,
    check_library,
    check_pages,
)

MIB = 1 << 20


def pages(*, hugetlb=0, thp=0, base=0, thp_possible=None):
    """What the "pages" probe gives for one pool, in MiB."""
    return {
        "resident": (hugetlb + thp + base) * MIB,
        "hugetlb": hugetlb * MIB,
        "thp": thp * MIB,
        "base": base * MIB,
        "thp_possible": (thp + base if thp_possible is None else thp_possible) * MIB,
    }


def measured(**pools):
    return {"pools": pools}


@pytest.mark.parametrize(
    ("declared", "pool"),
    [
        (Pages.THP, pages(thp=142)),
        (Pages.THP, pages(thp=142, base=6)),  # three blocks of 74 found no free huge page
        (Pages.THP, pages(thp=6, base=1, thp_possible=6)),  # an end in which none fits
        (Pages.HUGETLB, pages(hugetlb=2)),
        (Pages.BASE, pages(base=142)),
        (Pages.ANY, pages(thp=3, base=5)),
        (Pages.ANY, pages()),
        (Pages.ANY, {"unknown": "no object was sampled"}),
    ],
)
def test_a_true_declaration_passes(declared, pool):
    assert check_pages(declared, measured(mbuf=pool)) is None


@pytest.mark.parametrize(
    ("declared", "pool", "found"),
    [
        (Pages.THP, pages(thp=12, base=130), "the kernel reports 12 of 142 MiB on transparent huge pages"),
        (Pages.THP, pages(thp=132, base=10), "the kernel reports 132 of 142 MiB on transparent huge pages"),
        (Pages.THP, pages(thp=8, base=2), "the kernel reports 8 of 10 MiB on transparent huge pages"),
        (Pages.THP, pages(hugetlb=10), "only 0 of 10 MiB lie where a huge page fits"),
        (Pages.THP, pages(base=1, thp_possible=0), "only 0 of 1 MiB lie where a huge page fits"),
        (Pages.THP, pages(thp=2, base=3, thp_possible=2), "only 2 of 5 MiB lie where a huge page fits"),
        (Pages.THP, pages(), "nothing of it is resident"),
        (Pages.HUGETLB, pages(hugetlb=140, base=2), "the kernel reports 140 of 142 MiB on hugetlb pages"),
        (Pages.HUGETLB, pages(thp=142), "the kernel reports 0 of 142 MiB on hugetlb pages"),
        (Pages.BASE, pages(thp=2, base=140), "the kernel reports 2 of 142 MiB on huge pages"),
        (Pages.BASE, pages(hugetlb=2), "the kernel reports 2 of 2 MiB on huge pages"),
    ],
)
def test_a_false_declaration_says_what_was_found(declared, pool, found):
    reason = check_pages(declared, measured(mbuf=pool))
    assert reason == f"declared {declared.value}, but {found} in pool mbuf; see `allocmark doctor`"


def test_every_pool_is_looked_at():
    reason = check_pages(Pages.THP, measured(good=pages(thp=20), bad=pages(base=20)))
    assert reason is not None
    assert "in pool bad" in reason


def test_what_is_not_known_is_not_taken_for_true():
    reason = check_pages(Pages.HUGETLB, measured(mbuf={"unknown": "no object was sampled"}))
    assert reason == "declared hugetlb, but the pages of pool mbuf are not known: no object was sampled"


@pytest.mark.parametrize(("facts", "note"), [({}, False), ({"cache": "256"}, False), ({"cache": "128"}, True)])
def test_another_cache_than_asked_is_noted(facts, note):
    found = check_cache(256, facts)
    assert found == ("per-thread cache of 128 objects, not the 256 asked for" if note else None)


OWN, LIBC = "/opt/libown.so.1", "/lib/libc.so.6"


@pytest.mark.parametrize(
    ("declared", "loaded", "calls", "wrong"),
    [
        ("", None, [("memcpy", LIBC, "")], None),
        ("libown.so.1", OWN, [("own_malloc", OWN, OWN), ("memcpy", LIBC, "")], None),
        ("", None, [("malloc", LIBC, OWN)], f"its malloc is not that of {OWN}, but that of {LIBC}; "),
        ("libown.so.1", OWN, [("malloc", OWN, OWN), ("free", LIBC, OWN)], f"its free is not that of {OWN}, but that"),
        ("libown.so.1", OWN, [("memcpy", LIBC, "")], "declared libown.so.1, but it calls no function of it; "),
        ("libown.so.1", None, [("malloc", LIBC, "")], "declared libown.so.1, but it calls no function of it; "),
    ],
)
def test_functions_of_another_library_are_told(declared, loaded, calls, wrong):
    found = check_library(declared, loaded, [Call(*each) for each in calls])
    assert found is None if wrong is None else found is not None and found.startswith(wrong)


def test_both_phases_are_attested():
    backend = Backend("pool", "thp", "", "1", table=64, pages=Pages.THP)
    good, bad = {"pages": measured(mbuf=pages(thp=20))}, {"pages": measured(mbuf=pages(thp=2, base=18))}
    assert attest(backend, {"populated": good, "after": good}) is None
    reason = attest(backend, {"populated": good, "after": bad})
    assert reason is not None
    assert reason.startswith("after: declared thp, but the kernel reports 2 of 20 MiB")


def test_actors_on_other_cpus_are_noted():
    assert check_cpus([2, 3], [[2, 3], [2, 3]]) is None
    assert check_cpus([-1, -1], [[2, 3], [3, 2]]) is None  # not pinned
    assert check_cpus([0, 1, 0], [[0, 1, 0]]) is None  # more actors than CPUs
    # Both on the CPUs of the plan, and never on another.
    note = check_cpus([0, 1], [[0, 1], [0, 0], [0, 0]])
    assert note is not None
    assert note.startswith("in 2 of 3 samples an actor was not on its own CPU")


@pytest.mark.parametrize(("failed", "gets", "said"), [(0, 0, None), (1, 99, None), (2, 98, "2 %"), (300, 100, "75 %")])
def test_gets_that_failed_are_noted(failed, gets, said):
    note = check_gets(failed, gets)
    assert (note and note.partition(" of its gets")[0]) == said


MIB = 1 << 20


@pytest.mark.parametrize(
    ("resident", "grows"),
    [
        ([n * 10 * MIB for n in range(1, 9)], True),
        ([80 * MIB] * 8, False),
        ([10 * MIB] + [80 * MIB] * 7, False),  # it was filled once
        ([80 * MIB + n * 4096 for n in range(8)], False),  # too little to matter
        ([], False),
    ],
)
def test_memory_that_grows_in_most_samples_is_told(resident, grows):
    note = check_growth(resident, live=8 * MIB)
    assert (note is not None) == grows
    if grows:
        assert "grew by 70 MiB in 8 samples, with at most 8 MiB in use" in note

# SPDX-License-Identifier: BSD-3-Clause
"""The file of a comparison in progress."""

from __future__ import annotations

import json
import random
import resource
import signal

import pytest

from allocmark.errors import AllocmarkError
from allocmark.gate.journal import Journal
from fixtures.mutations import damaged_bytes


def test_records_are_there_when_it_is_opened_again(tmp_path):
    with Journal(tmp_path, "a-b", {"limit": 2}) as journal:
        journal.append({"round": 1})
        journal.append({"round": 2})
    with Journal(tmp_path, "a-b", {"limit": 2}) as again:
        assert again.records == [{"round": 1}, {"round": 2}]
        assert again.path == journal.path


def test_another_header_is_another_journal(tmp_path):
    with Journal(tmp_path, "a-b", {"limit": 2}) as one:
        one.append({"round": 1})
    with Journal(tmp_path, "a-b", {"limit": 3}) as other:
        assert other.records == []


@pytest.mark.parametrize("torn", [b'{"round": 2', b'{"round": 2}', b"\x00"])
def test_what_a_kill_left_is_cut_off(tmp_path, torn):
    with Journal(tmp_path, "a-b", {}) as journal:
        journal.append({"round": 1})
    whole = journal.path.read_bytes()
    journal.path.write_bytes(whole + torn)
    with Journal(tmp_path, "a-b", {}) as again:
        assert again.records == [{"round": 1}]
        again.append({"round": 3})
    lines = journal.path.read_bytes().splitlines(keepends=True)
    assert b"".join(lines[:2]) == whole
    assert [json.loads(line)["round"] for line in lines[1:]] == [1, 3]


def test_a_damaged_line_costs_no_other(tmp_path):
    """Whatever the damage, only what was written is used, and a round is added after it."""
    rounds = [{"round": number, "log": number / 7} for number in range(6)]
    with Journal(tmp_path, "a-b", {"limit": 2}) as journal:
        for each in rounds:
            journal.append(each)
    whole = journal.path.read_bytes()
    kept = 0
    for number in range(100):
        journal.path.write_bytes(damaged_bytes(whole, random.Random(number)))
        with Journal(tmp_path, "a-b", {"limit": 2}) as again:
            assert all(record in rounds for record in again.records), number
            assert len(again.records) <= len(rounds), number
            kept += len(again.records)
            again.append({"round": 9})
        with Journal(tmp_path, "a-b", {"limit": 2}) as again:
            assert again.records[-1] == {"round": 9}, number
    assert kept > 100 * 3


def test_a_full_disk_is_said_with_the_name_of_the_file(tmp_path):
    with Journal(tmp_path, "a-b", {}) as journal:
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        before = journal.path.read_bytes()
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 100, limits[1]))
        try:
            with pytest.raises(AllocmarkError, match=r"a-b-.*\.jsonl: cannot be written: File too large"):
                journal.append({"round": "x" * 200})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            signal.signal(signal.SIGXFSZ, handler)
    assert journal.path.read_bytes() == before


def test_a_kill_within_the_first_line_begins_anew(tmp_path):
    with Journal(tmp_path, "a-b", {"limit": 2}) as journal:
        whole = journal.path.read_bytes()
    journal.path.write_bytes(whole[:5])
    with Journal(tmp_path, "a-b", {"limit": 2}) as again:
        assert again.records == []
    assert again.path.read_bytes() == whole


def test_two_processes_do_not_share_one(tmp_path):
    with Journal(tmp_path, "a-b", {}), pytest.raises(AllocmarkError, match="another process is measuring this now"):
        Journal(tmp_path, "a-b", {})


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(AllocmarkError, match="cannot be written"):
        Journal(tmp_path / "file" / "gates", "a-b", {})

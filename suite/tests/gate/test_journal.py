# SPDX-License-Identifier: BSD-3-Clause
"""The file of a comparison in progress."""

from __future__ import annotations

import pytest

from allocmark.errors import AllocmarkError
from allocmark.gate.journal import Journal


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


@pytest.mark.parametrize("torn", [b'{"round": 2', b'{"round": 2}', b"[1]\n", b"\x00\x00\n", b'{"a": 1}\xff\n'])
def test_what_a_kill_left_is_cut_off(tmp_path, torn):
    with Journal(tmp_path, "a-b", {}) as journal:
        journal.append({"round": 1})
    whole = journal.path.read_bytes()
    journal.path.write_bytes(whole + torn)
    with Journal(tmp_path, "a-b", {}) as again:
        assert again.records == [{"round": 1}]
        again.append({"round": 3})
    assert journal.path.read_bytes() == whole + b'{"round": 3}\n'


def test_a_kill_within_the_first_line_begins_anew(tmp_path):
    with Journal(tmp_path, "a-b", {"limit": 2}) as journal:
        pass
    journal.path.write_bytes(journal.path.read_bytes()[:5])
    with Journal(tmp_path, "a-b", {"limit": 2}) as again:
        assert again.records == []
    assert again.path.read_text() == '{"limit": 2}\n'


def test_two_processes_do_not_share_one(tmp_path):
    with Journal(tmp_path, "a-b", {}), pytest.raises(AllocmarkError, match="another process is measuring this now"):
        Journal(tmp_path, "a-b", {})


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(AllocmarkError, match="cannot be written"):
        Journal(tmp_path / "file" / "gates", "a-b", {})

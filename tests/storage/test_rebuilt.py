"""A reason for which the ledger is made again counts once that was done, and not before."""

from __future__ import annotations

from pathlib import Path

from node.storage import rebuilt

REASON = "adopted: height 7 comes to other leaves here"


def test_a_stop_before_the_ledger_is_set_aside_does_not_pass_for_a_rebuild(tmp_path: Path) -> None:
    """A power cut, a full disk, a stop signal: the next start finds the old ledger."""
    for _ in range(3):
        assert not rebuilt.is_repeated(tmp_path, REASON)
        rebuilt.note(tmp_path, REASON)
    rebuilt.begun(tmp_path)
    assert rebuilt.is_repeated(tmp_path, REASON)
    assert not rebuilt.is_repeated(tmp_path, "adopted: height 8 comes to other leaves here")


def test_what_was_done_stays_done(tmp_path: Path) -> None:
    rebuilt.begun(tmp_path)
    assert not (tmp_path / rebuilt.FILE).exists()
    for reason in ("one", "two"):
        rebuilt.note(tmp_path, reason)
        rebuilt.begun(tmp_path)
    rebuilt.note(tmp_path, "one")
    rebuilt.begun(tmp_path)
    assert rebuilt.is_repeated(tmp_path, "one")
    assert rebuilt.is_repeated(tmp_path, "two")
    assert len((tmp_path / rebuilt.FILE).read_text().splitlines()) == 2


def test_only_the_newest_reasons_are_kept(tmp_path: Path) -> None:
    for number in range(rebuilt.LINES_MAX + 1):
        rebuilt.note(tmp_path, f"reason {number}")
    rebuilt.begun(tmp_path)
    assert not rebuilt.is_repeated(tmp_path, "reason 0")
    assert rebuilt.is_repeated(tmp_path, f"reason {rebuilt.LINES_MAX}")

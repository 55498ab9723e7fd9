"""One process holds a data folder, whatever becomes of the files in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from node.system.folder_lock import FolderInUseError, lock_folder


def test_whoever_deletes_all_files_does_not_let_a_second_process_in(tmp_path: Path) -> None:
    held = lock_folder(tmp_path)
    (tmp_path / "lock").touch()
    for path in tmp_path.iterdir():
        path.unlink()
    for shared in (False, True):
        with pytest.raises(FolderInUseError, match="in use by another process"):
            lock_folder(tmp_path, shared=shared)
    os.close(held)
    os.close(lock_folder(tmp_path))


def test_readers_share_a_folder_and_keep_a_node_out(tmp_path: Path) -> None:
    readers = [lock_folder(tmp_path, shared=True) for _ in range(2)]
    with pytest.raises(FolderInUseError):
        lock_folder(tmp_path)
    for reader in readers:
        os.close(reader)


def test_a_link_to_a_folder_is_that_folder(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to("data")
    held = lock_folder(tmp_path / "data")
    with pytest.raises(FolderInUseError):
        lock_folder(tmp_path / "link")
    os.close(held)

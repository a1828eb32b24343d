"""Keys in files: for their owner alone, whole, and never replaced."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from runtime.keys import make_key, read_key
from runtime.private_files import UnusableKeyError, read_or_make, read_private, write_private


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """By its owner alone; nothing else is left in the folder."""
    path = tmp_path / "key"
    write_private(path, b"secret")
    assert b"secret" == read_private(path, follow=False)
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    assert [path] == list(tmp_path.iterdir())


def test_a_file_is_never_replaced(tmp_path: Path) -> None:
    """Nor is a draft left beside it."""
    path = tmp_path / "key"
    write_private(path, b"first")
    with pytest.raises(FileExistsError):
        write_private(path, b"second")
    assert b"first" == read_private(path, follow=False)
    assert [path] == list(tmp_path.iterdir())


def test_those_who_start_together_get_the_same(tmp_path: Path) -> None:
    """The first one that was made stays; the folder is made, for its owner alone."""
    folder = tmp_path / "deep" / "down"
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda _: read_or_make(folder / "key", lambda: os.urandom(8), follow=False), range(8)))
    assert 1 == len(set(read))
    assert [folder / "key"] == list(folder.iterdir())
    assert 0o700 == stat.S_IMODE(folder.stat().st_mode)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_what_others_can_reach_is_refused(tmp_path: Path, mode: int) -> None:
    """They could sign, or have us sign with a key of theirs."""
    path = tmp_path / "key"
    write_private(path, b"secret")
    path.chmod(mode)
    with pytest.raises(UnusableKeyError, match="owner only"):
        read_private(path, follow=True)


def test_a_link_is_followed_where_that_is_meant(tmp_path: Path) -> None:
    """And what is checked is what it leads to."""
    path, link = tmp_path / "key", tmp_path / "link"
    write_private(path, b"secret")
    link.symlink_to(path)
    assert b"secret" == read_private(link, follow=True)
    with pytest.raises(OSError, match="symbolic"):
        read_private(link, follow=False)
    path.chmod(0o644)
    with pytest.raises(UnusableKeyError, match="owner only"):
        read_private(link, follow=True)


def test_a_signing_key_can_be_a_link(tmp_path: Path) -> None:
    """As secrets are that an orchestrator mounts."""
    made = make_key(tmp_path / "key.pem")
    (tmp_path / "mounted.pem").symlink_to("key.pem")
    assert made.keyid == read_key(tmp_path / "mounted.pem").keyid


def test_a_folder_or_a_pipe_is_no_key(tmp_path: Path) -> None:
    """Nobody waits for what may come out of it."""
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "folder").mkdir(mode=0o700)
    for name in ("pipe", "folder"):
        with pytest.raises(UnusableKeyError, match="plain file"):
            read_private(tmp_path / name, follow=True)


def test_a_large_file_is_no_key(tmp_path: Path) -> None:
    """It is refused whole: its beginning is not taken for it."""
    largest, larger = tmp_path / "largest", tmp_path / "larger"
    write_private(largest, b"k" * 4096)
    write_private(larger, b"k" * 4097)
    assert 4096 == len(read_private(largest, follow=False))
    with pytest.raises(UnusableKeyError, match="too large"):
        read_private(larger, follow=False)

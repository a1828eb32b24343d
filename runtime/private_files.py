"""Keys in files that only their owner can read: how they are read and written."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_MOST_BYTES = 4096


class UnusableKeyError(Exception):
    """The key can't be used; the text says why, in one sentence, without anything of the key."""


def read_private(path: Path, *, follow: bool) -> bytes:
    """What is in a file that only its owner can read.

    Args:
        path: the file.
        follow: whether it may be a symbolic link, as a secret that is mounted often is.

    Raises:
        UnusableKeyError: it is not a plain file, or is readable for others, or is too large for a key.
        OSError: it can't be read, or is a link that is not to be followed.
    """
    # What is checked is what is read: the open file, not the name. Nothing can block.
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(path, flags if follow else flags | os.O_NOFOLLOW)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise UnusableKeyError(f"{path} is not a plain file")
        if stat.S_IMODE(status.st_mode) & 0o077:
            raise UnusableKeyError(f"{path} must be readable for its owner only (chmod 600)")
        data = os.read(descriptor, _MOST_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(data) > _MOST_BYTES:
        raise UnusableKeyError(f"{path} is damaged: it is too large for a key")
    return data


def write_private(path: Path, data: bytes) -> None:
    """Put `data` in a new file that only its owner can read; it appears whole, and is on the disk.

    Raises:
        FileExistsError: there is such a file; it is not touched.
        OSError: it can't be written.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        # A link, not a rename: where two processes make a file, the first one stays, and never half of one is seen.
        os.link(draft, path)
    finally:
        draft.unlink()


def read_or_make(path: Path, make: Callable[[], bytes], *, follow: bool) -> bytes:
    """As `read_private`; where there is no such file, one is written with what `make` makes.

    Several processes may ask at the same time: all get the same.
    """
    try:
        return read_private(path, follow=follow)
    except FileNotFoundError:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileExistsError):  # another process was faster
            write_private(path, make())
        return read_private(path, follow=follow)

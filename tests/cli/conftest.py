"""A place for `ringi up`."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.embedded import free_port
from tests.cli.place import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A folder, and ports that nobody listens on."""
    return Place(tmp_path, (free_port(), free_port(), free_port(), free_port()))

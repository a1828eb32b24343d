"""How hypothesis runs here."""

from __future__ import annotations

import os

from hypothesis import settings

# The first example pays for what is built on first use, and the machine may be busy: time is no property of a rule.
# Where a change is judged, the same cases are tried each time; at home, new ones.
settings.register_profile("ringi", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("ringi")

"""How hypothesis runs here."""

from __future__ import annotations

from hypothesis import settings

# The first example pays for what is built on first use, and the machine may be busy: time is no property of a rule.
settings.register_profile("ringi", deadline=None)
settings.load_profile("ringi")

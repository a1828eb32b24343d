"""How much was forged, and what came of it."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, computed_field

FILE = Path(__file__).resolve().parents[2] / "build" / "forgeries.json"


class Count(BaseModel):
    """Of one family: how often it was begun anew, the forgeries, and how much that was genuine was taken the same way."""

    rounds: int = 0
    tried: int = 0
    accepted: int = 0
    genuine: int = 0


class Report(BaseModel):
    """What a run came to. Its first round's seed is `seed`, each later round's is one more."""

    seed: int
    families: dict[str, Count] = {}

    @computed_field  # type: ignore[prop-decorator]  # mypy knows no decorated properties
    @property
    def tried(self) -> int:
        """The forgeries of all families."""
        return sum(family.tried for family in self.families.values())

    @computed_field  # type: ignore[prop-decorator]  # as above
    @property
    def accepted(self) -> int:
        """Those of them that were taken for genuine."""
        return sum(family.accepted for family in self.families.values())

    def add(self, family: str, *, tried: int, accepted: int, genuine: int) -> None:
        """Count one round of a family."""
        count = self.families.setdefault(family, Count())
        count.rounds += 1
        count.tried += tried
        count.accepted += accepted
        count.genuine += genuine

    def write(self, file: Path) -> None:
        """Keep it where it can be read."""
        file.parent.mkdir(exist_ok=True)
        file.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")

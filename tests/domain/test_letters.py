"""The words of a mail: what waits first, each thing once, and of a proposal no more than its title."""

from __future__ import annotations

from datetime import UTC, datetime

from domain.letters import MOST, Item, letter
from domain.notices import Kind, Notice, Pace, Preferences

DUE = datetime(2026, 12, 1, 9, 30, tzinfo=UTC)
TOKYO = Preferences(time_zone="Asia/Tokyo")


def item(kind: Kind, number: int = 1, *, title: str = "Faces at the station", due: datetime | None = None) -> Item:
    """Something to tell."""
    notice = Notice(kind=kind, what=f"Act number {number}.", due_at=due)
    return Item(review=f"r-{number}", title=title, notice=notice)


def test_one_thing_is_told_in_the_subject() -> None:
    """With its title, when it is due where the reader is, and where to find it."""
    subject, text = letter("Hana", [item(Kind.TURN, due=DUE)], TOKYO, "https://ringi.example.org")
    assert "Your turn: Faces at the station" == subject
    assert (
        "Hana,\n"
        "\n"
        "This waits for you:\n"
        "\n"
        "* Faces at the station\n"
        "  Your turn: Act number 1.\n"
        "  Due 2026-12-01 18:30 (Asia/Tokyo).\n"
        "  https://ringi.example.org/reviews/r-1\n"
        "\n"
        "-- \n"
        "You get this mail once a day at most. You choose how often, and what about, at "
        "https://ringi.example.org/me/preferences.\n"
    ) == text


def test_of_several_things_the_most_urgent_comes_first() -> None:
    """What is overdue, then what is due soonest, then what has no date; news last."""
    items = [
        item(Kind.OUTCOME, 1),
        item(Kind.TURN, 2),
        item(Kind.TURN, 3, due=DUE.replace(month=12, day=9)),
        item(Kind.REMINDER, 4, due=DUE),
        item(Kind.OVERDUE, 5),
    ]
    subject, text = letter("Hana", items, Preferences(pace=Pace.HOURLY), None)
    assert "Ringi: 4 things to do (1 overdue) and 1 piece of news" == subject
    assert ["5", "4", "3", "2", "1"] == [line[-1] for line in text.splitlines() if line.startswith("  Review")]
    assert text.index("This waits for you") < text.index("This happened")
    assert "once an hour" in text


def test_a_turn_is_told_once_however_often_it_was_reminded_of() -> None:
    """By the last that was said of it."""
    subject, text = letter("Hana", [item(Kind.TURN), item(Kind.REMINDER), item(Kind.OVERDUE)], TOKYO, None)
    assert "Overdue: Faces at the station" == subject
    assert 1 == text.count("Act number 1.")


def test_a_flood_is_cut_off_and_counted() -> None:
    """One mail is of a length that somebody reads."""
    items = [*(item(Kind.TURN, n) for n in range(MOST - 1)), *(item(Kind.OUTCOME, n) for n in range(5))]
    subject, text = letter("Hana", items, TOKYO, None)
    assert f"Ringi: {MOST - 1} things to do and 5 pieces of news" == subject
    assert MOST == text.count("  Review r-")
    assert "And 4 more: your inbox has them all." in text
    _, text = letter("Hana", [item(Kind.TURN, n) for n in range(MOST + 1)], TOKYO, None)
    assert "This happened" not in text


def test_what_is_not_seen_is_left_out() -> None:
    """A title that would read backwards, or hide a part of itself, is told as it is written."""
    subject, text = letter("Ha\u200bna", [item(Kind.TURN, title="A\u202egnp.exe\u2066 b\u00adc")], TOKYO, None)
    assert "Your turn: Agnp.exe bc" == subject
    assert "* Agnp.exe bc\n" in text
    assert text.startswith("Hana,\n")

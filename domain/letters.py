"""The words of a mail that tells somebody what waits for them and what happened: plain text, and of a proposal no more
than its title.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from domain.notices import ABOUT_TURNS, Kind, Notice, Pace, Preferences
from domain.values import ReviewId, Value

MOST = 50
"""Things that one mail tells of; of more it says how many there are."""

_FIRST_WORDS = {
    Kind.TURN: "Your turn",
    Kind.REMINDER: "Reminder",
    Kind.OVERDUE: "Overdue",
    Kind.BLOCKED: "Blocked",
    Kind.ANSWER: "Answered",
    Kind.ADVICE: "Your advice",
    Kind.OUTCOME: "Closed",
}

_PACES = {
    Pace.IMMEDIATE: "soon after something happens",
    Pace.HOURLY: "once an hour at most",
    Pace.DAILY: "once a day at most",
    Pace.NONE: "only about what is overdue",
}


class Item(Value):
    """One thing to tell, and the review that it is about."""

    review: ReviewId
    title: str
    notice: Notice


def letter(name: str, items: Sequence[Item], preferences: Preferences, site: str | None) -> tuple[str, str]:
    """The subject and the text of a mail.

    Args:
        name: whom it is for.
        items: what it tells, at least one thing.
        preferences: in whose time zone moments are told.
        site: where the API is, if that is known.
    """
    zone = ZoneInfo(preferences.time_zone)
    # Of several notices about one turn (it began, it was reminded of), the last one says it all.
    turns = {(item.review, item.notice.what): item for item in items if item.notice.kind in ABOUT_TURNS}
    waiting = sorted(turns.values(), key=_urgency)
    news = [item for item in items if item.notice.kind not in ABOUT_TURNS]
    blocks = [f"{_shown(name)},"]
    if waiting:
        blocks += ["This waits for you:", *(_block(item, zone, site) for item in waiting[:MOST])]
    room = MOST - min(len(waiting), MOST)
    if news[:room]:
        blocks += ["This happened:", *(_block(item, zone, site) for item in news[:room])]
    more = len(waiting) + len(news) - MOST
    if more > 0:
        blocks.append(f"And {more} more: your inbox has them all.")
    where = "" if site is None else f", at {site}/me/preferences"
    blocks.append(f"-- \nYou get this mail {_PACES[preferences.pace]}. You choose how often, and what about{where}.")
    return _subject(waiting, news), "\n\n".join(blocks) + "\n"


def _subject(waiting: Sequence[Item], news: Sequence[Item]) -> str:
    if len(waiting) + len(news) == 1:
        (item,) = (*waiting, *news)
        return f"{_FIRST_WORDS[item.notice.kind]}: {_shown(item.title)}"
    said = []
    if waiting:
        overdue = sum(item.notice.kind is Kind.OVERDUE for item in waiting)
        said.append(f"{_count(len(waiting), 'thing')} to do" + (f" ({overdue} overdue)" if overdue else ""))
    if news:
        said.append(f"{_count(len(news), 'piece')} of news")
    return f"Ringi: {' and '.join(said)}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _block(item: Item, zone: ZoneInfo, site: str | None) -> str:
    notice = item.notice
    lines = [f"* {_shown(item.title)}", f"  {_FIRST_WORDS[notice.kind]}: {_shown(notice.what)}"]
    if notice.due_at is not None:
        lines.append(f"  Due {notice.due_at.astimezone(zone):%Y-%m-%d %H:%M} ({zone.key}).")
    lines.append(f"  Review {item.review}" if site is None else f"  {site}/reviews/{item.review}")
    return "\n".join(lines)


def _urgency(item: Item) -> tuple[bool, bool, datetime | None]:
    due_at = item.notice.due_at
    return item.notice.kind is not Kind.OVERDUE, due_at is None, due_at


def _shown(text: str) -> str:
    # What is not seen (a change of the direction of writing, a space without width) could make it read as something else.
    return " ".join("".join(c for c in text if unicodedata.category(c) != "Cf").split())

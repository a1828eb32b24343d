"""Spans of time, by the clock or in working days, and the business calendar that says which days those are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import cache, cached_property
from itertools import count, islice
from typing import Annotated, Self
from zoneinfo import ZoneInfo, available_timezones

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Discriminator,
    Field,
    PlainSerializer,
    StringConstraints,
    Tag,
    model_validator,
)

from domain.values import Line, Prose, Slug, Value


def _duration(value: object) -> object:
    if isinstance(value, str | timedelta):
        return value
    raise ValueError("must be an ISO 8601 duration, like P30D or PT12H")


def _whole_seconds(value: timedelta) -> str:
    """Days and seconds and nothing else: this is digested, and must not depend on how a library likes to write it."""
    return f"P{value.days}D" + (f"T{value.seconds}S" if value.seconds else "")


Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    Field(gt=timedelta(0), le=timedelta(days=3660), multiple_of=timedelta(seconds=1)),
    PlainSerializer(_whole_seconds, return_type=str, when_used="json"),
]
"""Whole seconds, more than none and at most about ten years; ISO 8601 when written, where a year is 365 days."""


class WorkingDays(Value):
    """So many working days. The day from which they are counted is none of them."""

    working_days: Annotated[int, Field(strict=True, ge=0, le=2500)]


def _kind_of_span(value: object) -> str:
    return "WorkingDays" if isinstance(value, BaseModel | dict) else "Duration"


Span = Annotated[
    Annotated[Duration, Tag("Duration")] | Annotated[WorkingDays, Tag("WorkingDays")],
    Discriminator(_kind_of_span),
]
"""How long something may take: a duration, like P30D, or working days, like {working_days: 10}."""


class Weekday(StrEnum):
    """The days of the week, in the order in which `date.weekday` counts them."""

    MONDAY = "monday"
    TUESDAY = "tuesday"
    WEDNESDAY = "wednesday"
    THURSDAY = "thursday"
    FRIDAY = "friday"
    SATURDAY = "saturday"
    SUNDAY = "sunday"


_WEEK = tuple(Weekday)

# A string and nothing else: YAML reads 17:30 without quotes as the number 1050.
ClockTime = Annotated[str, StringConstraints(strict=True, pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
"""A time of day on the clock on the wall, like 09:00."""


class Hours(Value):
    """From when until when is worked on a day; a whole day is one from 00:00 to 23:59."""

    opens: ClockTime
    closes: ClockTime

    @model_validator(mode="after")
    def _opens_first(self) -> Self:
        if self.opens >= self.closes:
            raise ValueError("a working day opens before it closes")
        return self


def _day(value: object) -> object:
    if isinstance(value, str | date):
        return value
    raise ValueError("must be a date, like 2026-04-29")


class Holiday(Value):
    """A day on which nobody works, whichever day of the week it is."""

    day: Annotated[date, BeforeValidator(_day)]
    name: Line


@cache
def _zones() -> frozenset[str]:
    # Beside the zones, a machine has its own under a name, and one that says that it was not set.
    return frozenset(available_timezones() - {"localtime", "Factory"})


def _known_zone(name: str) -> str:
    if name not in _zones():
        raise ValueError("must be the name of a time zone, as Asia/Tokyo")
    return name


TimeZone = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$", max_length=64),
    AfterValidator(_known_zone),
]
"""The name of a time zone in the IANA database."""


class Calendar(Value):
    """When work is done somewhere: the time zone, the working week, the holidays, and where these are from."""

    id: Slug
    title: Line
    source: Prose
    time_zone: TimeZone
    working_week: dict[Weekday, Hours] = Field(min_length=1)
    holidays: tuple[Holiday, ...] = Field(max_length=2000)

    @model_validator(mode="after")
    def _names_each_day_once(self) -> Self:
        days = [holiday.day for holiday in self.holidays]
        if days != sorted(set(days)):
            raise ValueError("the holidays must stand in their order, each day once")
        return self

    def is_working(self, day: date) -> bool:
        """Whether work is done on this day."""
        return _WEEK[day.weekday()] in self.working_week and day not in self._closed

    def closing_after(self, moment: datetime, span: Span) -> datetime:
        """When `span` is over that is counted from `moment`: working days are over when the last of them closes.

        No working days are over at the next close.
        """
        return moment + span if isinstance(span, timedelta) else self._after(moment, span.working_days, self._close)

    def opening_after(self, moment: datetime, span: Span) -> datetime:
        """As `closing_after`, but when the last of the working days opens: the time to remind somebody."""
        return moment + span if isinstance(span, timedelta) else self._after(moment, span.working_days, self._open)

    def opening_before(self, moment: datetime, span: Span) -> datetime:
        """From when on `span` leads to `moment`; that many working days before it, when the first of them opens."""
        if isinstance(span, timedelta):
            return moment - span
        return self._open(next(islice(self._working_days(moment, -1), span.working_days, None)))

    def left(self, moment: datetime, until: datetime, kind: Span) -> Span:
        """How much of the time until `until` is left at `moment`: in working days where `kind` is, or else in seconds."""
        if isinstance(kind, timedelta):
            seconds = -((moment - until) // timedelta(seconds=1))  # one that has begun is left
            return timedelta(seconds=max(seconds, 1))
        first, last = self._local(moment), self._local(until)
        days = (first + timedelta(days=n) for n in range(1, (last - first).days + 1))
        return WorkingDays(working_days=sum(map(self.is_working, days)))

    @cached_property
    def _zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    @cached_property
    def _closed(self) -> frozenset[date]:
        return frozenset(holiday.day for holiday in self.holidays)

    def _after(self, moment: datetime, days: int, edge: Callable[[date], datetime]) -> datetime:
        coming = self._working_days(moment, 1)
        if days == 0:
            return next(at for at in map(edge, coming) if at >= moment)
        today = self._local(moment)
        return edge(next(islice((day for day in coming if day != today), days - 1, None)))

    def _working_days(self, moment: datetime, step: int) -> Iterator[date]:
        """The working days from that of `moment` on, or back from it."""
        today = self._local(moment)
        return filter(self.is_working, (today + timedelta(days=step * n) for n in count()))

    def _local(self, moment: datetime) -> date:
        return moment.astimezone(self._zone).date()

    def _open(self, day: date) -> datetime:
        return self._at(day, self.working_week[_WEEK[day.weekday()]].opens, fold=0)

    def _close(self, day: date) -> datetime:
        hour = self.working_week[_WEEK[day.weekday()]].closes
        # An hour that comes twice closes the second time. One that does not come counts as the one after it: `fold=0`.
        return max(self._at(day, hour, fold=0), self._at(day, hour, fold=1))

    def _at(self, day: date, hour: str, fold: int) -> datetime:
        local = datetime.combine(day, time.fromisoformat(hour), self._zone).replace(fold=fold)
        return local.astimezone(UTC)


MONDAY_TO_FRIDAY = Calendar(
    id="monday-to-friday",
    title="Monday to Friday, in UTC",
    source="What is left when nothing is known of a place.",
    time_zone="UTC",
    working_week={day: Hours(opens="00:00", closes="23:59") for day in _WEEK[:5]},
    holidays=(),
)
"""The calendar where a pack names none."""

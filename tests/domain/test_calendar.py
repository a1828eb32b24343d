"""Working days are counted as people count them: on the calendar of the place, whatever clocks and years do."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from domain.calendar import MONDAY_TO_FRIDAY, Calendar, Holiday, Hours, Weekday, WorkingDays
from runtime.packs import SHIPPED, load_calendar

JP = load_calendar(SHIPPED / "calendars" / "jp.yaml")
WEEK = tuple(Weekday)
DAY = timedelta(days=1)

ZONES = (
    "UTC",
    "Asia/Tokyo",
    "Asia/Kathmandu",
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Africa/Casablanca",
)

moments = st.datetimes(datetime(1990, 1, 1), datetime(2200, 1, 1)).map(lambda at: at.replace(tzinfo=UTC))  # noqa: DTZ001 - the zone comes next
hours = st.tuples(st.times(), st.times()).map(sorted).map(lambda pair: [f"{at:%H:%M}" for at in pair])
spans = st.integers(1, 60).map(lambda n: WorkingDays(working_days=n))


@st.composite
def calendars(draw: st.DrawFn) -> Calendar:
    """Any week, any hours, and holidays among the days around the end of some year."""
    week = draw(st.dictionaries(st.sampled_from(Weekday), hours.filter(lambda pair: pair[0] < pair[1]), min_size=1))
    year = draw(st.integers(1990, 2200))
    offsets = draw(st.sets(st.integers(0, 400), max_size=40))
    return Calendar(
        id="any",
        title="Anywhere",
        source="Generated.",
        time_zone=draw(st.sampled_from(ZONES)),
        working_week={day: Hours(opens=opens, closes=closes) for day, (opens, closes) in week.items()},
        holidays=tuple(
            Holiday(day=date(year, 1, 1) + timedelta(days=offset), name="Closed") for offset in sorted(offsets)
        ),
    )


def office(zone: str, *, opens: str = "09:00", closes: str = "17:30", holidays: tuple[date, ...] = ()) -> Calendar:
    """Monday to Friday somewhere."""
    return Calendar(
        id="office",
        title="An office",
        source="An example.",
        time_zone=zone,
        working_week={day: Hours(opens=opens, closes=closes) for day in WEEK[:5]},
        holidays=tuple(Holiday(day=day, name="Closed") for day in holidays),
    )


def local(calendar: Calendar, moment: datetime) -> datetime:
    """The moment on the clock of the place."""
    return moment.astimezone(ZoneInfo(calendar.time_zone))


def days(number: int) -> WorkingDays:
    return WorkingDays(working_days=number)


@given(calendars(), moments, spans)
def test_what_is_counted_in_working_days_is_due_on_one(calendar: Calendar, moment: datetime, span: WorkingDays) -> None:
    """And opens and closes on the same day, with as many working days on the way as were asked for."""
    opening, closing = calendar.opening_after(moment, span), calendar.closing_after(moment, span)
    day = local(calendar, closing).date()
    assert moment < opening < closing
    assert day == local(calendar, opening).date()
    assert calendar.is_working(day)
    today = local(calendar, moment).date()
    between = [today + timedelta(days=n) for n in range(1, (day - today).days + 1)]
    assert span.working_days == sum(map(calendar.is_working, between))


@given(calendars(), moments, moments, spans, spans)
def test_later_is_never_due_sooner(
    calendar: Calendar, one: datetime, other: datetime, short: WorkingDays, long: WorkingDays
) -> None:
    """Neither what begins later, nor what has more days."""
    for after in (calendar.closing_after, calendar.opening_after):
        assert after(min(one, other), short) <= after(max(one, other), short)
        few, many = sorted((short, long), key=lambda span: span.working_days)
        assert after(one, few) <= after(one, many)


@given(calendars(), moments, spans, st.timedeltas(timedelta(0), 20 * DAY), st.timedeltas(timedelta(0), 20 * DAY))
def test_a_pause_takes_nothing_away(
    calendar: Calendar, moment: datetime, span: WorkingDays, until_stopped: timedelta, stopped_for: timedelta
) -> None:
    """What is left when the clock stops is left when it goes on; without a pause between, nothing has changed."""
    due = calendar.closing_after(moment, span)
    stopped = min(moment + until_stopped, due)
    left = calendar.left(stopped, due, span)
    assert due == calendar.closing_after(stopped, left)
    resumed = calendar.closing_after(stopped + stopped_for, left)
    assert due <= resumed
    assert calendar.is_working(local(calendar, resumed).date())


@given(calendars(), moments, st.timedeltas(DAY, 400 * DAY), st.timedeltas(timedelta(0), 400 * DAY))
def test_a_duration_is_a_duration_on_every_calendar(
    calendar: Calendar, moment: datetime, span: timedelta, passed: timedelta
) -> None:
    """By the clock: no weekend, no holiday and no summer time changes it; of what is left, a begun second counts."""
    due = moment + span
    assert due == calendar.closing_after(moment, span) == calendar.opening_after(moment, span)
    assert moment == calendar.opening_before(due, span)
    left = calendar.left(moment + passed, due, span)
    assert isinstance(left, timedelta)
    assert left == max(span - passed, timedelta(seconds=1)) or timedelta(0) < left - (span - passed) < timedelta(
        seconds=1
    )


@given(calendars(), moments, spans)
def test_back_and_forth(calendar: Calendar, moment: datetime, span: WorkingDays) -> None:
    """So many working days before a closing, and as many on, is that closing."""
    due = calendar.closing_after(moment, span)
    lead = days(span.working_days - 1)
    before = calendar.opening_before(due, lead)
    assert before < due
    assert calendar.is_working(local(calendar, before).date())
    assert due == calendar.closing_after(before, lead)


@pytest.mark.parametrize(
    ("moment", "number", "due"),
    [
        ((2026, 4, 1, 8, 0), 1, (2026, 4, 2)),  # the day on which it is asked is none, however early
        ((2026, 4, 1, 23, 59), 1, (2026, 4, 2)),
        ((2026, 4, 3, 16, 0), 1, (2026, 4, 6)),  # over a weekend
        ((2026, 4, 4, 12, 0), 1, (2026, 4, 6)),  # from within one
        ((2026, 4, 28, 12, 0), 3, (2026, 5, 7)),  # over Golden Week, of which 6 May stands in for 3 May
        ((2026, 9, 18, 12, 0), 1, (2026, 9, 24)),  # a day between two holidays is one
        ((2026, 12, 28, 12, 0), 1, (2027, 1, 4)),  # over the end of a year
        ((2028, 2, 28, 12, 0), 1, (2028, 2, 29)),  # onto a leap day
        ((2028, 2, 28, 12, 0), 2, (2028, 3, 1)),
        ((2029, 5, 2, 12, 0), 1, (2029, 5, 3)),  # past the years that the list knows
    ],
)
def test_examples_in_japan(moment: tuple[int, ...], number: int, due: tuple[int, int, int]) -> None:
    """At the close of the day, in Tokyo."""
    zone = ZoneInfo("Asia/Tokyo")
    asked = datetime(*moment, tzinfo=zone)  # type: ignore[misc,arg-type]  # year to minute
    assert datetime(*due, 17, 30, tzinfo=zone) == JP.closing_after(asked, days(number))
    assert datetime(*due, 9, 0, tzinfo=zone) == JP.opening_after(asked, days(number))


def test_the_clocks_go_forward_and_back() -> None:
    """The day closes at the same hour on the wall, an hour sooner or later for the rest of the world."""
    berlin = office("Europe/Berlin")
    before, spring = datetime(2026, 3, 27, 12, 0, tzinfo=UTC), datetime(2026, 3, 30, 15, 30, tzinfo=UTC)
    assert spring == berlin.closing_after(before, days(1))
    assert datetime(2026, 3, 27, 16, 30, tzinfo=UTC) == berlin.closing_after(before - DAY, days(1))
    autumn = berlin.closing_after(datetime(2026, 10, 23, 12, 0, tzinfo=UTC), days(1))
    assert datetime(2026, 10, 26, 16, 30, tzinfo=UTC) == autumn


def test_an_hour_that_does_not_come_and_one_that_comes_twice() -> None:
    """Closing is never sooner than the clock on the wall says, and the second time where it says so twice."""
    sundays = {Weekday.SUNDAY: Hours(opens="02:10", closes="02:30")}
    new_york = office("America/New_York").model_copy(update={"working_week": sundays})
    gap = new_york.closing_after(datetime(2026, 3, 7, 12, 0, tzinfo=UTC), days(1))
    assert datetime(2026, 3, 8, 7, 30, tzinfo=UTC) == gap
    assert time(3, 30) == local(new_york, gap).time()
    sundays = {Weekday.SUNDAY: Hours(opens="01:10", closes="01:30")}
    new_york = new_york.model_copy(update={"working_week": sundays})
    twice = new_york.closing_after(datetime(2026, 10, 31, 12, 0, tzinfo=UTC), days(1))
    assert datetime(2026, 11, 1, 6, 30, tzinfo=UTC) == twice


def test_no_working_days_are_over_at_the_next_close() -> None:
    """Today's, unless it is past, or today is none."""
    calendar = office("UTC", holidays=(date(2026, 4, 3),))
    for at, due in (
        ((2, 9, 0), (2, 17, 30)),
        ((2, 17, 30), (2, 17, 30)),
        ((2, 18, 0), (6, 17, 30)),
        ((3, 9, 0), (6, 17, 30)),
    ):
        assert datetime(2026, 4, *due, tzinfo=UTC) == calendar.closing_after(
            datetime(2026, 4, *at, tzinfo=UTC), days(0)
        )


def test_the_far_future_is_counted_too() -> None:
    """Ten years of working days from the year 9000."""
    due = JP.closing_after(datetime(9000, 1, 1, tzinfo=UTC), days(2500))
    assert 9009 == due.year


def test_where_nothing_is_known_a_week_has_five_days() -> None:
    """In UTC, to the last minute of the day."""
    friday = datetime(2026, 4, 3, 12, 0, tzinfo=UTC)
    assert datetime(2026, 4, 6, 23, 59, tzinfo=UTC) == MONDAY_TO_FRIDAY.closing_after(friday, days(1))


@pytest.mark.parametrize(
    "wrong",
    [
        {"time_zone": "Asia/Nowhere"},
        {"time_zone": "../etc/passwd"},
        {"time_zone": "Asia"},
        {"time_zone": "localtime"},
        {"working_week": {}},
        {"working_week": {"monday": {"opens": "17:00", "closes": "09:00"}}},
        {"working_week": {"monday": {"opens": 540, "closes": 1050}}},
        {"working_week": {"someday": {"opens": "09:00", "closes": "17:00"}}},
        {"holidays": [{"day": "2026-02-29", "name": "No such day"}]},
        {"holidays": [{"day": 20260101, "name": "A number"}]},
        {"holidays": [{"day": "2026-01-02", "name": "b"}, {"day": "2026-01-01", "name": "a"}]},
        {"holidays": [{"day": "2026-01-01", "name": "a"}, {"day": "2026-01-01", "name": "b"}]},
    ],
)
def test_what_is_no_calendar_is_refused(wrong: dict[str, object]) -> None:
    """An unknown place, a day that ends before it begins, a date that is none."""
    with pytest.raises(ValidationError):
        Calendar.model_validate(JP.model_dump(mode="json") | wrong)


def test_a_calendar_is_what_was_written() -> None:
    """To JSON and back."""
    assert JP == Calendar.model_validate_json(JP.model_dump_json())


# Japan's holidays, worked out anew from the Act on National Holidays.


def nth_monday(year: int, month: int, n: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(7 - first.weekday()) % 7 + 7 * (n - 1))


def equinox(year: int, *, autumn: bool) -> date:
    """The day by the usual approximation of the sun's course in Japan, good from 1980 to 2099."""
    base = 23.2488 if autumn else 20.8431
    return date(year, 9 if autumn else 3, int(base + 0.242194 * (year - 1980)) - (year - 1980) // 4)


def by_law(year: int) -> set[date]:
    """Articles 2 and 3 of the Act."""
    named = {
        date(year, 1, 1),
        nth_monday(year, 1, 2),
        date(year, 2, 11),
        date(year, 2, 23),
        equinox(year, autumn=False),
        date(year, 4, 29),
        date(year, 5, 3),
        date(year, 5, 4),
        date(year, 5, 5),
        nth_monday(year, 7, 3),
        date(year, 8, 11),
        nth_monday(year, 9, 3),
        equinox(year, autumn=True),
        nth_monday(year, 10, 2),
        date(year, 11, 3),
        date(year, 11, 23),
    }
    found = set(named)
    for day in sorted(named):
        if day.weekday() == WEEK.index(Weekday.SUNDAY):
            instead = day
            while instead in found:
                instead += DAY
            found.add(instead)
    found |= {one + DAY for one, other in pairwise(sorted(named)) if other - one == 2 * DAY}
    return found


@pytest.mark.parametrize("year", [2026, 2027, 2028])
def test_japans_holidays_are_those_of_the_law(year: int) -> None:
    """The list of a year is what the Act makes of it, and when offices rest."""
    rest = {date(year, 1, day) for day in (1, 2, 3)} | {date(year, 12, day) for day in (29, 30, 31)}
    listed = {holiday.day for holiday in JP.holidays if holiday.day.year == year}
    assert by_law(year) | rest == listed

"""Who is told what, and when: whoever it concerns, nobody who may not read the case, and no floods."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from domain.commands import FallDue
from domain.decisions import (
    AdviceAnswer,
    AdviceResponse,
    Answer,
    ChangeRequest,
    Claim,
    Declining,
    Extension,
    Question,
    QuestionAnswer,
    Reassignment,
    Recusal,
    Release,
    Revision,
    Submission,
    Withdrawal,
)
from domain.notices import WINDOW, Kind, Notice, Pace, Preferences, Queued, as_it_stands, concerned, telling
from domain.people import Role
from domain.review import waits_for
from domain.sign_off import basis
from domain.turns import changes, is_for
from tests.domain.builders import (
    ADA,
    AUTHOR,
    CAI,
    COUNCIL,
    DEPUTY,
    ENGINEER,
    HEAD,
    HEAD_DEPUTY,
    JUN,
    KEI,
    LEA,
    MAO,
    NOA,
    OFFICER,
    OUTSIDER,
    OWNER,
    REVIEWERS,
    RIN,
    Case,
    noticed,
    opinion,
    route,
    sheet,
    text_digest,
)


class Telling(Case):
    """A case that keeps what each commit gives notice of."""

    told: tuple[Notice, ...] = ()
    queued: tuple[Queued, ...] = ()

    def apply(self, *command: Any) -> Any:
        """Apply it, and find out what is to be told of it."""
        before = self.review
        happened = super().apply(*command)
        self.told = noticed(before, self.review, happened)
        self.queued += tuple(
            Queued(**notice.model_dump(), id=number, queued_at=self.now)
            for number, notice in enumerate(self.told, start=len(self.queued))
        )
        return happened

    def news(self) -> list[list[tuple[Kind, int]]]:
        """Of each turn now: what tells of it whoever it falls to only now."""
        return [[(n.kind, n.id) for n in news] for _, news in telling(self.review, self.queued, self.now)]

    def who(self, kind: Kind | None = None) -> dict[str, list[str]]:
        """What the last commit tells, and whom now."""
        return {
            notice.what: list(concerned(notice, self.review, self.holders()))
            for notice in self.told
            if kind in (None, notice.kind)
        }


def test_it_is_told_whose_turn_it_has_become() -> None:
    """From stage to stage, to everybody whose turn it is and nobody else; not again while it stays theirs."""
    case = Telling(route(council=True, needed=2, panel=2))
    assert {"Give a verdict on each principle (0 of 2 agreeing so far).": sorted(REVIEWERS)} == case.who(Kind.TURN)
    case.accepts(RIN, sheet())
    assert not case.told
    case.accepts(JUN, sheet())
    assert {"Give an opinion and any advice, or step aside."} == set(case.who(Kind.TURN))
    told = [concerned(notice, case.review, case.holders()) for notice in case.told]
    assert sorted((member,) for member in COUNCIL) == sorted(told)
    case.consult("ask them")
    assert {"Answer the Council's advice (1 left).": [OFFICER]} == case.who()


def test_whoever_was_asked_is_told_of_the_answer() -> None:
    """A question goes to the owner, each one of several; the answer to whoever asked."""
    case = Telling()
    case.accepts(RIN, Question())
    (first,) = case.who(Kind.TURN).items()
    assert [OWNER] == first[1]
    case.accepts(JUN, Question())
    (second,) = case.who(Kind.TURN).items()
    assert first != second
    assert [OWNER] == second[1]
    asked = case.review.questions[0].by
    assert RIN == asked.person
    case.accepts(OWNER, QuestionAnswer(question=asked.decision))
    assert {"Your question was answered.": [RIN]} == case.who()


def test_a_change_request_goes_to_the_owner_and_the_revision_to_the_reviewers() -> None:
    """Who reviewed is asked again."""
    case = Telling()
    case.accepts(OFFICER, ChangeRequest())
    assert {"Answer the change request with a new revision.": [OWNER]} == case.who()
    case.accepts(AUTHOR, Revision(proposal=text_digest(2)))
    assert [sorted(REVIEWERS)] == list(case.who(Kind.TURN).values())


def test_a_council_member_is_told_what_became_of_their_advice() -> None:
    """All of it in one notice, without the reasons."""
    case = Telling(route(council=True))
    case.agree()
    case.accepts(LEA, opinion("publish it", "ask them"))
    case.accepts(NOA, opinion("wait"))
    case.accepts(ADA, opinion())
    case.accepts(CAI, opinion())
    pieces = case.review.council.advice
    said = [Answer.ACCEPTED, Answer.DECLINED, Answer.ACCEPTED]
    case.accepts(
        OFFICER,
        AdviceResponse(
            answers=tuple(
                AdviceAnswer(advice=piece.id, answer=answer, reason="secret")
                for piece, answer in zip(pieces, said, strict=True)
            )
        ),
    )
    assert {
        "The officer answered your advice: 1 accepted, 1 declined.": [LEA],
        "The officer answered your advice: 1 accepted.": [NOA],
    } == case.who(Kind.ADVICE)


def test_owner_and_author_are_told_the_outcome() -> None:
    """Whoever brought it about knows; nobody else is told."""
    case = Telling()
    case.to_sign_off()
    case.sign(HEAD)
    told = [(notice.kind, notice.person, notice.what) for notice in case.told]
    assert [(Kind.OUTCOME, person, "The review is closed: approved.") for person in (OWNER, AUTHOR)] == told
    case = Telling()
    case.accepts(OWNER, Withdrawal())
    assert {"The review is closed: withdrawn.": [AUTHOR]} == case.who()
    case = Telling(owner=OWNER, author=OWNER, opened=False)
    case.accepts(OWNER, Submission(), digest=text_digest(1))
    case.to_sign_off()
    case.accepts(HEAD, Declining(basis=basis(case.review)))
    assert {"The review is closed: declined.": [OWNER]} == case.who()


def test_whose_signature_no_longer_holds_is_asked_again_in_time() -> None:
    """Until then the case is not theirs to read, and so they are not told of it."""
    case = Telling(route(signatories=2))
    case.to_sign_off()
    case.sign(HEAD)
    case.accepts(OFFICER, ChangeRequest())
    assert {"Answer the change request with a new revision.": [OWNER]} == case.who()
    case.accepts(OWNER, Revision(proposal=text_digest(2)))
    case.to_sign_off()
    assert [[HEAD]] == list(case.who(Kind.TURN).values())


def test_a_deadline_reminds_and_then_calls_the_next_in_line() -> None:
    """Everybody whose turn it is, each time; who comes in because it is overdue is told that it is."""
    case = Telling()
    case.to_sign_off()
    remind, due = sorted(case.review.deadlines, key=lambda deadline: deadline.at)
    case.now = remind.at
    case.apply(FallDue(deadline=remind.id), case.facts())
    assert [[HEAD]] == list(case.who(Kind.REMINDER).values())
    case.now = due.at
    case.apply(FallDue(deadline=due.id), case.facts())
    told = [concerned(notice, case.review, case.holders()) for notice in case.told]
    assert [(HEAD,), (HEAD_DEPUTY,), (OFFICER,), (DEPUTY,)] == told
    assert {Kind.OVERDUE} == {notice.kind for notice in case.told}


def test_the_owner_is_reminded_of_a_question_while_the_others_clocks_stand_still() -> None:
    """And the officer hears when it is overdue; the reviewers hear of neither."""
    case = Telling()
    case.accepts(RIN, Question())
    told: dict[Kind, set[str | None]] = {}
    while Kind.OVERDUE not in told:
        deadline = min(case.review.deadlines, key=lambda deadline: deadline.at)
        case.now = deadline.at
        case.apply(FallDue(deadline=deadline.id), case.facts())
        for notice in case.told:
            told.setdefault(notice.kind, set()).add(notice.person or notice.role)
    assert {Kind.REMINDER: {OWNER}, Kind.OVERDUE: {OWNER, Role.OFFICER}} == told


def test_a_notice_is_for_nobody_once_it_is_done() -> None:
    """Nor for who has given their part of it, lost the role, or may not do it any more."""
    case = Telling(route(needed=2, panel=2))
    (notice,) = case.told
    case.accepts(RIN, sheet())
    assert (JUN, KEI, MAO) == tuple(p for p in REVIEWERS if p in concerned(notice, case.review, case.holders()))
    case.grants = [grant for grant in case.grants if grant.person != KEI]
    assert sorted([JUN, MAO]) == list(concerned(notice, case.review, case.holders()))
    case.accepts(JUN, sheet())
    assert () == concerned(notice, case.review, case.holders())


def test_who_is_assigned_a_turn_is_told_so_by_name() -> None:
    """They alone, or who acts in their place; nobody, once they gave it back."""
    case = Telling(route(needed=2, panel=3))
    asked = "Give a verdict on each principle (0 of 2 agreeing so far). The officer assigned it to you."
    case.accepts(OFFICER, Reassignment(act="verdict_sheet", person=JUN))
    assert {asked: [JUN]} == case.who()
    case.accepts(KEI, sheet("privacy"))
    assert not case.told
    case.accepts(OFFICER, Reassignment(act="verdict_sheet", person=RIN))
    (notice,) = case.told
    assert asked == as_it_stands(notice, case.review).what
    case.delegates(RIN, OUTSIDER, Role.REVIEWER)
    assert {asked: [OUTSIDER]} == case.who(Kind.TURN)
    case.accepts(OUTSIDER, Release())
    assert () == concerned(notice, case.review, case.holders())


def test_a_turn_that_was_claimed_is_told_anew_when_it_is_free() -> None:
    """To all to whom it falls again, and as no deadline of theirs; not when it is done."""
    case = Telling()
    case.accepts(JUN, Claim(act="verdict_sheet"))
    assert not case.told
    case.time_runs_out(JUN)
    assert {"Give a verdict on each principle (0 of 1 agreeing so far).": sorted(REVIEWERS)} == case.who(Kind.TURN)
    assert {Kind.TURN} == {notice.kind for notice in case.told}
    case.accepts(JUN, Claim(act="verdict_sheet"))
    case.accepts(JUN, sheet())
    assert {"Sign, ask, or decline: Head."} == set(case.who())


def test_who_stepped_aside_is_told_nothing_more() -> None:
    """Not even of what was on its way to them."""
    case = Telling(route(council=True))
    case.agree()
    mine = next(notice for notice in case.told if notice.person == LEA)
    case.accepts(LEA, Recusal())
    assert () == concerned(mine, case.review, case.holders())
    about = Notice(kind=Kind.ADVICE, what="The officer answered your advice: 1 accepted.", person=LEA)
    assert () == concerned(about, case.review, case.holders())


def test_nobody_is_told_of_a_case_that_they_may_not_read() -> None:
    """Whoever a notice names."""
    case = Telling()
    for person in (ENGINEER, NOA, HEAD):
        assert () == concerned(Notice(kind=Kind.ANSWER, what="It was.", person=person), case.review, case.holders())
    assert () == concerned(Notice(kind=Kind.OUTCOME, what="It is."), case.review, case.holders())


def test_a_notice_says_how_its_turn_stands_when_it_is_sent() -> None:
    """As many as agree by then."""
    case = Telling(route(needed=2, panel=2))
    (notice,) = case.told
    case.accepts(RIN, sheet())
    assert "(1 of 2 agreeing so far)" in as_it_stands(notice, case.review).what
    other = Notice(kind=Kind.OUTCOME, what="It is closed.", person=OWNER)
    assert other == as_it_stands(other, case.review)


def test_turns_change_one_by_one() -> None:
    """One that others answer now is the same one; for who is left out it has ended."""
    case = Case(route(needed=2, panel=2))
    before = waits_for(case.review)
    assert () == changes(before, before)
    case.accepts(RIN, sheet())
    (change,) = changes(before, waits_for(case.review))
    assert change.was is not None
    assert change.now is not None
    for person, was, now in ((RIN, True, False), (JUN, True, True), (OWNER, False, False)):
        assert (was, now) == (is_for(change.was, person, case.holders()), is_for(change.now, person, case.holders()))
    case.accepts(JUN, sheet())
    ended, began = changes((change.now,), waits_for(case.review))
    assert (change.now, None) == (ended.was, ended.now)
    assert began.was is None
    assert began.now is not None
    assert Role.SIGNATORY is began.now.role or began.now.stage != change.now.stage


MOMENT = datetime(2026, 11, 22, 10, 20, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("preferences", "expected"),
    [
        (Preferences(), datetime(2026, 11, 23, 8, tzinfo=UTC)),
        (Preferences(hour=11), datetime(2026, 11, 22, 11, tzinfo=UTC)),
        (Preferences(hour=20, time_zone="Asia/Tokyo"), datetime(2026, 11, 22, 11, tzinfo=UTC)),
        (Preferences(hour=19, time_zone="Asia/Tokyo"), datetime(2026, 11, 23, 10, tzinfo=UTC)),
        (Preferences(pace=Pace.HOURLY), datetime(2026, 11, 22, 11, tzinfo=UTC)),
        (Preferences(pace=Pace.IMMEDIATE), MOMENT + WINDOW),
        (Preferences(pace=Pace.NONE), None),
        (Preferences(pace=Pace.IMMEDIATE, kinds=(Kind.OUTCOME,)), None),
    ],
)
def test_mail_comes_when_somebody_wants_it(preferences: Preferences, expected: datetime | None) -> None:
    """A daily one in the morning of wherever they are."""
    assert expected == preferences.mail_at(Kind.TURN, MOMENT)


@pytest.mark.parametrize("pace", Pace)
def test_what_is_overdue_is_told_at_once_whatever_somebody_prefers(pace: Pace) -> None:
    """The one before them did not act, and others wait."""
    assert MOMENT + WINDOW == Preferences(pace=pace, kinds=()).mail_at(Kind.OVERDUE, MOMENT)


@given(
    at=st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC)),  # noqa: DTZ001 - hypothesis adds the zone itself
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Kiritimati"]),
    hour=st.integers(0, 23),
)
def test_the_morning_after_any_moment_is_within_a_day_and_an_hour(at: datetime, zone: str, hour: int) -> None:
    """On the days that the clocks change, too."""
    mail_at = Preferences(time_zone=zone, hour=hour).mail_at(Kind.TURN, at)
    assert mail_at is not None
    assert timedelta() < mail_at - at <= timedelta(hours=25)


@pytest.mark.parametrize(
    "zone",
    [
        *("", "Mars/Olympus", "../etc/passwd", "/etc/localtime", "Europe", "x" * 65, "UTC\n"),
        *("localtime", "posixrules", "Factory", "right/UTC", "posix/UTC"),
    ],
)
def test_a_time_zone_is_one_of_the_known_ones(zone: str) -> None:
    """And nothing that could be a file of another kind; nor what differs from one machine to the next, or counts leap
    seconds.
    """
    with pytest.raises(ValidationError):
        Preferences(time_zone=zone)


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/Argentina/Buenos_Aires", "Etc/GMT+9", "Asia/Calcutta"])
def test_every_zone_of_the_database_is_known(zone: str) -> None:
    """Older names of a zone among them."""
    assert zone == Preferences(time_zone=zone).time_zone


def test_nothing_is_told_of_a_refusal() -> None:
    """Who was refused has the receipt."""
    case = Telling()
    case.refusal(ENGINEER, Question())
    assert () == case.told


# Whoever a turn falls to only now.


def test_what_tells_of_a_turn_is_how_it_stands() -> None:
    """It is the turn at first, whoever was reminded of it, and overdue once it is; given more time, it no longer is."""
    case = Telling()
    case.to_sign_off()
    remind, due = sorted(case.review.deadlines, key=lambda deadline: deadline.at)
    (began,) = (notice for notice in case.queued if notice.role is Role.SIGNATORY)
    assert [[(Kind.TURN, began.id)]] == case.news()
    case.now = remind.at
    case.apply(FallDue(deadline=remind.id), case.facts())
    assert [[(Kind.TURN, began.id)]] == case.news()
    case.now = due.at
    case.apply(FallDue(deadline=due.id), case.facts())
    assert {Kind.OVERDUE} == {kind for news in case.news() for kind, _ in news}
    knows, _ = telling(case.review, case.queued, case.now)[0]
    assert [Kind.TURN, Kind.REMINDER, Kind.OVERDUE] == [notice.kind for notice in knows]
    case.accepts(OFFICER, Extension(until=case.now + 14 * timedelta(days=1)))
    assert (Kind.TURN, began.id) in case.news()[0]


def test_what_was_told_in_an_earlier_round_does_not_tell_of_this_one() -> None:
    """The same is asked of the same people: whoever was told then is told anew."""
    case = Telling()
    (first,) = case.news()
    case.now += timedelta(hours=1)
    case.accepts(OFFICER, ChangeRequest())
    case.now += timedelta(hours=1)
    case.accepts(AUTHOR, Revision(proposal=text_digest(2)))
    (second,) = case.news()
    assert {Kind.TURN} == {kind for kind, _ in first + second}
    assert first != second
    ((knows, _),) = telling(case.review, case.queued, case.now)
    assert [second] == [[(notice.kind, notice.id) for notice in knows]]


def test_an_assigned_turn_is_told_by_name_to_whoever_it_is_left_to() -> None:
    """And what is left of it to everybody else; no turn, no news."""
    case = Telling(route(needed=2, panel=3))
    case.accepts(OFFICER, Reassignment(act="verdict_sheet", person=JUN))
    ((_, (by_name, to_all)),) = telling(case.review, case.queued, case.now)
    assert (JUN, None) == (by_name.person, to_all.person)
    case.delegates(JUN, OUTSIDER, Role.REVIEWER)
    assert (OUTSIDER,) == concerned(by_name, case.review, case.holders())
    case.accepts(OWNER, Withdrawal())
    assert [] == case.news()

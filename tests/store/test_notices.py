"""Being told, from the commit to the mail: whom, once, together, and never what is no longer theirs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from pydantic import SecretStr
from temporalio.client import Client

from activities.notifier import KEEP_TRYING, LEAST_ATTEMPTS, LONGEST_PAUSE_OF_MAIL, Notifier, pause_after
from activities.ports import Letter, Mailer
from domain.access import may_read
from domain.decisions import AnyContent, ChangeRequest, Conflict, Question, Recusal, Withdrawal
from domain.notices import TOLD_WITHIN, Kind, Pace, Preferences
from domain.people import Person, Role
from runtime.mail import SmtpMailer
from runtime.webhooks import WebhookPoster
from store.notices import LEASE, NobodyHereError, Notices, queue_mail
from store.webhooks import Webhooks
from tests.conftest import DatabaseUrls, Servers
from tests.store.reviews import arrived, commit, opened, sheet_of
from tests.support.harness import Harness, harness, until
from tests.support.mail import MailServer, mail_server

REVIEWERS = ("jun.reviewer", "kei.reviewer", "rin.reviewer")
ALL = Preferences(pace=Pace.IMMEDIATE)


class Clock:
    """The present, some time ahead."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        """Tell the present."""
        return datetime.now(UTC) + self.ahead

    def pass_by(self, time: timedelta) -> None:
        """Let time pass."""
        self.ahead += time


@pytest.fixture
def clock() -> Clock:
    """What everything here goes by."""
    return Clock()


@pytest.fixture
async def system(
    servers: Servers, database: DatabaseUrls, temporal_client: Client, clock: Clock
) -> AsyncIterator[Harness]:
    """The stores on a database of the test's own; everybody has an address and says nothing about mail."""
    async with harness(database.app_url, temporal_client, servers.temporal.address, clock=clock) as system:
        await system.database.pool.execute("update people set email = id || '@example.org'")
        yield system


@pytest.fixture
async def mail() -> AsyncIterator[MailServer]:
    """A real mail server."""
    async with mail_server() as server:
        yield server


@pytest.fixture
def notices(system: Harness) -> Notices:
    """What is to be told."""
    return Notices(system.database, Preferences(), "https://ringi.example.org")


@pytest.fixture
def notifier(system: Harness, notices: Notices, mail: MailServer) -> Notifier:
    """Who tells it."""
    return notifier_of(system, notices, SmtpMailer(SecretStr(mail.url), "ringi@example.org"))


def notifier_of(system: Harness, notices: Notices, mailer: Mailer | None) -> Notifier:
    """Who tells it with this mailer."""
    return Notifier(notices, mailer, Webhooks(system.database, "urn:ringi"), WebhookPoster())


def address_of(person: str) -> str:
    """Where somebody's mail goes."""
    return f"{person}@example.org"


async def say(system: Harness, review: str, person: str, content: AnyContent, reason: str = "Because.") -> None:
    """Have somebody decide."""
    delivery = await system.store(review, person, content, reason)
    assert (await commit(system, review, arrived(delivery))).done


async def states(system: Harness, person: str) -> list[str]:
    """What became of somebody's notices, in order."""
    rows = await system.database.pool.fetch("select state from tellings where person = $1 order by notice", person)
    return [row["state"] for row in rows]


async def next_morning(clock: Clock, notifier: Notifier) -> None:
    """Find out who is to be told, and come round again a day later."""
    await notifier.round()
    clock.pass_by(timedelta(days=1))
    await notifier.round()


async def test_what_waits_for_somebody_goes_out_as_one_mail(
    system: Harness, notifier: Notifier, mail: MailServer, clock: Clock
) -> None:
    """A morning's worth of it; each of three reviewers gets one mail about three proposals, and nobody else any."""
    for _ in range(3):
        await opened(system, tier=3)
    await notifier.round()
    assert [] == mail.taken
    clock.pass_by(timedelta(days=1))
    await notifier.round()
    await notifier.round()
    assert sorted(map(address_of, REVIEWERS)) == sorted(message["To"] for message in mail.taken)
    (message,) = mail.to(address_of("rin.reviewer"))
    assert "Ringi: 3 things to do" == message["Subject"]
    assert 3 == message.get_content().count("Give a verdict on each principle")
    assert ["sent"] * 3 == await states(system, "rin.reviewer")


async def test_a_mail_tells_the_title_and_what_is_asked_and_no_more(
    system: Harness, notifier: Notifier, notices: Notices, mail: MailServer, clock: Clock
) -> None:
    """Nothing of what the proposal says, nor of what anybody wrote about it."""
    await notices.prefer("hana.owner", ALL)
    review = await opened(system, tier=3, title="The title", purpose="SECRET-purpose", use_of_ai="SECRET-use")
    await say(system, review, "rin.reviewer", ChangeRequest(), "SECRET-reason")
    await next_morning(clock, notifier)
    (message,) = mail.to(address_of("hana.owner"))
    assert "Your turn: The title" == message["Subject"]
    text = message.get_content()
    assert "Answer the change request with a new revision." in text
    assert f"https://ringi.example.org/reviews/{review}" in text
    assert "SECRET" not in message.as_string()


async def test_what_is_done_by_the_morning_is_not_told(
    system: Harness, notifier: Notifier, mail: MailServer, clock: Clock
) -> None:
    """A mail never asks for what somebody else has done, or they themselves; what is left of it goes out."""
    done, left = await opened(system), await opened(system, title="Left to do")
    await notifier.round()
    await sheet_of(system, done, "rin.reviewer")
    clock.pass_by(timedelta(days=1))
    await notifier.round()
    (message,) = mail.to(address_of("jun.reviewer"))
    assert "Your turn: Left to do" == message["Subject"]
    assert done not in message.get_content()
    assert left in message.get_content()
    assert ["past", "sent"] == await states(system, "jun.reviewer")


@pytest.mark.parametrize("how", ["recused", "revoked", "disabled"])
async def test_who_may_not_read_a_case_any_more_is_not_told_of_it(
    system: Harness, notifier: Notifier, notices: Notices, mail: MailServer, clock: Clock, how: str
) -> None:
    """Though it was on its way to them."""
    await notices.prefer("lea.lawyer", ALL)
    review = await opened(system, tier=4)
    for person in ("rin.reviewer", "jun.reviewer"):
        await sheet_of(system, review, person)
    await notifier.round()
    assert ["waiting"] == await states(system, "lea.lawyer")
    match how:
        case "recused":
            await say(system, review, "lea.lawyer", Recusal())
        case "revoked":
            (grant,) = await system.registers.grants("lea.lawyer")
            await system.registers.revoke(grant.id, "left", by="ops.operator")
        case _:
            await system.registers.disable("lea.lawyer", "ops.operator", "left")
    clock.pass_by(timedelta(days=1))
    await notifier.round()
    assert [] == mail.to(address_of("lea.lawyer"))
    assert ["past"] == await states(system, "lea.lawyer")
    assert mail.to(address_of("noa.npo"))


async def test_everybody_gets_mail_as_they_want_it(
    system: Harness, notifier: Notifier, notices: Notices, mail: MailServer, clock: Clock
) -> None:
    """At once, but with what follows within the minute; once a day; or not about this."""
    await notices.prefer("jun.reviewer", ALL)
    await notices.prefer("kei.reviewer", Preferences(kinds=(Kind.OUTCOME,)))
    await opened(system, tier=3)
    await notifier.round()
    await opened(system, tier=3)
    await notifier.round()
    assert [] == mail.taken
    clock.pass_by(timedelta(minutes=1))
    await notifier.round()
    assert [address_of("jun.reviewer")] == [message["To"] for message in mail.taken]
    assert "Ringi: 2 things to do" == mail.taken[0]["Subject"]
    clock.pass_by(timedelta(days=1))
    await notifier.round()
    assert [address_of("jun.reviewer"), address_of("rin.reviewer")] == [message["To"] for message in mail.taken]
    assert ["unwanted", "unwanted"] == await states(system, "kei.reviewer")


async def test_a_new_preference_holds_for_what_waits_already(
    system: Harness, notifier: Notifier, notices: Notices, mail: MailServer, clock: Clock
) -> None:
    """Sooner, or never."""
    await opened(system, tier=3)
    await notifier.round()
    await notices.prefer("jun.reviewer", ALL)
    await notices.prefer("kei.reviewer", Preferences(pace=Pace.NONE))
    assert ALL == await notices.preferences("jun.reviewer")
    assert Preferences() == await notices.preferences("rin.reviewer")
    clock.pass_by(timedelta(minutes=1))
    await notifier.round()
    assert [address_of("jun.reviewer")] == [message["To"] for message in mail.taken]
    assert (["unwanted"], ["waiting"]) == (await states(system, "kei.reviewer"), await states(system, "rin.reviewer"))
    with pytest.raises(NobodyHereError):
        await notices.prefer("nobody.known", ALL)


async def test_what_is_overdue_is_told_even_to_who_wants_no_mail(
    system: Harness, notifier: Notifier, notices: Notices, mail: MailServer, clock: Clock
) -> None:
    """Within the minute."""
    from activities.messages import Due

    await notices.prefer("omi.officer", Preferences(pace=Pace.NONE, kinds=()))
    review = await opened(system, tier=3)
    state = await system.state(review)
    clock.pass_by(max(deadline.at for deadline in state.deadlines) - datetime.now(UTC) + timedelta(hours=1))
    for deadline in sorted(state.deadlines, key=lambda deadline: deadline.at):
        assert (await commit(system, review, Due(deadline=deadline.id))).done
    await notifier.round()
    clock.pass_by(timedelta(seconds=45))
    await notifier.round()
    (message,) = mail.to(address_of("omi.officer"))
    assert message["Subject"].startswith("Overdue: ")


async def test_who_has_no_address_is_written_nothing(system: Harness, notifier: Notifier, mail: MailServer) -> None:
    """It stays listed."""
    await system.database.pool.execute("update people set email = null where id = 'rin.reviewer'")
    await opened(system, tier=3)
    await notifier.round()
    assert ["no_address"] == await states(system, "rin.reviewer")


async def test_what_is_no_news_any_more_is_left_out(
    system: Harness, notices: Notices, mail: MailServer, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Where there was no mail server for a long time. That there is none is said once."""
    without = notifier_of(system, notices, None)
    running = asyncio.create_task(without.run())
    await opened(system, tier=3)
    await until(lambda: system.database.pool.fetchval("select count(*) = 3 from tellings"), seconds=20)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert ["no mail server is set: notices are listed, and not sent by mail"] == caplog.messages
    clock.pass_by(TOLD_WITHIN + timedelta(hours=1))
    await notifier_of(system, notices, SmtpMailer(SecretStr(mail.url), "ringi@example.org")).round()
    assert [] == mail.taken
    assert ["past"] == await states(system, "rin.reviewer")


async def test_two_notifiers_send_everything_once(
    system: Harness, notices: Notices, mail: MailServer, clock: Clock
) -> None:
    """Several workers share the work; none of it is done twice."""
    both = [notifier_of(system, notices, SmtpMailer(SecretStr(mail.url), "ringi@example.org")) for _ in range(3)]
    for _ in range(4):
        await opened(system, tier=3)
    await asyncio.gather(*(notifier.round() for notifier in both))
    clock.pass_by(timedelta(days=1))
    await asyncio.gather(*(notifier.round() for notifier in both))
    assert sorted(map(address_of, REVIEWERS)) == sorted(message["To"] for message in mail.taken)
    assert 12 == await system.database.pool.fetchval("select count(*) from tellings where state = 'sent'")


async def test_one_recipient_holds_up_no_other(
    system: Harness,
    notifier: Notifier,
    notices: Notices,
    mail: MailServer,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One is refused, one hangs, one is served; the refused one is given up, the other is tried again."""
    from runtime import mail as runtime_mail

    monkeypatch.setattr(runtime_mail, "SECONDS", 1.0)
    mail.refuses[address_of("jun.reviewer")] = "550 no such mailbox"
    mail.hangs_at.add(address_of("kei.reviewer"))
    await opened(system, tier=3)
    await next_morning(clock, notifier)
    assert [address_of("rin.reviewer")] == [message["To"] for message in mail.taken]
    assert ["failed"] == await states(system, "jun.reviewer")
    assert ["mailing"] == await states(system, "kei.reviewer")
    mail.hangs_at.clear()
    await notifier.round()
    assert 1 == len(mail.taken)
    clock.pass_by(pause_after(1))
    await notifier.round()
    assert 1 == len(mail.to(address_of("kei.reviewer")))
    assert ["sent"] == await states(system, "kei.reviewer")


async def test_it_is_tried_for_days_and_then_given_up(
    system: Harness, notifier: Notifier, mail: MailServer, clock: Clock
) -> None:
    """More and more seldom; what became of it is listed."""
    for person in REVIEWERS:
        mail.refuses[address_of(person)] = "451 later"
    await opened(system, tier=3)
    await next_morning(clock, notifier)
    for _ in range(100):
        clock.pass_by(timedelta(hours=4))
        await notifier.round()
        if await states(system, "rin.reviewer") == ["failed"]:
            break
    row = await system.database.pool.fetchrow("select * from mails where person = 'rin.reviewer'")
    assert row is not None
    assert ("failed", "the mail server refuses the recipient (451)") == (row["state"], row["error"])
    assert KEEP_TRYING / timedelta(hours=4) <= row["attempts"] <= 20
    pauses = [pause_after(number) for number in range(1, 30)]
    assert sorted(pauses) == pauses
    assert timedelta(seconds=5) == pauses[0]
    assert timedelta(hours=4) == pauses[-1]


async def test_what_was_queued_long_ago_is_tried_more_than_once(
    system: Harness, notifier: Notifier, mail: MailServer, clock: Clock
) -> None:
    """As after days without a worker: so many attempts, and only then it is given up."""
    async with system.database.transaction() as connection:
        await queue_mail(connection, "invitation/1", "guest@example.org", "An invitation", "text")
    clock.pass_by(KEEP_TRYING + timedelta(days=1))
    mail.refuses["guest@example.org"] = "451 later"
    tried = "select state, attempts from mails"
    for number in range(1, LEAST_ATTEMPTS + 1):
        assert ("waiting", number - 1) == tuple(await system.database.pool.fetchrow(tried) or ())
        await notifier.round()
        clock.pass_by(LONGEST_PAUSE_OF_MAIL)
    assert ("failed", LEAST_ATTEMPTS) == tuple(await system.database.pool.fetchrow(tried) or ())


async def test_what_is_overdue_waits_no_longer_than_minutes_for_a_mail_that_is_tried_again(
    system: Harness, notifier: Notifier, notices: Notices, mail: MailServer, clock: Clock
) -> None:
    """However long the mail server has been away."""
    from activities.messages import Due

    await notices.prefer(RIN, ALL)
    late = await opened(system, tier=3, title="Late")
    deadlines = sorted((await system.state(late)).deadlines, key=lambda deadline: deadline.at)
    clock.pass_by(deadlines[-1].at - clock() - timedelta(days=1))
    mail.refuses[address_of(RIN)] = "451 later"
    await opened(system, tier=3, title="Another")
    await notifier.round()
    for _ in range(7):
        clock.pass_by(timedelta(hours=3, minutes=30))
        await notifier.round()
    for deadline in deadlines:
        assert (await commit(system, late, Due(deadline=deadline.id))).done
    await notifier.round()
    mail.refuses.clear()
    clock.pass_by(LONGEST_PAUSE_OF_MAIL)
    await notifier.round()
    await notifier.round()
    assert "Overdue: Late" in [message["Subject"] for message in mail.to(address_of(RIN))]


class Forgetful(SmtpMailer):
    """Dies after the server took the mail, before that is noted."""

    async def send(self, letter: Letter) -> None:
        """Send it, and be gone."""
        await super().send(letter)
        raise SystemError


async def test_what_was_sent_and_not_noted_is_sent_again_under_the_same_id(
    system: Harness, notifier: Notifier, notices: Notices, mail: MailServer, clock: Clock
) -> None:
    """At least once, and whoever gets it twice can tell."""
    await opened(system, tier=3)
    await next_morning(clock, notifier_of(system, notices, Forgetful(SecretStr(mail.url), "ringi@example.org")))
    first = {message["To"]: message["Message-ID"] for message in mail.taken}
    assert 3 == len(first)
    await opened(system, tier=3, title="Another")
    await notifier.round()
    assert 3 == len(mail.taken), "it is not tried again while somebody may be sending it"
    clock.pass_by(LEASE)
    await notifier.round()
    again = {message["To"]: message["Message-ID"] for message in mail.taken[3:]}
    assert first == again
    assert all("Another" not in message["Subject"] for message in mail.taken), "a mail that may be out is not added to"
    clock.pass_by(timedelta(days=1))
    await notifier.round()
    assert 3 == sum("Your turn: Another" == message["Subject"] for message in mail.taken)


async def test_somebody_without_an_account_can_be_written_to(
    system: Harness, notifier: Notifier, mail: MailServer
) -> None:
    """In the transaction that it tells of; once; and its text is not kept."""

    async def taken_back() -> None:
        async with system.database.transaction() as connection:
            await queue_mail(connection, "invitation/1", "guest@example.org", "An invitation", "never")
            raise LookupError

    with pytest.raises(LookupError):
        await taken_back()
    for _ in range(2):
        async with system.database.transaction() as connection:
            await queue_mail(connection, "invitation/1", "guest@example.org", "An invitation", "https://x/canary\n")
    await notifier.round()
    (message,) = mail.taken
    assert ("guest@example.org", "An invitation") == (message["To"], message["Subject"])
    assert "canary" in message.get_content()
    row = await system.database.pool.fetchrow("select * from mails")
    assert row is not None
    assert ("sent", None) == (row["state"], row["body"])
    for address, subject in (("guest@example.org\r\nBcc: x@y", "s"), ("no address", "s"), ("a@b.example", "a\nb")):
        async with system.database.transaction() as connection:
            with pytest.raises(ValueError, match="validation error"):
                await queue_mail(connection, str(uuid4()), address, subject, "text")


async def test_what_was_told_is_listed(system: Harness, notifier: Notifier, notices: Notices, clock: Clock) -> None:
    """One's own, of the reviews that one may still read; and all of a review's."""
    review = await opened(system, tier=3)
    await say(system, review, "rin.reviewer", Question(), "Who checks it?")
    await next_morning(clock, notifier)
    standing = await system.registers.standing("hana.owner")
    told, following = await notices.of_person(
        "hana.owner", lambda review: may_read(review, "hana.owner", standing), 50, 2**62
    )
    assert following is None
    ((kind, state, mail),) = [(item.kind, item.state, item.mail) for item in told]
    assert ("turn", "sent") == (kind, state)
    assert isinstance(mail, UUID)
    assert ((), None) == await notices.of_person("hana.owner", lambda _: False, 50, 2**62)
    everything, _ = await notices.of_review(review, 50, 0)
    assert [*REVIEWERS, "hana.owner"] == [item.person for item in everything]
    page, following = await notices.of_review(review, 1, 0)
    assert [*REVIEWERS] == [item.person for item in page]
    assert following is not None
    rest, following = await notices.of_review(review, 1, following)
    assert ["hana.owner"] == [item.person for item in rest]


async def test_the_outcome_is_told_to_who_did_not_bring_it_about(
    system: Harness, notifier: Notifier, mail: MailServer, clock: Clock
) -> None:
    """The owner withdraws; the author hears of it; the reviewers have nothing to do any more."""
    review = await opened(system, tier=3, title="Withdrawn in time")
    await say(system, review, "hana.owner", Withdrawal())
    await next_morning(clock, notifier)
    (message,) = mail.taken
    assert (address_of("aki.author"), "Closed: Withdrawn in time") == (message["To"], message["Subject"])


RIN, JUN, KEI = "rin.reviewer", "jun.reviewer", "kei.reviewer"
AVA = "ava.auditor"


async def away(system: Harness, giver: str, taker: str, begins: datetime | None = None, days: int = 30) -> str:
    """Have a reviewer leave their role to somebody for so many days, from now on, or from later."""
    async with system.database.pool.acquire() as connection:
        from_now = begins or await system.database.now(connection)
    window = (begins, from_now + timedelta(days=days))
    return (await system.registers.delegate(giver, taker, [Role.REVIEWER], window, by=giver)).id


async def mornings(clock: Clock, notifier: Notifier, times: int) -> None:
    """So many days, and a round on each."""
    for _ in range(times):
        clock.pass_by(timedelta(days=1))
        await notifier.round()


@pytest.mark.parametrize("after", [1, 10])
async def test_whoever_a_turn_is_left_to_is_told(
    system: Harness, notifier: Notifier, mail: MailServer, clock: Clock, after: int
) -> None:
    """However long the turn has waited; once, and nobody is written to again who was told."""
    await opened(system, tier=3, title="Left to Ava")
    await next_morning(clock, notifier)
    await mornings(clock, notifier, after - 1)
    assert 3 == len(mail.taken)
    delegation = await away(system, RIN, AVA)
    await notifier.round()
    assert ["waiting"] == await states(system, AVA)
    await mornings(clock, notifier, 3)
    (message,) = mail.to(address_of(AVA))
    assert "Your turn: Left to Ava" == message["Subject"]
    assert ["sent"] == await states(system, AVA)
    await system.registers.end_delegation(delegation, by=RIN)
    await mornings(clock, notifier, 3)
    assert 4 == len(mail.taken)


async def test_whoever_is_given_the_role_is_told(
    system: Harness, notifier: Notifier, mail: MailServer, clock: Clock
) -> None:
    """Of all turns that it brings, in one mail; however often roles change after that, once.
    What is closed is left alone.
    """
    closed = await opened(system)
    await say(system, closed, "hana.owner", Withdrawal())
    await opened(system, tier=3)
    await opened(system, tier=3)
    await next_morning(clock, notifier)
    before = len(mail.taken)
    new = Person(id="new.comer", name="New", unit="Example", email=address_of("new.comer"))
    for roles in ([("new.comer", Role.REVIEWER, None)], [("new.comer", Role.AUDITOR, None)]):
        await system.registers.enter_people([new], roles, by="ops.operator")
        await mornings(clock, notifier, 2)
    (message,) = mail.to(address_of("new.comer"))
    assert "Ringi: 2 things to do" == message["Subject"]
    assert before + 1 == len(mail.taken)


async def test_an_absence_that_begins_later_is_told_when_it_begins(
    system: Harness, notifier: Notifier, mail: MailServer, clock: Clock
) -> None:
    """In the next round, without anything else having changed; and not before. What it brings at its end is told too."""
    await opened(system, tier=3, title="Left for a week")
    await notifier.round()
    begins = clock() + timedelta(hours=2)
    await away(system, RIN, AVA, begins, days=7)
    clock.pass_by(timedelta(hours=1))
    await notifier.round()
    assert ([], ["waiting"]) == (await states(system, AVA), await states(system, RIN))
    clock.pass_by(timedelta(hours=1, seconds=1))
    await notifier.round()
    assert ["waiting"] == await states(system, AVA)
    await mornings(clock, notifier, 6)
    assert (["sent"], ["past"]) == (await states(system, AVA), await states(system, RIN))
    assert sorted(map(address_of, (AVA, JUN, KEI))) == sorted(message["To"] for message in mail.taken)
    await mornings(clock, notifier, 4)
    assert ["sent"] == await states(system, RIN)
    assert sorted(map(address_of, (AVA, *REVIEWERS))) == sorted(message["To"] for message in mail.taken)


async def test_a_turn_is_told_to_nobody_who_is_kept_from_it(
    system: Harness, notifier: Notifier, mail: MailServer, clock: Clock
) -> None:
    """Whoever wrote the proposal, or stepped aside, though somebody leaves them theirs."""
    review = await opened(system, tier=3)
    await notifier.round()
    await say(system, review, JUN, Conflict())
    await next_morning(clock, notifier)
    before = len(mail.taken)
    await away(system, RIN, "aki.author")
    await away(system, KEI, JUN)
    await mornings(clock, notifier, 2)
    assert before == len(mail.taken)
    assert ([], ["past"]) == (await states(system, "aki.author"), await states(system, JUN))


async def test_who_is_left_a_turn_late_is_told_of_the_turn_and_not_reminded_of_it(
    system: Harness, notifier: Notifier, mail: MailServer, clock: Clock
) -> None:
    """Once, however often others were."""
    from activities.messages import Due

    review = await opened(system, tier=3, title="Late")
    await next_morning(clock, notifier)
    first, *_ = sorted((await system.state(review)).deadlines, key=lambda deadline: deadline.at)
    clock.pass_by(first.at - clock() + timedelta(hours=1))
    assert (await commit(system, review, Due(deadline=first.id))).done
    await next_morning(clock, notifier)
    assert {"Your turn: Late", "Reminder: Late"} == {message["Subject"] for message in mail.to(address_of(RIN))}
    await away(system, RIN, AVA)
    await mornings(clock, notifier, 2)
    assert ["Your turn: Late"] == [message["Subject"] for message in mail.to(address_of(AVA))]


async def test_two_notifiers_tell_anew_once(system: Harness, notices: Notices, mail: MailServer, clock: Clock) -> None:
    """Several workers see that roles have changed; whoever it concerns is told once."""
    both = [notifier_of(system, notices, SmtpMailer(SecretStr(mail.url), "ringi@example.org")) for _ in range(3)]
    for _ in range(4):
        await opened(system, tier=3)
    await next_morning(clock, both[0])
    await away(system, RIN, AVA)
    await asyncio.gather(*(notifier.round() for notifier in both))
    clock.pass_by(timedelta(days=1))
    await asyncio.gather(*(notifier.round() for notifier in both))
    assert 1 == len(mail.to(address_of(AVA)))
    assert ["sent"] * 4 == await states(system, AVA)
    assert 4 == len(mail.taken)
    assert 0 == await notices.address_anew(10)


async def test_a_person_with_nothing_but_a_name_is_no_recipient(system: Harness, notifier: Notifier) -> None:
    """People are entered who never hold a role."""
    await system.registers.enter_people([Person(id="new.comer", name="New", unit="Example")], [], by="ops.operator")
    await opened(system)
    await notifier.round()
    assert [] == await states(system, "new.comer")


class Broken(SmtpMailer):
    """Fails as nobody expected."""

    async def send(self, letter: Letter) -> None:
        """Fail over this letter."""
        raise ZeroDivisionError(letter.id)


async def test_a_failure_that_nobody_expected_is_told_and_tried_again(
    system: Harness, notices: Notices, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """The loop outlives it."""
    await opened(system, tier=3)
    await next_morning(clock, notifier_of(system, notices, Broken(SecretStr("smtp://127.0.0.1"), "ringi@example.org")))
    assert ["sending failed"] * 3 == [message for message in caplog.messages if "failed" in message]
    assert ["mailing"] == await states(system, "rin.reviewer")

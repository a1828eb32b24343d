"""Mail, to a real server: what arrives, what is refused for good, what is worth trying again."""

from __future__ import annotations

from email.message import EmailMessage
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from pydantic import SecretStr

from activities.ports import Letter, UnsentError
from runtime import mail as runtime_mail
from runtime.mail import SmtpMailer
from tests.support.certificates import server_context
from tests.support.mail import MailServer, mail_server

SENDER = "ringi@example.org"
TO = "hana@example.org"


def letter(subject: str = "Your turn: Faces at the station", to: str = TO, text: str = "Hana,\n") -> Letter:
    """A mail."""
    return Letter(id=uuid4(), to=to, subject=subject, text=text)


def mailer(server: MailServer) -> SmtpMailer:
    """Who sends through this server."""
    return SmtpMailer(SecretStr(server.url), SENDER)


async def sent(given: Letter) -> EmailMessage:
    """What arrives of it."""
    async with mail_server() as server:
        await mailer(server).send(given)
        (message,) = server.taken
        return message


async def test_a_mail_arrives_as_it_was_written() -> None:
    """In whatever writing; plain text; and nothing answers it by itself."""
    given = letter("あなたの番です: 駅の顔認識", text="稟議、\n\nÜber 2.000 Zeichen: " + "長" * 2000 + "\n")
    message = await sent(given)
    assert given.subject == message["Subject"]
    assert given.text == message.get_content().replace("\r\n", "\n")
    assert "text/plain" == message.get_content_type()
    assert f"Ringi <{SENDER}>" == message["From"]
    assert "auto-generated" == message["Auto-Submitted"]
    assert message["Date"].datetime.tzinfo is not None


async def test_a_repeat_can_be_told_by_its_id() -> None:
    """Sent twice, it has one Message-ID."""
    given = letter()
    first, second = await sent(given), await sent(given)
    assert f"<{given.id}@example.org>" == first["Message-ID"] == second["Message-ID"]


@pytest.mark.parametrize(
    "given",
    [
        letter("Your turn\r\nBcc: eve@example.org"),
        letter("Your turn\nBcc: eve@example.org"),
        letter(to="hana@example.org\r\nBcc: eve@example.org"),
    ],
)
async def test_no_header_can_be_smuggled_in(given: Letter) -> None:
    """What would be a line of its own is not sent at all."""
    async with mail_server() as server:
        with pytest.raises(UnsentError) as caught:
            await mailer(server).send(given)
        assert caught.value.final
        assert [] == server.taken


async def test_a_dot_on_a_line_of_its_own_ends_nothing() -> None:
    """The text is the text."""
    text = "Hana,\n.\nMAIL FROM:<eve@example.org>\n.\n"
    assert text == (await sent(letter(text=text))).get_content().replace("\r\n", "\n")


@pytest.mark.parametrize(
    ("answer", "final"), [("550 no such mailbox", True), ("451 try later", False), ("452 full", False)]
)
async def test_a_recipient_is_refused_for_good_or_for_now(answer: str, final: bool) -> None:
    """As the server says; the address is not repeated."""
    async with mail_server() as server:
        server.refuses[TO] = answer
        with pytest.raises(UnsentError) as caught:
            await mailer(server).send(letter())
    assert final is caught.value.final
    assert "hana" not in str(caught.value)
    assert answer[:3] in str(caught.value)


async def test_a_mail_that_the_server_won_t_have_is_not_tried_again() -> None:
    """Its policy won't change in three days."""
    async with mail_server() as server:
        server.refuses_data = "554 spam"
        with pytest.raises(UnsentError) as caught:
            await mailer(server).send(letter())
    assert caught.value.final


async def test_a_server_that_is_not_there_is_tried_again() -> None:
    """Nothing is the recipient's fault."""
    async with mail_server() as server:
        gone = mailer(server)
    with pytest.raises(UnsentError) as caught:
        await gone.send(letter())
    assert not caught.value.final


async def test_a_server_that_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is its silence for good."""
    monkeypatch.setattr(runtime_mail, "SECONDS", 0.3)
    async with mail_server() as server:
        server.hangs_at.add(TO)
        with pytest.raises(UnsentError) as caught:
            await mailer(server).send(letter())
    assert not caught.value.final


async def test_credentials_are_given_and_shown_nowhere() -> None:
    """User and password stand in the URL, escaped."""
    async with mail_server(auth=True) as server:
        url = SecretStr(f"smtp://us%40er:canary%3A7f3a@127.0.0.1:{server.port}")
        sender = SmtpMailer(url, SENDER)
        await sender.send(letter())
        assert [("us@er", "canary:7f3a")] == server.logins
        assert "canary" not in repr(vars(sender))


async def test_without_encryption_nothing_is_sent_to_another_machine(tmp_path: Path) -> None:
    """STARTTLS is required there, and TLS is with whom we meant."""
    assert SmtpMailer(SecretStr("smtp://mail.example.org"), SENDER)._start_tls
    context, _ = server_context(tmp_path, "127.0.0.1")
    async with mail_server() as plain, mail_server(starttls=context) as upgrades, mail_server(tls=context) as strange:
        elsewhere = mailer(plain)
        elsewhere._start_tls = True
        untrusted = mailer(upgrades)
        untrusted._start_tls = True
        for sender in (elsewhere, untrusted, SmtpMailer(SecretStr(f"smtps://127.0.0.1:{strange.port}"), SENDER)):
            with pytest.raises(UnsentError) as caught:
                await sender.send(letter())
            assert not caught.value.final
        assert [] == plain.taken + upgrades.taken + strange.taken


async def test_with_encryption_it_arrives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After STARTTLS, and with TLS from the beginning."""
    context, trusted = server_context(tmp_path, "127.0.0.1")
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    async with mail_server(starttls=context) as upgrades, mail_server(tls=context) as encrypted:
        upgraded = mailer(upgrades)
        upgraded._start_tls = True
        await upgraded.send(letter())
        await SmtpMailer(SecretStr(f"smtps://127.0.0.1:{encrypted.port}"), SENDER).send(letter())
        assert 2 == len(upgrades.taken + encrypted.taken)


def test_the_id_is_the_letter_s() -> None:
    """Not one of the moment."""
    given = Letter(id=UUID(int=7), to=TO, subject="s", text="t")
    message = SmtpMailer(SecretStr("smtp://127.0.0.1"), SENDER)._message(given)
    assert "<00000000-0000-0000-0000-000000000007@example.org>" == message["Message-ID"]

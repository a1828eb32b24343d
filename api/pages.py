"""The pages that stand alone: the one behind an invitation's link, with the mail that brings it, and the one that shows a
decision before its maker signs in again over it.
"""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime
from html import escape

from pydantic import JsonValue

from domain.decisions import Envelope

_STYLE = """
:root { color-scheme: light dark; }
body { font: 1.125rem/1.6 system-ui, sans-serif; max-width: 34rem; margin: 4rem auto; padding: 0 1.5rem; }
h1 { font-size: 1.5rem; line-height: 1.3; }
button { font: inherit; padding: .75rem 1.5rem; border: 2px solid; border-radius: .375rem; cursor: pointer; }
button:focus-visible { outline: 3px solid; outline-offset: 3px; }
dt { font-weight: bold; }
dd { margin: 0 0 .75rem; padding-left: .75rem; border-left: 3px solid; white-space: pre-wrap; overflow-wrap: anywhere; }
"""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{title} - Ringi</title>
<style>{style}</style>
</head>
<body>
<main>
<h1>{title}</h1>
{body}
</main>
</body>
</html>
"""

_INVITED = """<p>You are asked for your opinion as a member of the Advisory Council. This link signs you in on this device,
for the cases that you were invited to and nothing else, until <time datetime="{iso}">{until}</time>.</p>
<p>It works once: open it on the device that you want to work on, and pass it on to nobody.</p>
<form method="post"><button type="submit">Sign in</button></form>"""

_LETTER = """You are asked for your opinion on {what} as a member of the Advisory Council.

Open this link on the device that you want to work on. It signs you in, once, for what you were invited to and
nothing else, until {until}:

{link}

Pass it on to nobody: whoever opens it speaks with your voice. If you did not expect this mail, tell us, and do not open it.
"""

_GONE = """<p>It was used, withdrawn, or its time is over. If you have opened it on another device, go on there; otherwise ask
whoever invited you for another one.</p>"""

_STEP_UP = """<p>A decision in your name needs you to sign in again. What you sign in over is this, and nothing else:</p>
{fields}
<p><strong>If you did not make this decision yourself, do not go on:</strong> somebody else is using your access. Close this
page, and tell whoever operates Ringi.</p>
<form method="post"><button type="submit">This is my decision: sign in again</button></form>"""

_POLICY = f"default-src 'none'; style-src 'sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'; base-uri 'none'; frame-ancestors 'none'"

HEADERS = {
    "Content-Security-Policy": f"{_POLICY}; form-action 'self'",
    # The address is the secret: it is told to nobody else, and still the form's request says where it comes from.
    "Referrer-Policy": "same-origin",
}

# Browsers hold to `form-action` also what a form's answer redirects to: here the identity provider, and wherever that
# leads on to, which we don't know.
LEADING_ON = HEADERS | {"Content-Security-Policy": _POLICY}
"""The headers of a page whose form leads to another site."""


def invited(until: datetime) -> str:
    """The page behind a link that is good; its button uses it."""
    body = _INVITED.format(iso=until.isoformat(timespec="seconds"), until=_moment(until))
    return _PAGE.format(title="You are invited", style=_STYLE, body=body)


def no_longer_good() -> str:
    """The page behind every other link: it doesn't tell a used one from one that never was."""
    return _PAGE.format(title="This link is no longer good", style=_STYLE, body=_GONE)


def letter(link: str, cases: int, until: datetime) -> tuple[str, str]:
    """The mail that brings a link: its subject and its text."""
    what = "a case" if cases == 1 else f"{cases} cases"
    return "Your opinion as a member of the Advisory Council", _LETTER.format(
        what=what, link=link, until=_moment(until)
    )


def step_up(envelope: Envelope, title: str | None) -> str:
    """The page that shows a decision, as its maker was asked to sign in again over it; its button leads there."""
    shown: dict[str, JsonValue] = {
        "review": envelope.review,
        "proposal": title,
        "content_digest": envelope.content_digest,
        "in_the_name_of": envelope.person,
        "as": envelope.role,
        "what_it_means": envelope.meaning,
        **envelope.content.model_dump(mode="json"),
        "reason": envelope.reason,
        "asked": _moment(envelope.received_at),
    }
    return _PAGE.format(title="Is this your decision?", style=_STYLE, body=_STEP_UP.format(fields=_in_words(shown)))


def _in_words(value: JsonValue) -> str:
    """A value as a list of what it says, without what it leaves open."""
    match value:
        case dict():
            said = {name: inner for name, inner in value.items() if inner not in (None, [])}
            parts = "".join(f"<dt>{_words(name)}</dt><dd>{_in_words(inner)}</dd>" for name, inner in said.items())
            return f"<dl>{parts}</dl>"
        case list():
            return f"<ol>{''.join(f'<li>{_in_words(inner)}</li>' for inner in value)}</ol>"
        case _:
            return escape(str(value))


def _words(name: str) -> str:
    return escape(name.replace("_", " ").capitalize())


def _moment(moment: datetime) -> str:
    return f"{moment:%d %B %Y, %H:%M} UTC"

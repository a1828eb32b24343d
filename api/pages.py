"""The pages that people meet on their way in, each of which stands alone; and the mail with the link to one of them."""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime
from html import escape

from domain.decisions import Envelope

_STYLE = """
:root { color-scheme: light dark; }
body { font: 1.125rem/1.6 system-ui, sans-serif; max-width: 34rem; margin: 4rem auto; padding: 0 1.5rem; }
h1 { font-size: 1.5rem; line-height: 1.3; }
dt { font-weight: bold; }
dd { margin: 0 0 1rem; overflow-wrap: anywhere; }
pre { white-space: pre-wrap; font-size: .9rem; }
button { font: inherit; padding: .75rem 1.5rem; border: 2px solid; border-radius: .375rem; cursor: pointer; }
button:focus-visible { outline: 3px solid; outline-offset: 3px; }
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

_OVER_A_DECISION = """<p>You are asked to sign in again, because this decision counts only with your sign-in over it:</p>
<dl>
<dt>Review</dt><dd>{review}</dd>
<dt>What it means</dt><dd>{meaning}</dd>
<dt>Your reason</dt><dd>{reason}</dd>
<dt>In full</dt><dd><pre>{content}</pre></dd>
</dl>
<p>Go on only if you have just made this decision. If somebody sent you here, or you did not make it, close this page and
tell us: whoever made it acts in your name.</p>
<form method="post"><button type="submit">Sign in over this decision</button></form>"""

_LETTER = """You are asked for your opinion on {what} as a member of the Advisory Council.

Open this link on the device that you want to work on. It signs you in, once, for what you were invited to and
nothing else, until {until}:

{link}

Pass it on to nobody: whoever opens it speaks with your voice. If you did not expect this mail, tell us, and do not open it.
"""

_GONE = """<p>It was used, withdrawn, or its time is over. If you have opened it on another device, go on there; otherwise ask
whoever invited you for another one.</p>"""

_STYLED = f"'sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'"
_STRICT = f"default-src 'none'; style-src {_STYLED}; base-uri 'none'; frame-ancestors 'none'"

LEADING_AWAY = {
    # No form-action: browsers apply it to where the answer leads as well, which is the identity provider.
    "Content-Security-Policy": _STRICT,
    # The address is the secret: it is told to nobody else, and still the form's request says where it comes from.
    "Referrer-Policy": "same-origin",
}
"""The headers of a page whose button leads to somebody else."""

HEADERS = LEADING_AWAY | {"Content-Security-Policy": f"{_STRICT}; form-action 'self'"}
"""The headers of every other page."""


def invited(until: datetime) -> str:
    """The page behind a link that is good; its button uses it."""
    body = _INVITED.format(iso=until.isoformat(timespec="seconds"), until=f"{until:%d %B %Y, %H:%M} UTC")
    return _PAGE.format(title="You are invited", style=_STYLE, body=body)


def no_longer_good() -> str:
    """The page behind every other link: it doesn't tell a used one from one that never was."""
    return _PAGE.format(title="This link is no longer good", style=_STYLE, body=_GONE)


def over_a_decision(envelope: Envelope) -> str:
    """The page that shows somebody the decision which they are asked to sign in over; its button leads there."""
    body = _OVER_A_DECISION.format(
        review=escape(envelope.review),
        meaning=escape(envelope.meaning),
        reason=escape(envelope.reason or "none"),
        content=escape(envelope.content.model_dump_json(indent=2)),
    )
    return _PAGE.format(title="Your decision", style=_STYLE, body=body)


def letter(link: str, cases: int, until: datetime) -> tuple[str, str]:
    """The mail that brings a link: its subject and its text."""
    what = "a case" if cases == 1 else f"{cases} cases"
    return "Your opinion as a member of the Advisory Council", _LETTER.format(
        what=what, link=link, until=f"{until:%d %B %Y, %H:%M} UTC"
    )

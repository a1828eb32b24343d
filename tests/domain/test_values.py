"""Text that a person wrote: nothing in it that nobody sees, or that makes others read something else than what is kept."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from domain.values import Line, LongProse, Prose

TEXT = [TypeAdapter(kind) for kind in (Line, Prose, LongProse)]
HIDDEN = "\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
BLANK = "\u00ad\u115f\u1160\u180e\u2800\u3164\uffa0"

kinds = pytest.mark.parametrize("kind", TEXT, ids=["line", "prose", "long prose"])
words = st.text(st.characters(categories=["L", "N", "P", "S"], exclude_characters=BLANK), min_size=1, max_size=20)
unseen = st.text(
    st.characters(categories=["Cf", "Zs", "Mn", "Me"], include_characters=BLANK, exclude_characters=HIDDEN),
    min_size=1,
    max_size=20,
)


def taken(kind: TypeAdapter[Any], text: str) -> bool:
    """Whether this is text."""
    try:
        kind.validate_python(text)
    except ValidationError:
        return False
    return True


@kinds
@given(words, st.sampled_from(HIDDEN), words)
def test_nothing_hidden_breaks_or_turns_a_text(kind: TypeAdapter[Any], before: str, hidden: str, after: str) -> None:
    """What is read is what is kept, in its order: Trojan Source (CVE-2021-42574)."""
    assert taken(kind, before + after)
    assert not taken(kind, before + hidden + after)


@kinds
@given(unseen)
def test_a_text_can_be_seen(kind: TypeAdapter[Any], text: str) -> None:
    """Marks, spaces and blanks alone are no reason, and no name."""
    assert not taken(kind, text)
    assert not taken(kind, f"{text}\n\t{text}")


@kinds
@given(words, unseen, words)
def test_a_text_that_can_be_seen_is_kept_as_it_is(kind: TypeAdapter[Any], before: str, within: str, after: str) -> None:
    """Joiners and marks are letters' own in many scripts."""
    assert before + within + after == kind.validate_python(before + within + after)


@pytest.mark.parametrize(
    "text",
    ["\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\U0001f469\u200d\U0001f4bb", "\u7a1f\u8b70", "e\u0301"],
)
@kinds
def test_people_write_their_own_languages(kind: TypeAdapter[Any], text: str) -> None:
    """Persian parts a word with a non-joiner, a programmer is joined of two, and an accent may stand for itself."""
    assert text == kind.validate_python(text)

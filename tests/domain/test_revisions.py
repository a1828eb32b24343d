"""What changed from one text to another, and what somebody is told who decided on an older one."""

from __future__ import annotations

import pytest
from hypothesis import given
from pydantic import JsonValue

from domain import sign_off
from domain.canonical import canonical_bytes
from domain.decisions import ChangeRequest, Escalation, Question, QuestionAnswer, Reason, Revision, Signature
from domain.events import Refused
from domain.proposal import Counterparty, Proposal, content_digest
from domain.revisions import MOST_CHANGES, MOST_NAMED, REMEMBERED, changes, named
from tests.domain.builders import (
    HEAD,
    OFFICER,
    OWNER,
    REVIEWERS,
    SECOND,
    Case,
    route,
    sheet,
    text_digest,
)
from tests.domain.packs import LEAST, proposal, proposals


def at(document: JsonValue, pointer: str) -> bytes | None:
    """What stands at a pointer, canonical; None where nothing does."""
    for part in pointer.split("/")[1:]:
        match document:
            case dict() if part in document:
                document = document[part]
            case list() if int(part) < len(document):
                document = document[int(part)]
            case _:
                return None
    return canonical_bytes(document)


def without(document: JsonValue, pointers: tuple[str, ...], pointer: str = "") -> JsonValue:
    """The document, with what stands at these pointers blotted out."""
    if pointer in pointers:
        return "blotted out"
    match document:
        case dict():
            kept = {key: without(inner, pointers, f"{pointer}/{key}") for key, inner in document.items()}
            return {key: inner for key, inner in kept.items() if inner != "blotted out"}
        case list():
            return [without(inner, pointers, f"{pointer}/{n}") for n, inner in enumerate(document)]
        case _:
            return document


def in_order(pointer: str) -> list[tuple[int, str]]:
    """What sorts pointers as the canonical document goes: names by their letters, entries by their numbers."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in pointer.split("/")]


@given(proposals(), proposals())
def test_changes_name_all_that_differs_and_nothing_else(old: Proposal, new: Proposal) -> None:
    """What is named differs; without it, the two are the same."""
    pointers = changes(old, new)
    before, after = old.model_dump(mode="json"), new.model_dump(mode="json")
    assert all(at(before, pointer) != at(after, pointer) for pointer in pointers)
    assert without(before, pointers) == without(after, pointers)
    assert bool(pointers) is (content_digest(old) != content_digest(new))
    assert list(pointers) == sorted(set(pointers), key=in_order)
    assert set(changes(new, old)) == set(pointers)


def customers(*uses: str) -> tuple[Counterparty, ...]:
    """Customers who do this with it."""
    return tuple(Counterparty(name=f"Example {n}", use=use) for n, use in enumerate(uses))


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ({}, {"purpose": "To save more energy.", "title": "Air"}, ("/purpose", "/title")),
        (
            {},
            {"answers": LEAST | {"team_knows": False, "consent": "asked"}},
            ("/answers/consent", "/answers/team_knows"),
        ),
        ({"customers": customers("a", "b")}, {"customers": customers("a", "c")}, ("/customers/1/use",)),
        ({"customers": customers("a", "b")}, {"customers": customers("a")}, ("/customers",)),
        ({}, {"jurisdictions": ["DE", "JP"]}, ("/jurisdictions",)),
        ({"answers": {"n": True}}, {"answers": {"n": 1}}, ("/answers/n",)),
    ],
    ids=repr,
)
def test_places_are_named_as_deep_as_both_texts_have_them(
    old: dict[str, object], new: dict[str, object], changed: tuple[str, ...]
) -> None:
    """An answer, what one customer does; a list that has another length, or a set, as a whole."""
    assert changed == changes(proposal(**old), proposal(**new))


@pytest.mark.parametrize(
    ("more", "named_as"), [(MOST_CHANGES, f"/answers/q{MOST_CHANGES - 1}"), (MOST_CHANGES + 1, "/answers")]
)
def test_of_too_many_places_the_part_is_named(more: int, named_as: str) -> None:
    """Nothing that changed is left out for there being much of it."""
    found = changes(proposal(), proposal(answers=LEAST | {f"q{n}": True for n in range(more)}))
    assert named_as in found
    assert len(found) <= MOST_CHANGES


def test_a_sentence_names_each_place_once_and_counts_what_is_left() -> None:
    """A part that is named stands for all in it."""
    assert "/answers, /purpose" == named(["/answers/a", "/answers", "/purpose", "/purpose", "/answers/b"])
    assert "/answers_of, /answers" == named(["/answers_of", "/answers"])
    assert named(f"/{n}" for n in range(MOST_NAMED + 3)).endswith(f"/{MOST_NAMED - 1} and 3 more")
    assert "nothing" == named([])


def revise(case: Case, number: int) -> None:
    """Have the next text submitted in answer to a change request."""
    case.accepts(OFFICER, ChangeRequest())
    case.accepts(OWNER, Revision(proposal=text_digest(number)))


def told(answer: object) -> str:
    """What the receipt of a stale decision says."""
    assert isinstance(answer, Refused)
    assert Reason.STALE is answer.reason
    return answer.detail


def test_a_stale_receipt_says_what_was_shown_and_what_changed_since() -> None:
    """Over all the revisions in between."""
    case = Case()
    case.changes = ("/answers/consent", "/purpose")
    revise(case, 2)
    case.changes = ("/purpose", "/staff")
    revise(case, 3)
    now = f"the proposal is now at revision 3 ({text_digest(3)[:12]})"
    assert told(case.say(REVIEWERS[0], sheet(), digest=text_digest(1))) == (
        f"You were shown revision 1 ({text_digest(1)[:12]}), and {now}. "
        "Changed since: /answers/consent, /purpose, /staff."
    )
    late = told(case.say(REVIEWERS[0], sheet(), digest=text_digest(2)))
    assert late.endswith(f"{now}. Changed since: /purpose, /staff.")
    assert told(case.say(REVIEWERS[0], sheet(), digest="1" * 64)) == f"You were shown {'1' * 12}, and {now}."
    case.accepts(OFFICER, ChangeRequest())
    assert "revision 2" in told(case.say(OWNER, Revision(proposal=text_digest(4)), digest=text_digest(2)))


def test_a_decision_that_a_revision_overtook_is_stale_though_the_text_came_back() -> None:
    """It was stored on revision 1, and revision 3 has the same text: what was said between counts, not the likeness."""
    case = Case()
    overtaken = case.envelope(REVIEWERS[0], sheet())
    revise(case, 2)
    revise(case, 1)
    assert told(case.take(overtaken)).startswith("You were shown revision 1")
    assert "revision 3" in told(case.say(REVIEWERS[0], sheet(), digest=text_digest(2)))


def test_the_latest_revisions_are_remembered() -> None:
    """The state stays small however often a proposal is revised; the oldest are told of without what changed."""
    case = Case()
    for number in range(2, REMEMBERED + 3):
        revise(case, number)
    assert REMEMBERED == len(case.review.revisions)
    assert "Changed since" not in told(case.say(REVIEWERS[0], sheet(), digest=text_digest(1)))
    assert "revision 3" in told(case.say(REVIEWERS[0], sheet(), digest=text_digest(3)))


def test_a_stale_signature_is_told_what_came_since() -> None:
    """Signatures and answers come after what was shown; each is named."""
    case = Case(route(signatories=2))
    case.to_sign_off()
    early = Signature(basis=sign_off.basis(case.review))
    case.sign(HEAD)
    case.accepts(SECOND, Question())
    case.accepts(OWNER, QuestionAnswer(question=case.review.questions[0].by.decision))
    detail = told(case.say(SECOND, early))
    assert detail.startswith("Since this was shown, there came: signature of the head, answer 1.")
    assert told(case.say(SECOND, Signature(basis="1" * 64))).startswith("This was never what was to be signed")
    assert told(case.say(SECOND, early, digest="2" * 64)).startswith("You were shown 222222222222")


def test_a_stale_signature_is_told_why_the_review_went_back() -> None:
    """What it rested on is no longer the beginning of what is to be signed."""
    case = Case(route(signatories=2))
    case.to_sign_off()
    case.sign(HEAD)
    early = Signature(basis=sign_off.basis(case.review))
    case.accepts(OFFICER, Escalation())
    case.consult()
    assert "The proposal was escalated to the Council." in told(case.say(HEAD, early))
    revise(case, 2)
    case.agree()
    case.consult()
    assert told(case.say(HEAD, early)).startswith("This was never what was to be signed on this revision.")

"""How answers look on a terminal. Every function takes what the API answered, or a value of the core, and prints it."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import yaml
from rich.console import Console
from rich.text import Text

from domain.assessment import Assessment
from domain.certificate import Certificate, Sealed
from domain.discrepancies import DIFFERENCES, LOSSES, Differs
from domain.verification import Evidence, Verification

# What people wrote is shown as it is: nothing in it is markup, and no line is cut where the output is no terminal.
out = Console(soft_wrap=True, markup=False, emoji=False, highlight=False)
err = Console(stderr=True, soft_wrap=True, markup=False, emoji=False, highlight=False)

_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def plain(text: object) -> str:
    """`text` without what a terminal would obey or a reader not see; line breaks stay."""
    return "".join(
        c if c == "\n" or unicodedata.category(c) not in _INVISIBLE else f"<{ord(c):04x}>" for c in str(text)
    )


def raw(text: str) -> None:
    """Standard output gets this and a line break, whatever it is."""
    sys.stdout.write(text if text.endswith("\n") else f"{text}\n")
    sys.stdout.flush()


def line(text: object = "", style: str = "", *, indent: int = 0, console: Console = out) -> None:
    """One line, or several, each indented."""
    for part in plain(text).split("\n"):
        console.print(Text(" " * indent + part, style=style))


def pair(name: str, value: object, *, indent: int = 0, width: int = 12) -> None:
    """A name and what it is, aligned."""
    out.print(Text.assemble(" " * indent, (f"{name:<{width}}  ", "dim"), plain(value)))


def note(text: object) -> None:
    """Something by the way, on standard error."""
    line(text, "dim", console=err)


def fault(text: object) -> None:
    """What went wrong, on standard error."""
    line(text, "red", console=err)


def moment(value: str | datetime | None) -> str:
    """A moment to the second, in UTC as it came."""
    if value is None:
        return "-"
    at = datetime.fromisoformat(value) if isinstance(value, str) else value
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def words(name: object) -> str:
    """A name of the program in words: `sign_off` is sign off."""
    return str(name).replace("_", " ")


def assessment(given: Assessment) -> None:
    """Which tier and route, and what caused it."""
    line(f"Tier {given.tier} ({given.route.tier_name}): {given.score} of {given.max_score} points", "bold")
    line(given.tier_because, indent=2)
    if given.triggers:
        line("Triggers", "bold")
    for trigger in given.triggers:
        line(f"{trigger.id}: {trigger.reason}", indent=2)
        for cause in trigger.because:
            line(f"{cause.pointer}: {cause.says}", "dim", indent=4)
    line("Answers that count", "bold")
    for part in given.contributions:
        line(f"{part.points:>3} of {part.most:>2}  {part.text}", indent=2)
        line(f"{part.question}: {part.answer}", "dim", indent=13)
    if given.ignored:
        line(f"Answered, and not asked: {', '.join(given.ignored)}", "dim")
    route = given.route
    line("Route", "bold")
    pair("reviewers", f"{route.reviewers.needed} of {route.reviewers.panel} who find no breach", indent=2)
    pair("principles", ", ".join(route.principles), indent=2)
    pair("council", given.council_because or "only if somebody escalates", indent=2)
    pair("training", given.training_because, indent=2)
    pair("sign-off", ", then ".join(step.title for step in route.signatories), indent=2)
    pair("valid for", f"{route.valid_for.days} days", indent=2)
    pair("pack", f"{given.pack_id} {given.pack_version}, {given.pack_digest}", indent=2)
    pair("proposal", given.content_digest, indent=2)


def receipt(given: Mapping[str, Any]) -> None:
    """What became of a decision that was accepted, or that is still pending."""
    if given["status"] == "pending":
        line(f"Taken, and still pending: decision {given['decision_id']} on review {given['review']}.", "yellow")
        return
    line(f"Accepted: decision {given['decision_id']} on review {given['review']}.", "green")
    pair("entry", f"{given['seq']}, {moment(given['at'])}", indent=2)


def inbox(given: Mapping[str, Any]) -> None:
    """What waits for somebody."""
    if not given["items"]:
        line("Nothing waits for you.")
    for item in given["items"]:
        line(item["title"], "bold")
        pair("review", item["review"], indent=2)
        if item["for_person"] is not None:
            pair("in place of", item["for_person"], indent=2)
        turn(item["turn"])
        pair("digest", item["digest"], indent=2)
        if item["basis"] is not None:
            pair("basis", item["basis"], indent=2)


def reviews(given: Mapping[str, Any]) -> None:
    """A page of reviews: what each is about, and how far it is."""
    if not given["reviews"]:
        line("No review is listed for you.")
    for review in given["reviews"]:
        line(review["title"] or review["id"], "bold")
        pair("review", review["id"], indent=2)
        pair("owner", f"{review['owner']}, author {review['author']}", indent=2)
        if review["tier"] is not None:
            pair("tier", review["tier"], indent=2)
        pair("submitted", moment(review["submitted_at"]), indent=2)
        if review["outcome"] is None:
            pair("stage", words(review["stage"] or "not opened yet"), indent=2)
        else:
            pair("outcome", f"{review['outcome']}, {moment(review['closed_at'])}", indent=2)
    if given["next"] is not None:
        note(f"There may be more: --before {given['next']}")


def proposal(given: Mapping[str, Any]) -> None:
    """A proposal in the form of its file."""
    line(yaml.safe_dump(given, allow_unicode=True, sort_keys=False).rstrip("\n"))


def turn(given: Mapping[str, Any]) -> None:
    """Whose turn it is, for what."""
    office = "" if given["office"] is None else f" ({given['office']})"
    who = given["person"] or f"any {words(given['role'])}"
    line(given["what"], indent=2)
    pair("whose turn", f"{who}{office}", indent=4)
    if given["not_for"]:
        pair("not for", ", ".join(given["not_for"]), indent=4)
    if given["claimed_by"]:
        rest = "" if given["taken"] else ", and there is place for others"
        pair("claimed by", f"{', '.join(given['claimed_by'])}{rest}", indent=4)
    pair("since", moment(given["since"]), indent=4)
    pair("until", "the owner has answered" if given["paused"] else moment(given["due_at"]), indent=4)
    pair("by", ", ".join(given["kinds"]), indent=4)


def status(given: Mapping[str, Any]) -> None:
    """Where a review stands."""
    line(given["title"] or given["review"], "bold")
    pair("review", given["review"], indent=2)
    pair("owner", f"{given['owner']}, author {given['author']}", indent=2)
    if given["tier"] is not None:
        pair("tier", f"{given['tier']} ({given['tier_name']})", indent=2)
    pair("revision", f"{given['revision']}, round {given['round']}", indent=2)
    pair("digest", given["digest"], indent=2)
    if given["basis"] is not None:
        pair("basis", given["basis"], indent=2)
    if given["outcome"] is not None:
        pair("outcome", f"{given['outcome']}: {given['outcome_because']}", indent=2)
    else:
        pair("stage", words(given["stage"] or "not opened yet"), indent=2)
    _listed("Changed against the revision before", given["changes"])
    _listed("Passed", (f"{words(s)}: {words(p['result'])}. {p['because']}" for s, p in given["passed"].items()))
    if given["waits_for"]:
        line("Waits for", "bold")
    for each in given["waits_for"]:
        turn(each)
    _listed("Training gaps", map(_gap, given["gaps"]))
    _listed(
        "Open questions", (f"{q['id']} by {q['person']}, {moment(q['at'])}: {q['text']}" for q in given["questions"])
    )
    _listed("Verdict sheets", map(_sheet, given["sheets"]))
    council = given["council"]
    _listed("Opinions", (f"{o['person']} ({o['seat']}): {words(o['stance'])}" for o in council["opinions"]))
    _listed("Stepped aside", council["recused"])
    _listed(
        "Advice",
        (
            f"{a['id']} by {a['given_by']}: {a['text']} [{words(a['answer'] or 'not answered')}]"
            for a in council["advice"]
        ),
    )
    _listed("Signatures", (f"{s['person']}: {s['meaning']}, {moment(s['at'])}" for s in given["signatures"]))
    _listed("Conditions", (f"{c['text']} ({words(c['source'])}, {c['set_by']})" for c in given["conditions"]))


def timeline(given: Mapping[str, Any]) -> None:
    """Entries of a ledger, in plain words."""
    for entry in given["entries"]:
        who = "Ringi" if entry["who"] is None else entry["who"]
        role = "" if entry["role"] is None else f" ({words(entry['role'])})"
        out.print(
            Text.assemble(
                (f"{entry['seq']:>4}  ", "dim"),
                (f"{moment(entry['at'])}  ", "dim"),
                (plain(who), "bold cyan" if entry["who"] else "bold"),
                plain(role),
            )
        )
        line(entry["what"], indent=6)
        if entry["said"]:
            line(entry["said"], "italic", indent=6)
        on = "" if entry["on_digest"] is None else f"on {entry['on_digest'][:12]}, "
        line(f"{on}entry {entry['hash'][:12]}", "dim", indent=6)


def certificate(given: Certificate) -> None:
    """What was approved, and all that the approval rests on."""
    line(f"Certificate: {given.title}", "bold")
    pair("review", f"{given.review}, revision {given.revision}, tier {given.tier} ({given.tier_name})", indent=2)
    pair("approved", moment(given.approved_at), indent=2)
    pair("valid until", moment(given.valid_until), indent=2)
    _listed("Conditions", (f"{c.text} ({c.source}, {c.set_by})" for c in given.conditions), indent=2)
    _listed("Dissent", (f"{d.person} on {d.about}: {d.reason}" for d in given.dissent), indent=2)
    _listed(
        "Advice that was declined",
        (f"{a.advice} ({a.given_by}) Declined by {a.answered_by}: {a.reason}" for a in given.declined_advice),
        indent=2,
    )
    if given.no_opinion_because is not None:
        pair("no opinion", given.no_opinion_because, indent=2)
    _listed("Signed", map(_sealed, given.signatures), indent=2)
    _listed("Rests on", (f"{part.digest[:16]}  {part.what}" for part in given.rests_on), indent=2)


def _sealed(given: Sealed) -> str:
    token = ", and the identity provider's ID token over it" if given.signed_in else ""
    return f"{given.person}, {given.meaning}, {moment(given.at)}; on the service's word for the person{token}"


def keys(given: Mapping[str, Any]) -> None:
    """Every key: since when it counts, and until when."""
    for key in given["keys"]:
        line(key["key"], "bold" if key["revoked_at"] is None else "dim")
        until = "in force" if key["revoked_at"] is None else f"until {moment(key['revoked_at'])}"
        line(f"since {moment(key['added_at'])}, {until}", indent=2)


def verification(evidence: Evidence, result: Verification, *, pinned: bool) -> None:
    """Whether a record holds, what its workflow said, and what the registry rests on; and whether whoever checked knew the
    key that founded it.
    """
    if result.difference is None:
        line(f"The record of {evidence.review} holds: {result.entries} entries, the last {result.head}.", "green")
    else:
        line(f"The record of {evidence.review} differs, {result.difference}.", "red")
        line(f"{result.entries} entries before it hold.", indent=2)
    workflow = evidence.workflow.status
    if workflow in ("answered", "finished"):
        line(f"The workflow {workflow}, and its word is among what was compared.", "dim", indent=2)
    else:
        line(f"The workflow is {workflow}, so record and read model alone were compared.", "dim", indent=2)
    if evidence.proposals is None or evidence.packs is None:
        line("The proposals and policy packs are not with it: what came of them was not checked.", "dim", indent=2)
    if evidence.registry is None:
        line("There is no registry with it: whose decisions and keys counted was not checked.", "dim", indent=2)
    elif result.founder is not None:
        line(f"Signatures and roles were checked by {result.registry} entries of the registry.", "dim", indent=2)
        by = "pinned" if pinned else "not pinned: that it is the true registry's is its own word (--key)"
        line(f"It was founded with the key {result.founder} ({by}).", "dim", indent=2)
        rest = "decision rests" if result.spoken == 1 else "decisions rest"
        by_token = f"{result.signed_in} of them also on the identity provider's ID token over the decision"
        line(f"{result.spoken} {rest} on the service's word for the person; {by_token}.", "dim", indent=2)
        _issuers(result)


def _issuers(result: Verification) -> None:
    """Which keys the renewed sign-ins rest on, and whose word it is that they are the identity provider's."""
    for seen in result.issuers:
        line(f"Renewed sign-ins rest on the key {seen.key.id}", "dim", indent=2)
        whose = f"of {seen.key.issuer} (for {seen.key.audience}), by entry {seen.entry} of the registry"
        pinned = "pinned" if result.pinned else "not pinned: that it is theirs is the service's word (--issuer-key)"
        line(f"{whose}; {pinned}.", "dim", indent=4)


def _gap(given: Mapping[str, Any]) -> str:
    by = "" if given["by"] is None else f", entered by somebody else than {given['by']}"
    return f"{given['person']} ({given['role']}) needs {given['course']}{by}"


def _sheet(given: Mapping[str, Any]) -> str:
    said = f"{given['person']}: {'agrees' if given['agrees'] else 'a breach'}"
    if given["carried_from"] is None:
        return said
    return f"{said}, carried from revision {given['carried_from']}: {', '.join(given['findings'])}"


def doctor(given: Mapping[str, Any]) -> None:
    """Whether everything is well, and what is not."""
    styles = {"well": "green", "ill": "red", "away": "yellow"}
    for found in given["findings"]:
        line(f"{found['name']:<18} {found['status']:<5} {found['detail']}", styles[found["status"]])
    if given["pending"]:
        line("Pending for more than a minute", "bold")
    for decision in given["pending"]:
        since = moment(decision["received_at"])
        line(f"{decision['review_id']}  {words(decision['kind'])} {decision['id']}, since {since}", indent=2)
        if decision.get("amiss") is not None:
            line(f"Somebody changed its row: {decision['amiss']}.", "red", indent=4)
    if given["discrepancies"]:
        line("Record and Temporal differ", "bold")
    for found in given["discrepancies"]:
        what = Differs(found["what"])
        line(f"{found['review_id'] or 'all reviews'}  {what}: {DIFFERENCES[what]}", "red", indent=2)
        line(f"{found['detail']} Noticed {moment(found['noticed_at'])}.", indent=4)
        if what in LOSSES and found["review_id"] is not None:
            line(f"ringi repair {found['review_id']}", "dim", indent=4)
    if given["well"]:
        line("Everything is well.", "green")


def _listed(title: str, rows: Iterable[str], *, indent: int = 0) -> None:
    for number, row in enumerate(rows):
        if number == 0:
            line(title, "bold", indent=indent)
        line(row, indent=indent + 2)

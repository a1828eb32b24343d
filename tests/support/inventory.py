"""Real use cases as proposals: rows of the US federal inventory of AI use cases for 2024, where it is at hand.

The inventory knows neither our people nor our questionnaire. What a row says is kept as it is; what it leaves open is
derived from it, always in the same way, so that a seed names the same proposals for ever.
"""

from __future__ import annotations

import csv
import hashlib
import random
import re
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path

from domain.assessment import assess
from domain.people import Assigned
from domain.policy import PolicyPack
from domain.proposal import Affected, Answer, Counterparty, DataKind, ProjectPhase, Proposal
from runtime.packs import shipped_packs

PATH = Path(__file__).resolve().parents[3] / "shared" / "data" / "inventory" / "us-federal-2024.csv"

Row = Mapping[str, str]

_BIOMETRIC = frozenset(
    {
        DataKind.FACE,
        DataKind.VOICE,
        DataKind.FINGERPRINT,
        DataKind.PALM,
        DataKind.VEIN,
        DataKind.IRIS,
        DataKind.EAR,
        DataKind.GAIT,
        DataKind.DNA,
    }
)

_PURPOSE = "What is the intended purpose"
_OUTPUTS = "Describe the AI system"
_BODY = {
    DataKind.FACE: r"\bfac(?:e|es|ial)\b",
    DataKind.VOICE: r"\bvoice\b|\bspeaker recognition\b",
    DataKind.FINGERPRINT: r"\bfingerprints?\b",
    DataKind.IRIS: r"\biris(?:es)?\b",
    DataKind.GAIT: r"\bgait\b",
}
_AREAS = {
    "work": r"\bhiring\b|\bapplicants?\b|\bemployees?\b|\bworkforce\b|\brecruit",
    "money": r"\bloans?\b|\bcredit\b|\binsur|\bfraud\b|\btax",
    "health": r"\bpatients?\b|\bclinic|\bmedical\b|\bdiagnos",
    "education": r"\bstudents?\b|\bschools?\b",
    "public_services": r"\bbenefits?\b|\bclaims?\b|\beligib|\bveterans?\b",
    "policing": r"\blaw enforcement\b|\bborder\b|\binvestigat|\bcrim(?:e|es|inal)\b|\binmates?\b|\btravell?ers?\b",
}
_STAGES = {
    "Initiated": ProjectPhase.PROPOSAL,
    "Planned": ProjectPhase.PROPOSAL,
    "Acquisition": ProjectPhase.DEVELOPMENT,
    "Implementation": ProjectPhase.DEPLOYMENT,
    "Operation": ProjectPhase.OPERATION,
    "Production": ProjectPhase.OPERATION,
}


def proposals(seed: int, n: int) -> list[Proposal]:
    """Choose `n` proposals by `seed`, spread over the four tiers as evenly as the inventory allows.

    Raises:
        FileNotFoundError: the inventory is not at hand.
        ValueError: it has fewer than `n` rows.
    """
    (pack,) = (pack for pack in shipped_packs() if pack.id == "nec-human-rights")
    rows = list(_rows())
    if n > len(rows):
        raise ValueError(f"the inventory has {len(rows)} rows, fewer than {n}")
    chance = random.Random(seed)
    chance.shuffle(rows)
    wanted = {tier: n // 4 + (tier <= n % 4) for tier in range(1, 5)}
    chosen: list[Proposal] = []
    others: list[Proposal] = []
    for row in rows:
        if len(chosen) == n:
            break
        proposal = proposal_of(pack, row)
        tier = assess(pack, proposal).tier
        if wanted[tier]:
            wanted[tier] -= 1
            chosen.append(proposal)
        else:
            others.append(proposal)
    return chosen + others[: n - len(chosen)]


def proposal_of(pack: PolicyPack, row: Row) -> Proposal:
    """Turn a row into a proposal that answers exactly what `pack` asks of it."""
    told = f"{_cell(row, 'Use Case Name')}\n{_cell(row, _PURPOSE)}\n{_cell(row, _OUTPUTS)}".lower()
    data = _data(row, told)
    proposal = Proposal(
        title=_text(row, "Use Case Name", 200).replace("\n", " ").replace("\t", " "),
        business_unit=_text(row, "Bureau", 200).replace("\n", " ").replace("\t", " "),
        owner="hana.owner",
        author="aki.author" if _draw(row, "author", 2) else "hana.owner",
        purpose=_text(row, _PURPOSE, 10_000),
        phase=next(
            (phase for stage, phase in _STAGES.items() if _cell(row, "Stage of Development").startswith(stage)),
            ProjectPhase.RESEARCH,
        ),
        use_of_ai=_text(row, _OUTPUTS, 10_000),
        data=data,
        affected=_affected(row, told),
        how_affected=_text(row, "What are the key risks", 10_000),
        customers=(Counterparty(name=_text(row, "Agency", 200), use=_text(row, _OUTPUTS, 2_000)),)
        if "contracting resources" in _cell(row, "Was the AI system involved")
        else (),
        jurisdictions=("US",),
        staff=_staff(row, biometric=not _BIOMETRIC.isdisjoint(data)),
        answers=_answers(row, told, data),
    )
    unasked = assess(pack, proposal).ignored
    return proposal.model_copy(
        update={"answers": {name: answer for name, answer in proposal.answers.items() if name not in unasked}}
    )


def _rows() -> Iterator[Row]:
    # The file says nothing of its encoding. It has the dashes and quotes of Windows-1252.
    with PATH.open(encoding="cp1252", newline="") as file:
        yield from csv.DictReader(file)


def _cell(row: Row, column: str) -> str:
    """Read the first column whose heading begins with `column`: the headings are whole paragraphs."""
    return next(value or "" for heading, value in row.items() if heading.startswith(column)).strip()


def _text(row: Row, column: str, longest: int) -> str:
    """Read a column as text that a proposal can hold."""
    text = "".join(c if c in "\n\t" or unicodedata.category(c) != "Cc" else " " for c in _cell(row, column))
    return text[:longest].strip() or "The inventory does not say."


def _says(row: Row, column: str, beginning: str) -> bool:
    return _cell(row, column).lower().startswith(beginning)


def _draw(row: Row, what: str, sides: int) -> int:
    """Throw a die for what the inventory does not ask; it falls the same for the same row on every machine."""
    name = f"{what}\n{_cell(row, 'Use Case Name')}\n{_cell(row, 'Agency')}\n{_cell(row, 'Bureau')}"
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]) % sides


def _rights(row: Row) -> bool:
    return _says(row, "Is the AI use case rights-impacting", "rights") or _both(row)


def _safety(row: Row) -> bool:
    return _says(row, "Is the AI use case rights-impacting", "safety") or _both(row)


def _both(row: Row) -> bool:
    return _says(row, "Is the AI use case rights-impacting", "both")


def _personal(row: Row, told: str) -> bool:
    return _says(row, "Does this AI use case involve personally", "yes") or _rights(row) or bool(_body(told))


def _body(told: str) -> tuple[DataKind, ...]:
    if not re.search(r"\bbiometric|\brecogni[sz]|\bverif|\bidentif|\bmatch", told):
        return ()
    return tuple(kind for kind, pattern in _BODY.items() if re.search(pattern, told))


def _data(row: Row, told: str) -> tuple[DataKind, ...]:
    if not _personal(row, told):
        return (DataKind.NOT_PERSONAL,)
    health = (DataKind.HEALTH,) if _says(row, "Use Case Topic Area", "health") else ()
    return (DataKind.PERSONAL, *health, *_body(told))


def _affected(row: Row, told: str) -> tuple[Affected, ...]:
    patterns = {
        Affected.PATIENTS: r"\bpatients?\b",
        Affected.EMPLOYEES: r"\bemployees?\b|\bstaff\b",
        Affected.CHILDREN: r"\bchild(?:ren)?\b",
        Affected.MIGRANTS: r"\bimmigra|\basylum\b|\brefugees?\b",
        Affected.SUSPECTS: r"\bsuspects?\b|\binmates?\b|\boffenders?\b",
    }
    found = tuple(group for group, pattern in patterns.items() if re.search(pattern, told))
    everybody = (Affected.GENERAL_PUBLIC,) if _people(row, told) and not found else ()
    return found or everybody or (Affected.NOBODY,)


def _people(row: Row, told: str) -> int:
    if _says(row, "Is this AI use case supporting a High-Impact", "yes"):
        return 2_000_000
    if _rights(row):
        return 150_000
    if _personal(row, told) or _says(row, "Does this AI use case disseminate", "yes"):
        return 5_000
    return 200 * _draw(row, "people", 2)


def _output_use(row: Row, told: str) -> str:
    if _says(row, "For this particular use case, can the AI carry out", "yes"):
        return "automatic_decision"
    if _says(row, "For this particular use case, can the AI carry out", "other"):
        return "confirmed_decision"
    if _says(row, "Is the AI used to significantly influence", "yes") or _rights(row) or _safety(row):
        return "recommendation"
    if re.search(r"\brecommend|\bscores?\b|\bflags?\b|\bpredict|\balerts?\b", told):
        return "information"
    return "internal_aid"


def _answers(row: Row, told: str, data: tuple[DataKind, ...]) -> dict[str, Answer]:
    """Answer every question; those that are not asked of this row are dropped later."""
    documented = _says(row, "Is there available documentation", "documentation is complete")
    partly = _says(row, "Is there available documentation", "documentation has been partially")
    compared = _cell(row, "What steps has the agency taken to detect")
    told_people = _cell(row, "How is the agency providing reasonable and timely notice")
    if not re.search(r"\bidentif|\brecogni[sz]|\bmatch", told):
        biometric_use = "no_recognition"
    else:
        biometric_use = "verify" if re.search(r"\bverif|\bauthenticat", told) else "identify"
    if re.search(r"\bemotion|\bsentiment|\bdecepti", told):
        biometric_use = "categorise"
    return {
        "output_use": _output_use(row, told),
        "decision_area": tuple(area for area, pattern in _AREAS.items() if re.search(pattern, told)),
        "contestable": _says(row, "Is there an established fallback", "yes"),
        "can_be_stopped": not _says(row, "Is there a process to monitor", "no "),
        "people_per_year": _people(row, told),
        "compared_across_groups": "uneven_known" if len(compared) > len("Not Applicable") else "not_measured",
        "people_told": "before" if told_people.startswith("Online") else ("if_they_ask" if told_people else "never"),
        "consent": "can_leave" if _says(row, "Where practicable", "yes") else ("asked", "no_say")[_draw(row, "say", 2)],
        "kept_for_months": (6, 24, 72)[_draw(row, "kept", 3)],
        "collected_for_something_else": bool(_draw(row, "collected", 2)),
        "biometric_use": biometric_use,
        "identifies_in_public": bool(
            re.search(r"\bborder\b|\bairport|\bsurveillance\b|\bcameras?\b|\bvideos?\b", told)
        ),
        "watch_list": "watch" in told or DataKind.FACE in data,
        "origin_of_training_data": "documented" if documented else ("partly" if partly else "unknown"),
        "explanation": ("to_anybody", "to_specialists", "to_nobody")[_draw(row, "explanation", 3)],
        "makes_content": bool(re.search(r"\bgenerat|\bdraft|\bchatbot", told)),
        "content_is_marked": bool(_draw(row, "marked", 2)),
        "harm_if_misused": "liberty_or_life" if _safety(row) else ("dignity" if _personal(row, told) else "nuisance"),
        "use_is_agreed": bool(_draw(row, "agreed", 2)),
        "use_is_watched": bool(_draw(row, "watched", 2)),
        "team_knows": _says(row, "Has an AI impact assessment", "yes"),
        "voices_heard": "heard" if _says(row, "What steps has the agency taken to consult", "direct") else "not_heard",
    }


def _staff(row: Row, *, biometric: bool) -> tuple[Assigned, ...]:
    everybody = (
        Assigned(person="sota.engineer", role="biometric_engineer" if biometric else "engineer"),
        Assigned(person="mei.manager", role="biometric_product_manager" if biometric else "product_manager"),
        Assigned(person="ren.operator", role="biometric_operator" if biometric else "operator"),
    )
    return everybody[: 1 + _draw(row, "staff", 3)]

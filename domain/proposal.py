"""A proposal: what is to be done with AI, for whom, with which data, and by whom."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, field_validator

from domain.canonical import digest_of
from domain.people import Assigned
from domain.values import Digest, Line, LongProse, PersonId, Prose, Slug, Written

LARGEST_NUMBER = 10**12
"""No number in an answer is larger: far below 2^53, so that every JSON reader keeps it exact."""

MOST_CHOICES = 50
"""The most options that a question can offer."""

_ASSIGNED = """
AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ CA
CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA
GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP
KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS
MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS
RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW
TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW
"""

COUNTRIES = frozenset(_ASSIGNED.split())
"""The officially assigned codes of ISO 3166-1 alpha-2."""


class ProjectPhase(StrEnum):
    """How far the work that is proposed has come."""

    RESEARCH = "research"
    PROPOSAL = "proposal"
    DEVELOPMENT = "development"
    DEPLOYMENT = "deployment"
    OPERATION = "operation"


class DataKind(StrEnum):
    """The kinds of data that go into the AI or come out of it."""

    NOT_PERSONAL = "not_personal"
    PERSONAL = "personal"
    SENSITIVE = "sensitive"
    HEALTH = "health"
    FINANCIAL = "financial"
    LOCATION = "location"
    BEHAVIOURAL = "behavioural"
    COMMUNICATIONS = "communications"
    IMAGES_OF_PEOPLE = "images_of_people"
    FACE = "face"
    VOICE = "voice"
    FINGERPRINT = "fingerprint"
    PALM = "palm"
    VEIN = "vein"
    IRIS = "iris"
    EAR = "ear"
    GAIT = "gait"
    DNA = "dna"


class Affected(StrEnum):
    """The groups of people that the AI's results bear on."""

    NOBODY = "nobody"
    EMPLOYEES = "employees"
    JOB_APPLICANTS = "job_applicants"
    CUSTOMERS = "customers"
    PASSERS_BY = "passers_by"
    GENERAL_PUBLIC = "general_public"
    CHILDREN = "children"
    OLDER_PEOPLE = "older_people"
    PATIENTS = "patients"
    PEOPLE_WITH_DISABILITIES = "people_with_disabilities"
    MINORITIES = "minorities"
    MIGRANTS = "migrants"
    SUSPECTS = "suspects"


Entry = TypeVar("Entry")
_CHOICE = re.compile(r"[a-z][a-z0-9_-]{0,63}")


def _distinct(entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    if len(set(entries)) < len(entries):
        raise ValueError("an entry stands in it twice")
    return entries


def _country(code: str) -> str:
    if code != "EU" and code not in COUNTRIES:
        raise ValueError(f"{code!r} is neither EU nor a country's two letters (ISO 3166-1 alpha-2)")
    return code


def _file_name(name: str) -> str:
    if "/" in name or "\\" in name or not name.strip(". "):
        raise ValueError("must be a file name without a folder")
    return name


def _answer(value: object) -> object:
    """Say in one sentence what pydantic would say about each type in turn."""
    match value:
        case bool():
            return value
        case int() if 0 <= value <= LARGEST_NUMBER:
            return value
        case str() if _CHOICE.fullmatch(value):
            return value
        case list() | tuple() if len(value) <= MOST_CHOICES and all(
            isinstance(v, str) and _CHOICE.fullmatch(v) for v in value
        ):
            return tuple(sorted(_distinct(tuple(value))))
        case _:
            raise ValueError("must be true or false, a whole number from 0, a choice, or a list of different choices")


_UNIQUE = Field(json_schema_extra={"uniqueItems": True})

Jurisdiction = Annotated[str, AfterValidator(_country), Field(json_schema_extra={"pattern": r"^[A-Z]{2}$"})]
"""The two letters of a country (ISO 3166-1 alpha-2), or EU."""

Answer = Annotated[
    bool
    | Annotated[int, Field(ge=0, le=LARGEST_NUMBER)]
    | Slug
    | Annotated[tuple[Slug, ...], Field(max_length=MOST_CHOICES), _UNIQUE],
    BeforeValidator(_answer),
]
"""The answer to a question: yes or no, a whole number, a choice, or several choices (kept in alphabetical order)."""

Distinct = AfterValidator(_distinct)
InOrder = AfterValidator(lambda entries: tuple(sorted(entries)))
"""For what is a set: the order in which it was written must not change the digest."""


class Counterparty(Written):
    """A customer or partner, and what they will do with it."""

    name: Line
    use: Prose


class Document(Written):
    """A document that belongs to the proposal, addressed by the digest of its content."""

    digest: Digest
    name: Annotated[Line, AfterValidator(_file_name)]
    media_type: Annotated[str, StringConstraints(pattern=r"^[a-z]+/[a-z0-9][a-z0-9.+-]{0,99}$")]


class Proposal(Written):
    """What the owner submits. Everything in it is bounded, and every part of it is covered by its content digest."""

    title: Line
    business_unit: Line
    owner: PersonId
    author: PersonId
    purpose: LongProse
    phase: ProjectPhase
    use_of_ai: LongProse
    data: Annotated[tuple[DataKind, ...], Field(min_length=1, max_length=len(DataKind)), Distinct, InOrder, _UNIQUE]
    affected: Annotated[tuple[Affected, ...], Field(min_length=1, max_length=len(Affected)), Distinct, InOrder, _UNIQUE]
    how_affected: LongProse
    customers: Annotated[tuple[Counterparty, ...], Field(max_length=50)] = ()
    partners: Annotated[tuple[Counterparty, ...], Field(max_length=50)] = ()
    jurisdictions: Annotated[tuple[Jurisdiction, ...], Field(min_length=1, max_length=60), Distinct, InOrder, _UNIQUE]
    staff: Annotated[tuple[Assigned, ...], Field(max_length=200), Distinct, _UNIQUE] = ()
    answers: Annotated[dict[Slug, Answer], Field(max_length=200)] = Field(default_factory=dict)
    documents: Annotated[tuple[Document, ...], Field(max_length=50)] = ()

    @property
    def proposers(self) -> tuple[PersonId, PersonId]:
        """Who stands for it: its owner and its author, who may be one person."""
        return self.owner, self.author

    @field_validator("data")
    @classmethod
    def _not_personal_stands_alone(cls, data: tuple[DataKind, ...]) -> tuple[DataKind, ...]:
        if DataKind.NOT_PERSONAL in data and len(data) > 1:
            raise ValueError("not_personal cannot stand beside a kind of personal data")
        return data

    @field_validator("affected")
    @classmethod
    def _nobody_stands_alone(cls, affected: tuple[Affected, ...]) -> tuple[Affected, ...]:
        if Affected.NOBODY in affected and len(affected) > 1:
            raise ValueError("nobody cannot stand beside somebody who is affected")
        return affected

    @field_validator("documents")
    @classmethod
    def _each_document_once(cls, documents: tuple[Document, ...]) -> tuple[Document, ...]:
        _distinct(tuple(document.digest for document in documents))
        return documents


def content_digest(proposal: Proposal) -> Digest:
    """Name this content by the digest of its canonical form, whatever the order that keys and sets were written in."""
    return digest_of(proposal)

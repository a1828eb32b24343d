"""Packs and proposals in files: what is wrong is told with file and place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from domain.policy import read_pack
from runtime.packs import MOST_BYTES, SHIPPED, FileError, load_calendar, load_pack, load_proposal, shipped_packs

EXAMPLE = Path(__file__).resolve().parent.parent.parent / "examples" / "tier-1-meeting-room-air.yaml"


def refusal(path: Path) -> str:
    """Load a proposal that must be refused; what is said."""
    with pytest.raises(FileError) as refused:
        load_proposal(path)
    assert refused.value.path == path
    return str(refused.value)


def test_shipped_packs_are_found_by_their_place() -> None:
    """Wherever the process was started."""
    assert ["nec-human-rights"] == [pack.id for pack in shipped_packs()]


def test_a_proposal_in_json_is_the_same(tmp_path: Path) -> None:
    """Both ways of writing it give the same value."""
    proposal = load_proposal(EXAMPLE)
    path = tmp_path / "proposal.json"
    path.write_text(proposal.model_dump_json())
    assert load_proposal(path) == proposal


def test_a_fault_in_a_pack_names_file_and_place(tmp_path: Path) -> None:
    """Line by line, one fault each."""
    path = tmp_path / "pack.yaml"
    path.write_text((SHIPPED / "nec-human-rights.yaml").read_text().replace("officer: ai_", "officer: ia_"))
    with pytest.raises(FileError) as refused:
        load_pack(path)
    assert f"{path}: /tiers/0/officer: there is no office 'ia_governance_officer'" in str(refused.value).splitlines()
    assert 4 == len(refused.value.problems)


def test_a_calendar_becomes_a_part_of_the_pack_that_names_it(tmp_path: Path) -> None:
    """One beside the pack goes before the one of that name that comes with Ringi; another calendar, another digest."""
    path = tmp_path / "pack.yaml"
    path.write_text((SHIPPED / "nec-human-rights.yaml").read_text())
    (shipped,) = shipped_packs()
    assert shipped.digest == load_pack(path).digest
    assert shipped.calendar == load_calendar(SHIPPED / "calendars" / "jp.yaml")
    assert shipped == read_pack(shipped.model_dump(mode="json"))
    (tmp_path / "calendars").mkdir()
    own = (SHIPPED / "calendars" / "jp.yaml").read_text().replace("Asia/Tokyo", "Asia/Seoul")
    (tmp_path / "calendars" / "jp.yaml").write_text(own)
    pack = load_pack(path)
    assert pack.calendar is not None
    assert "Asia/Seoul" == pack.calendar.time_zone
    assert shipped.digest != pack.digest


@pytest.mark.parametrize(
    ("name", "calendar", "says"),
    [
        ("../jp", "", "pack.yaml: /calendar: '../jp' is not the name of a calendar"),
        ("us", None, "calendars/us.yaml: No such file"),
        ("us", "id: us\n", "calendars/us.yaml: /time_zone: Field required"),
    ],
)
def test_a_calendar_that_is_none_is_said(tmp_path: Path, name: str, calendar: str | None, says: str) -> None:
    """With its own file."""
    path = tmp_path / "pack.yaml"
    path.write_text((SHIPPED / "nec-human-rights.yaml").read_text().replace("calendar: jp", f"calendar: {name}"))
    (tmp_path / "calendars").mkdir()
    if calendar is not None:
        (tmp_path / "calendars" / "us.yaml").write_text(calendar)
    with pytest.raises(FileError) as refused:
        load_pack(path)
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("p.yaml", b"title: [", "line 1, column 9: "),
        ("p.yaml", b"title: a\ntitle: b\n", "line 2, column 1: the key 'title' stands in it twice"),
        ("p.yaml", b"title: \xff\n", "not UTF-8: byte 7"),
        ("p.yaml", b"a: !!python/object/apply:os.getcwd []\n", "could not determine a constructor"),
        ("p.yaml", b"? [a]\n: b\n", "line 1, column 3: found unhashable key"),
        ("p.yaml", b"", "p.yaml: Input should be a valid dictionary"),
        ("p.yaml", b"a: \x07\n", "special characters are not allowed"),
        ("p.json", b'{"title": }', "line 1, column 11: "),
        ("p.json", b'{"title": 1, "title": 2}', "the key 'title' stands in an object twice"),
        ("p.json", b"[" * 200_000, "nested too deeply"),
        ("p.yaml", b"[" * 800, "nested too deeply"),
        ("p.yaml", b" " * (MOST_BYTES + 1), "larger than"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    """No file makes anything but a `FileError`."""
    path = tmp_path / name
    path.write_bytes(content)
    assert says in refusal(path)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    """With its name; a folder too."""
    assert "No such file" in refusal(tmp_path / "none.yaml")
    assert "Is a directory" in refusal(tmp_path)


def test_norway_is_a_country(tmp_path: Path) -> None:
    """YAML's NO is not a no here."""
    path = tmp_path / "proposal.yaml"
    path.write_text(EXAMPLE.read_text().replace("[JP]", "[NO]"))
    assert ("NO",) == load_proposal(path).jurisdictions


def test_a_float_is_refused_with_its_place(tmp_path: Path) -> None:
    """The canonical form has none."""
    data = json.loads(load_proposal(EXAMPLE).model_dump_json())
    data["answers"]["people_per_year"] = 3.5
    path = tmp_path / "proposal.json"
    path.write_text(json.dumps(data))
    assert f"{path}: /answers/people_per_year: " in refusal(path)

"""What arrives is read, whatever it is and however much came before."""

from __future__ import annotations

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue

from domain.state import Review
from workflows.inbox import read_cancel, read_signal
from workflows.messages import Carried, StartReview, Tally

LAST = 2**31 - 1


@pytest.mark.parametrize(("number", "counted"), [(1, 1), (LAST, LAST), (LAST + 1, LAST), (2**70, LAST)])
def test_a_message_of_any_number_is_read(number: int, counted: int) -> None:
    """Whatever can't be counted any more has the last number there is."""
    assert read_signal(number, "name", [RawValue(Payload(data=b"{}"))]).ordinal == counted
    assert read_cancel(number, "why").ordinal == counted


def test_what_was_counted_to_the_end_is_counted_no_further() -> None:
    """So a run can always say what it has counted, and hand it on."""
    tally = Tally(signals=LAST, refused=LAST - 1).counting("signals").counting("refused").counting("refused")
    assert Tally.model_validate(tally.model_dump()) == Tally(signals=LAST, refused=LAST)


@pytest.mark.parametrize("seq", [-1, 2**31, 2**70])
def test_what_is_handed_on_leaves_room_to_count(seq: int) -> None:
    """However large the numbers are that somebody made up; what a run handed on itself is left as it is."""
    forged = Carried(state=Review(id="r-1", seq=seq), tally=Tally(signals=LAST, refused=LAST, accepted=3), cancels=LAST)
    start = StartReview.model_validate_json(StartReview(review="r-1", carried=forged).model_dump_json())
    assert start.carried is not None
    believed = start.carried.believed()
    assert believed.state == Review(id="r-1")
    assert believed.tally == Tally(signals=2**30, refused=2**30, accepted=3)
    assert believed.cancels == 2**30
    own = Carried(state=Review(id="r-1", seq=9), tally=Tally(signals=8, accepted=7, refused=1), cancels=2)
    assert own.believed() == own

"""Signing in again over a decision, where the route asks for it: what is asked of the person, and what they bring."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import urlencode

from api.problems import SignInRefused, StepUpRequired
from api.schemas import StepUpIn
from api.sign_in import SignIn
from domain.decisions import Envelope
from domain.step_up import MAX_AGE, Renewed, act_digest, problem_with
from domain.values import Digest
from store.registers import Registers
from store.sessions import Proven, Sessions


class StepUp:
    """Answers whoever decides without having signed in again, and finds what they did.

    What it says is for a good answer: the rule itself is the core's, at the moment of the commit.
    """

    def __init__(self, sign_in: SignIn, sessions: Sessions, registers: Registers) -> None:
        self._sign_in = sign_in
        self._sessions = sessions
        self._registers = registers

    async def over(self, envelope: Envelope, given: StepUpIn | None) -> Renewed:
        """The person's renewed sign-in over this decision: the one that came with it, or the one that their browser
        brought back. The key that it verifies by is on record from here on.

        Raises:
            StepUpRequired: there is none that holds; it says what to do.
            Unavailable: the identity provider can't be reached.
        """
        nonce = act_digest(envelope)
        proven = await (self._kept(envelope, nonce) if given is None else self._brought(envelope, nonce, given))
        problem = problem_with(proven.signed_in, nonce, envelope.person, datetime.now(UTC), [proven.key])
        if problem is not None:
            raise await self._required(envelope, nonce, f"The renewed sign-in does not hold: {problem}.")
        await self._registers.see_issuer_key(proven.key)
        return Renewed(proven.signed_in, nonce)

    async def _kept(self, envelope: Envelope, nonce: Digest) -> Proven:
        proven = await self._sessions.proven(envelope.person, nonce)
        if proven is None:
            asked = "This decision needs you to sign in again, over the decision itself."
            raise await self._required(envelope, nonce, asked, refuses=False)
        return proven

    async def _brought(self, envelope: Envelope, nonce: Digest, given: StepUpIn) -> Proven:
        try:
            return await self._sign_in.over_act(given.id_token, envelope.person, nonce)
        except SignInRefused as error:
            raise await self._required(envelope, nonce, error.detail) from error

    async def _required(
        self, envelope: Envelope, nonce: Digest, detail: str, *, refuses: bool = True
    ) -> StepUpRequired:
        await self._sessions.ask_step_up(envelope, nonce)
        there = urlencode({"nonce": nonce, "return_to": f"/reviews/{envelope.review}"})
        return StepUpRequired(
            detail,
            max_age=int(MAX_AGE.total_seconds()),
            refuses=refuses,
            nonce=nonce,
            authorize=f"/step-up?{there}",
            decision_id=str(envelope.decision_id),
            meaning=envelope.meaning,
        )

"""The pure core: values and rules, with no clock, no I/O and no Temporal in them.

From the ground up:

- Values: values, canonical, calendar, stages, problems, refusal.
- What is written: proposal, people, policy, route, decisions, commands, events; dsse and proof, which sign it.
- What it amounts to: state, turns, facts, certificate.
- Who may: entitlement, separation, authority, access; drafts and step_up, on the way in.
- The stages: assessment, principles, council, training with completions, sign_off.
- Across the stages: owner, deadlines, claims, conflicts, fulfilment, revisions.
- The whole: review, with `decide` and `evolve`.
- Around it: ledger and verification; registry; reconciliation with discrepancies; and what is told: narrative, notices,
  letters, cloud_events.
"""

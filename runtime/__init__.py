"""What runs the rooms, and is neither rule nor record.

- Processes: settings, logging, health, serving, keys with private_files, packs; embedded and issuer for one machine.
- All that speaks to Temporal: temporal with sandbox, courier, history, witness, rounds, repairs; and doctor.
- What is sent: mail, webhooks with loopback.
"""

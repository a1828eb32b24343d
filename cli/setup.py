"""What a system needs before its first review: the schema, the packs that come with Ringi, somebody who operates it."""

from __future__ import annotations

import csv
from pathlib import Path

from domain.dsse import Signer
from domain.people import Person, Role
from domain.values import PersonId
from runtime.packs import FileError, shipped_packs
from store.database import FAILING, connect
from store.migrate import MigrationError, migrate
from store.registers import PublishedOtherwiseError, Registers
from store.registry import InTheWayError, KeyNotInForceError, RegistryRefusedError

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
"""Proposals and people to try Ringi with."""

OPERATOR: PersonId = "ops.operator"
"""Who operates the system among the example people."""


class SetUpError(Exception):
    """The system can't be made ready; the message is one sentence for the operator."""


async def set_up(owner_url: str, app_url: str, signer: Signer, operator: PersonId | None) -> None:
    """Bring the schema up to date, register the first key, publish the shipped packs, and grant the operator's role where
    nobody holds it. Doing it again changes nothing.

    Args:
        owner_url: the database, as the role that owns it.
        app_url: the database, as the application's role.
        signer: whose key founds the registry where nothing is on record yet; it must be in force otherwise.
        operator: who is to operate it; None changes nothing.

    Raises:
        SetUpError: the database can't be reached or migrated, the key is not in force, or a pack was published with
            another content.
    """
    try:
        await migrate(owner_url)
        async with connect(app_url, max_size=1) as database:
            registers = Registers(database, signer)
            await registers.registry.enrol()
            for pack in shipped_packs():
                await registers.publish(pack)
            if operator is not None:
                await registers.ensure_operator(operator)
    except MigrationError as error:
        raise SetUpError(f"The database can't be migrated: {error}") from error
    except (KeyNotInForceError, InTheWayError) as error:
        raise SetUpError(str(error)) from error
    except (PublishedOtherwiseError, FileError) as error:
        raise SetUpError(f"The policy packs can't be published: {error}.") from error
    except FAILING as error:
        raise SetUpError(f"The database can't be used: {error}.") from error


async def enter_examples(app_url: str, signer: Signer, operator: PersonId | None = None) -> int:
    """Enter the example people with their roles, in the name of `operator`, or of the operator among them.

    Returns:
        How many people there are.

    Raises:
        SetUpError: the database can't be used, or the examples are not there.
    """
    try:
        with (EXAMPLES / "people.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        people = [Person(id=row["person"], name=row["name"], unit=row["unit"]) for row in rows]
        roles = [(row["person"], Role(row["role"]), row["office"] or None) for row in rows if row["role"]]
        async with connect(app_url, max_size=1) as database:
            registers = Registers(database, signer)
            await registers.ensure_operator(OPERATOR)
            await registers.enter_people(people, roles, by=operator or OPERATOR)
    except (*FAILING, RegistryRefusedError, InTheWayError) as error:
        raise SetUpError(f"The example people can't be entered: {error}.") from error
    return len(people)

"""Which version answers: the one in force, or the one that the worker stays with since it refused that."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.learning import refusal
from pipeline.learning.record import DamagedRecord
from pipeline.learning.refusal import Refusal
from pipeline.learning.versions import Family, Version, chain, chain_or_base


def answering_first(known: Family, say: Callable[[str], None] = lambda _: None) -> list[Version]:
    """Return `chain_or_base`, after the version that the worker stays with if it refused that in force.

    `say` is then called with the reason.
    """
    found = chain_or_base(known)
    refused = refusal_of(known, found[0])
    if refused is None:
        return found
    at_work = known.version(refused.at_work)
    say(f"{refused.problem}; as the worker does, {at_work.name} is used")
    if at_work.number == 0:
        return [known.base]
    return [at_work, *(version for version in found[1:] if version != at_work)]


def refusal_of(known: Family, in_force: Version) -> Refusal | None:
    """Return the worker's refusal of the version in force, None if it uses it or has not tried it yet."""
    found = refusal.read(known.folder)
    return found if found and found.version == in_force.number != found.at_work else None


def note(known: Family, at_work: int, problem: str | None) -> None:
    """Note for commands and pages which version the worker answers with, and why not that in force."""
    try:
        in_force = chain(known)[0].number
    except (DamagedRecord, OSError):
        return  # the record says nothing that could be refused
    if problem is None or in_force == at_work:
        refusal.remove(known.folder)
    else:
        refusal.write(known.folder, Refusal(in_force, at_work, problem))

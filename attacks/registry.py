"""What an attack is: a function that attacks a service and returns the figure it has seen."""

from collections.abc import Callable
from dataclasses import dataclass

from attacks.service import Service


class Fell(Exception):
    """The service did not hold; the text says what was seen."""


@dataclass(frozen=True, slots=True)
class Attack:
    """An attack: its name, what it once did to the service, and the function that runs it."""

    name: str
    before: str
    run: Callable[[Service, bool], str]


ATTACKS: list[Attack] = []


def attack(name: str, *, before: str) -> Callable[[Callable[[Service, bool], str]], None]:
    """Register a function as an attack. It gets the service, and whether the run shall be short."""

    def register(run: Callable[[Service, bool], str]) -> None:
        ATTACKS.append(Attack(name, before, run))

    return register


def must(held: bool, seen: str) -> None:
    """Raise Fell with what was seen, unless the service held."""
    if not held:
        raise Fell(seen)

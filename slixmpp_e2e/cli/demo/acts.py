"""What happened, as values: the screen and the JSON document are two views of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from slixmpp_e2e.report import SecurityReport


@dataclass(frozen=True, slots=True)
class Expectation:
    """What should be so, and whether it is; `instead` says what was found where it is not."""

    text: str
    met: bool
    instead: str = ""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One stanza from a program to another program."""

    title: str
    sender: str
    recipient: str
    #: As the program handed it to slixmpp; None if it sent nothing.
    sent: str | None
    #: As it reached the recipient's socket; None if nothing came.
    wire: bytes | None
    #: As slixmpp handed it to the recipient's program; None if it did not.
    received: str | None
    report: SecurityReport | None
    #: What the recipient's program was told instead: the reason of `e2e_error`.
    refused: str | None
    expectations: tuple[Expectation, ...]


@dataclass(frozen=True, slots=True)
class Attack:
    """A hostile stanza, and how that ends."""

    title: str
    #: Who does what, in a sentence or two.
    story: str
    #: What is worth seeing of the hostile stanza.
    detail: tuple[str, ...]
    #: As it reached the victim's socket; None if nothing did.
    wire: bytes | None
    #: What reached the victim's program.
    delivered: tuple[str, ...]
    #: The reason of `e2e_error`, and what it says to people; None if there was none.
    reason: str | None
    diagnostics: str | None
    #: What the victim's client sent to the pretended sender.
    answers: tuple[bytes, ...]
    expectations: tuple[Expectation, ...]


@dataclass(frozen=True, slots=True)
class Finale:
    """What must be true of everything together."""

    wire_octets: int
    expectations: tuple[Expectation, ...]


Act: TypeAlias = Exchange | Attack | Finale


def failures(acts: Sequence[Act]) -> list[str]:
    """Name the expectations that were not met."""
    return [
        f"{title(act)}: {expectation.text}"
        for act in acts
        for expectation in act.expectations
        if not expectation.met
    ]


def title(act: Act) -> str:
    """Return what an act is called."""
    return "All in all" if isinstance(act, Finale) else act.title


def is_ok(act: Act) -> bool:
    """Say whether an act ended as it should."""
    return all(expectation.met for expectation in act.expectations)

"""Three attacks by Mallory, who sits on Romeo's wire, and what is expected of each.

What the victim's own program learns is exact. What goes back over the wire is uniform: whatever fails before a
trusted signature has verified is answered with one and the same stanza error, so that nobody learns from it
what was wrong (RFC 3923 7).
"""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Final
from xml.etree.ElementTree import fromstring

from slixmpp.jid import JID

from slixmpp_e2e.cli.demo.acts import Attack, Expectation
from slixmpp_e2e.cli.demo.stage import JULIET, ROMEO, Arrival, Participant, Stage
from slixmpp_e2e.cli.demo.wire import stanzas
from slixmpp_e2e.errors import BAD_TIMESTAMP, DECRYPTION_FAILED, StanzaErrorAnswer
from slixmpp_e2e.namespaces import E2E, STANZAS
from slixmpp_e2e.plugin.stanzas import ReceiveFailure

_IN_TRANSIT: Final = "Good night, good night! Parting is such sweet sorrow"
_FORGED: Final = "Meet me at the tomb, and bring the poison. Thy Juliet"

#: What these attacks send as text, for the search of the wire.
BODIES: Final = (_IN_TRANSIT, _FORGED)

#: Where the damage shows depends on what the octet belongs to: here it is the signed content.
_DAMAGED: Final = frozenset({"invalid", "malformed", "decryption-failed"})

_BASE64: Final = re.compile(rb"\n\n([A-Za-z0-9+/=\n]+)</")
_EITHER_SIDE: Final = 22


@dataclass(frozen=True, slots=True)
class _Expected:
    """Why the stanza is refused, one of these, and what the pretended sender is told."""

    reasons: Collection[str]
    answer: StanzaErrorAnswer


async def change_in_transit(stage: Stage) -> Attack:
    """Change one octet of a message of Juliet's on its way to Romeo."""
    versions: list[bytes] = []

    def change(octets: bytes) -> bytes:
        versions[:] = octets, change_one_octet(octets)
        return versions[-1]

    trial = _Trial(stage.romeo)
    stage.romeo.wire.change_next_message(change)
    stage.juliet.client.send_message(ROMEO, _IN_TRANSIT, mtype="chat")
    return await trial.end(
        "One octet is changed",
        "Juliet writes. Mallory, on Romeo's wire, changes one octet of it in passing.",
        _Expected(_DAMAGED, DECRYPTION_FAILED),
        detail=lambda: _difference(*versions) if versions else (),
    )


async def replay(stage: Stage, captured: bytes) -> Attack:
    """Give Romeo once more what he has already got from Juliet, octet for octet."""
    trial = _Trial(stage.romeo)
    stage.romeo.wire.inject(captured)
    return await trial.end(
        "A stanza comes again",
        "Mallory recorded Juliet's first message. She sends the same octets to Romeo once more.",
        # The signature is Juliet's, and so may be the mistake: she is told the truth.
        _Expected({"seen"}, BAD_TIMESTAMP),
    )


async def impersonate(stage: Stage) -> Attack:
    """Write to Romeo as Juliet, with Mallory's own and valid certificate."""
    forged = stage.mallory.make_message(ROMEO, _FORGED, mtype="chat")
    forged["from"] = JULIET
    plugin = stage.mallory.plugin["e2e"]
    own = plugin.protection.identity
    plugin.protection.succession.current = replace(
        own, jids=own.jids | {JID(JULIET).bare}
    )  # it would not lie for her
    outer = await plugin.protect(forged)
    trial = _Trial(stage.romeo)
    stage.romeo.wire.inject(str(outer).encode())
    return await trial.end(
        "A stranger claims to be Juliet",
        "Mallory's certificate is from the same CA. She signs with it, encrypts to Romeo, and writes "
        "Juliet's name inside and outside.",
        _Expected({"name-mismatch"}, DECRYPTION_FAILED),
    )


def change_one_octet(stanza: bytes) -> bytes:
    """Return a stanza with another letter in the middle of its base64; unchanged, if there is no base64."""
    found = _BASE64.search(stanza)
    if found is None:
        return stanza
    place = sum(found.span(1)) // 2
    while stanza[place : place + 1] == b"\n":
        place += 1
    other = b"B" if stanza[place : place + 1] == b"A" else b"A"
    return stanza[:place] + other + stanza[place + 1 :]


def tells_the_same(some: Attack, other: Attack) -> bool:
    """Say whether two attacks were answered alike: nobody can tell from it why they failed."""
    return [_told(each) for each in some.answers] == [_told(each) for each in other.answers]


class _Trial:
    """From before a hostile stanza arrives until all that it can cause is over."""

    def __init__(self, victim: Participant) -> None:
        self._victim = victim
        self._from_client = len(victim.wire.from_client)
        victim.wire.newly_arrived()  # what came before is not our concern
        victim.client.plugin[
            "e2e"
        ].forget_answers()  # as if it were ten seconds later: else he would not answer again

    async def end(
        self,
        title: str,
        story: str,
        expected: _Expected,
        *,
        detail: Callable[[], tuple[str, ...]] = tuple,
    ) -> Attack:
        """Wait for the first consequence, then for all others, and compare them with what is expected."""
        victim = self._victim
        seen = [await victim.next_seen()]
        alive = await victim.settle()  # whatever is answered is on the wire before this comes back
        while not victim.seen.empty():
            seen.append(victim.seen.get_nowait())
        delivered = tuple(str(each.stanza) for each in seen if isinstance(each, Arrival))
        failures = [each for each in seen if isinstance(each, ReceiveFailure)]
        reasons = [failure.reason for failure in failures]
        answers = tuple(
            each for each in stanzas(bytes(victim.wire.from_client[self._from_client :])) if _told(each)
        )
        hostile = stanzas(victim.wire.newly_arrived())
        return Attack(
            title=title,
            story=story,
            detail=detail(),
            wire=hostile[0] if hostile else None,
            delivered=delivered,
            reason=reasons[0] if reasons else None,
            diagnostics=failures[0].error.diagnostics() if failures else None,
            answers=answers,
            expectations=(
                Expectation("nothing of it reaches the program", not delivered, "".join(delivered)),
                Expectation(
                    f"it is refused once, as {' or '.join(sorted(expected.reasons))}",
                    len(reasons) == 1 and reasons[0] in expected.reasons,
                    f"reasons given: {reasons}",
                ),
                Expectation(
                    f"the answer says {expected.answer.application}, and no more",
                    [_told(each) for each in answers] == [_names(expected.answer)],
                    f"answers: {answers}",
                ),
                Expectation("the connection lives on", alive, "the server does not answer any more"),
            ),
        )


def _told(stanza: bytes) -> tuple[str, ...]:
    """Return all that a stanza error says, as names and text; nothing if it is no stanza error.

    Its id and addresses are those of the stanza that it answers, and left out.
    """
    answer = fromstring(stanza)  # noqa: S314 our own client wrote it
    if answer.get("type") != "error":
        return ()
    said = [f"type {each.get('type')}" for each in answer.findall("error")]
    said += [element.tag for element in answer.iter() if element.tag not in {answer.tag, "error"}]
    return (*said, *(text.strip() for text in answer.itertext() if text.strip()))


def _names(answer: StanzaErrorAnswer) -> tuple[str, ...]:
    return f"type {answer.type}", f"{{{STANZAS}}}{answer.condition}", f"{{{E2E}}}{answer.application}"


def _difference(before: bytes, after: bytes) -> tuple[str, ...]:
    """Return the surroundings of the octet that was changed, before and after."""
    pairs = enumerate(zip(before, after, strict=True))
    place = next((number for number, (old, new) in pairs if old != new), None)
    if place is None:
        return ("nothing was changed",)
    return tuple(f"{label} {_marked(octets, place)}" for label, octets in (("was", before), ("now", after)))


def _marked(octets: bytes, place: int) -> str:
    parts = (
        octets[place - _EITHER_SIDE : place],
        octets[place : place + 1],
        octets[place + 1 :][:_EITHER_SIDE],
    )
    before, octet, after = ("".join(part.decode(errors="replace").split("\n")) for part in parts)
    return f"…{before}[{octet}]{after}…"

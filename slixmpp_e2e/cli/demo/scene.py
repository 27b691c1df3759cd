"""The play: a conversation, three attacks, and what must be true of it all."""

import asyncio
from collections.abc import Callable
from typing import Final
from xml.etree.ElementTree import tostring
from xml.sax.saxutils import escape

from slixmpp import Iq

from slixmpp_e2e.cli.demo.acts import Act, Attack, Exchange, Expectation, Finale
from slixmpp_e2e.cli.demo.attacks import BODIES, change_in_transit, impersonate, replay, tells_the_same
from slixmpp_e2e.cli.demo.stage import PATIENCE, Arrival, Participant, Stage
from slixmpp_e2e.cli.demo.wire import stanzas
from slixmpp_e2e.namespaces import E2E
from slixmpp_e2e.plugin.stanza_ids import STANZA_ID
from slixmpp_e2e.plugin.stanzas import ReceiveFailure, Stanza

Show = Callable[[Act], None]

_FIRST: Final = "But, soft! what light through yonder window breaks?"
_SECOND: Final = "Mille volte buona notte, Roméo — è già giorno ♥"
_REPLY: Final = "A thousand times the worse, to want thy light."


async def play(stage: Stage, show: Show) -> list[Act]:
    """Play it all, and show each act when it has ended; returns the acts."""
    acts: list[Act] = []

    def ended(act: Act) -> None:
        acts.append(act)
        show(act)

    captured = await _converse(stage, ended)
    changed = await change_in_transit(stage)
    ended(changed)
    ended(await replay(stage, captured))
    forged = await impersonate(stage)
    ended(forged)
    ended(_finale(stage, changed, forged))
    return acts


# --------------------------------------------------------------------------- the conversation


async def _converse(stage: Stage, ended: Show) -> bytes:
    """Let the two talk; returns a stanza for Romeo as somebody on his wire captured it."""
    romeo, juliet = stage.romeo, stage.juliet

    romeo.client.send_message("juliet@localhost", _FIRST, mtype="chat")
    ended((await _exchange("A message", romeo, juliet))[0])

    juliet.client.send_message("romeo@localhost", _SECOND, mtype="chat")
    exchange, message = await _exchange("A message, and not in ASCII", juliet, romeo)
    ended(exchange)

    if message is not None:
        message.reply(_REPLY).send()
        ended((await _exchange("A reply to it", romeo, juliet))[0])

    request = romeo.client.make_iq_get(ito=juliet.client.boundjid)
    request.enable("ping")
    response = request.send(timeout=PATIENCE)
    ended((await _exchange("A request, a ping of XEP-0199", romeo, juliet))[0])
    ended((await _exchange("Its result, from the plugin of XEP-0199", juliet, romeo))[0])
    await asyncio.gather(response, return_exceptions=True)  # what came of it has just been judged
    return exchange.wire or b""


async def _exchange(
    title: str, sender: Participant, recipient: Participant
) -> tuple[Exchange, Stanza | None]:
    """Follow the stanza that the sender's program has just sent; returns what arrived, too."""
    sent = await sender.next_sent()
    seen = await recipient.next_seen()
    arrived = stanzas(recipient.wire.newly_arrived())
    wire = arrived[-1] if arrived else None
    arrival = seen if isinstance(seen, Arrival) else None
    exchange = Exchange(
        title=title,
        sender=sender.client.boundjid.full,
        recipient=recipient.client.boundjid.full,
        sent=str(sent) if sent is not None else None,
        wire=wire,
        received=str(arrival.stanza) if arrival else None,
        report=arrival.report if arrival else None,
        refused=seen.reason if isinstance(seen, ReceiveFailure) else None,
        expectations=_expectations(sender, sent, seen, wire),
    )
    return exchange, arrival.stanza if arrival else None


def _expectations(
    sender: Participant, sent: Stanza | None, seen: Arrival | ReceiveFailure | None, wire: bytes | None
) -> tuple[Expectation, ...]:
    if sent is None:
        return (Expectation("it is sent", met=False, instead="nothing was"),)
    hidden = wire is not None and E2E.encode() in wire and not _is_readable(sent, wire)
    on_the_wire = Expectation("nothing of it can be read on the wire", hidden, "it can, or nothing came")
    if not isinstance(seen, Arrival):
        instead = f"it was refused: {seen.reason}" if seen else "nothing came"
        return on_the_wire, Expectation("it arrives", met=False, instead=instead)
    report = seen.report
    own = sender.client.boundjid.bare
    return (
        on_the_wire,
        Expectation("it arrives as it was sent", _content(seen.stanza) == _content(sent), str(seen.stanza)),
        Expectation(
            "it is encrypted, signed, trusted and fresh",
            report is not None and report.encrypted and report.authenticated,
            "it came unprotected" if report is None else "only a part of it is so",
        ),
        Expectation(
            "its signer is its sender",
            report is not None and report.signer == own,
            f"the signer is {report.signer if report else 'nobody'}",
        ),
    )


def _is_readable(sent: Stanza, wire: bytes) -> bool:
    """Say whether a body, or the namespace of a payload, stands in a stanza on the wire."""
    if isinstance(sent, Iq):
        return any(child.tag.partition("}")[0][1:].encode() in wire for child in sent.xml)
    return any(form in wire for form in _forms(sent["body"]))


def _forms(body: str) -> tuple[bytes, ...]:
    return body.encode(), escape(body).encode()


def _content(stanza: Stanza) -> tuple[str | None, list[bytes]]:
    """Return what was said; the id in the archive is the server's."""
    return stanza.xml.get("type"), [tostring(child) for child in stanza.xml if child.tag != STANZA_ID]


# --------------------------------------------------------------------------- all in all


def _finale(stage: Stage, changed: Attack, forged: Attack) -> Finale:
    records = [
        bytes(octets)
        for participant in (stage.romeo, stage.juliet)
        for octets in (participant.wire.from_client, participant.wire.to_client)
    ]
    readable = [
        body
        for body in (_FIRST, _SECOND, _REPLY, *BODIES)
        if any(form in record for form in _forms(body) for record in records)
    ]
    return Finale(
        wire_octets=sum(map(len, records)),
        expectations=(
            Expectation(
                "no text that was sent stands anywhere on the wire", not readable, f"there is {readable}"
            ),
            Expectation(
                "from the answers nobody can tell the changed octet from the false name",
                tells_the_same(changed, forged),
                f"answers: {changed.answers} and {forged.answers}",
            ),
        ),
    )

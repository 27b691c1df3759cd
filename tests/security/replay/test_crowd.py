"""A stranger with many addresses, whose stanzas are dated as far ahead as they may be, silences nobody."""

import time
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement

import pytest
import slixmpp
from cryptography.hazmat.primitives.asymmetric import ec
from slixmpp import JID

from slixmpp_e2e.certificates.identity import Identity, identity
from slixmpp_e2e.certificates.store import MemoryStore, Store
from slixmpp_e2e.formats import rfc3923
from slixmpp_e2e.freshness import SECOND, MemoryReplayRecord
from slixmpp_e2e.outer import E2E_TAG
from slixmpp_e2e.stores.sqlite import SQLiteStore
from tests.benchmarks.parties import JULIET, ROMEO, Parties, Party, make_parties
from tests.pki import make_certificate

PLACES = 40
JIDS = [f"m{number}@evil.example" for number in range(PLACES + 10)]


def make_store(home: str, directory: Path) -> Store:
    if home == "sqlite":
        return SQLiteStore(directory / "crowd.db", signers=PLACES)
    store = MemoryStore(started=0)
    store._replay = MemoryReplayRecord(started=0, signers=PLACES)
    return store


def make_crowd(parties: Parties, trust: str) -> dict[str, Identity]:
    """Return identities of many addresses, such as `trust` believes; it is one key."""
    key = ec.generate_private_key(ec.SECP256R1())
    ca = parties.pki.intermediate if trust == "pkix" else None
    own = [make_certificate(key, jid, issuer=ca, jid=jid) for jid in JIDS]
    above = [ca.certificate] if ca else []
    return {jid: identity(key, each, above) for jid, each in zip(JIDS, own, strict=True)}


def send_from_everywhere(receiver: Party, crowd: dict[str, Identity], ahead: int) -> int:
    """Let one stanza of each address arrive, dated that many seconds ahead; return how many were delivered."""
    delivered = 0
    for jid, me in crowd.items():
        inner = Element("{jabber:client}message", {"type": "chat", "from": jid, "to": JULIET})
        SubElement(inner, "{jabber:client}body").text = "x"
        text = rfc3923.protect(
            inner,
            rfc3923.Sealing(me.signer, ()),
            sender=JID(jid),
            recipient=JID(JID(JULIET).bare),
            moment=time.time_ns() + ahead * SECOND,
        )
        outer = Element(
            "{jabber:client}message", {"type": "chat", "from": f"{jid}/x", "to": JULIET, "id": "1"}
        )
        SubElement(outer, E2E_TAG).text = text
        stanza = slixmpp.Message(receiver.xmpp, xml=outer, recv=True)
        delivered += receiver.plugin._arrivals.unseal(stanza) is not None
    return delivered


@pytest.mark.parametrize("trust", ["tofu", "pkix"])
@pytest.mark.parametrize("home", ["memory", "sqlite"])
async def test_who_has_many_addresses_silences_nobody(home, trust, tmp_path):
    with make_parties() as parties:
        store = make_store(home, tmp_path)
        juliet, romeo = parties.juliet(store=store, trust=trust), parties.romeo()
        crowd = make_crowd(parties, trust)

        def hears_romeo() -> bool:
            message = romeo.xmpp.make_message(JULIET, "hello", mtype="chat")
            message["id"] = romeo.xmpp.new_id()
            wire = romeo.wire(romeo.seal(message))
            return juliet.plugin._arrivals.unseal(juliet.receive(wire, sender=ROMEO)) is not None

        assert hears_romeo()
        assert send_from_everywhere(juliet, crowd, 298) == PLACES // 2
        assert hears_romeo()
        assert send_from_everywhere(juliet, crowd, 0) >= PLACES // 2
        assert hears_romeo()
        store.close()

"""Stanzas with something wrong in them, and people whom nobody trusts."""

from collections.abc import Callable
from typing import Any
from xml.etree.ElementTree import SubElement

import pytest
import slixmpp
from slixmpp.exceptions import IqError

from slixmpp_e2e.namespaces import E2E
from slixmpp_e2e.outer import E2E_TAG
from slixmpp_e2e.plugin.stanzas import mark_sealed

from .clients import Clients
from .protected import PKI, introduce, protect

JULIET = "juliet@localhost/juliet"


def credentials(pki: PKI, name: str) -> dict[str, Any]:
    """Return the options that say who somebody is."""
    return {option: pki.options(name)[option] for option in ("certificate", "private_key")}


async def stranger(clients: Clients, pki: PKI, strangers: PKI) -> slixmpp.ClientXMPP:
    """Log mercutio in: his certificate is of a CA that juliet does not know; hers is known to him."""
    mercutio = await clients.log_in("mercutio@localhost/mercutio")
    options = pki.options("mercutio", peer_certificates=introduce(pki, "juliet"))
    protect(mercutio, {**options, **credentials(strangers, "mercutio")})
    return mercutio


def forged(xmpp: slixmpp.ClientXMPP, kind: str, kind_type: str = "", payload: str = "AAAA") -> Any:
    """Return a stanza for juliet with an `<e2e/>` that the sender's plugin lets pass; by default it is nonsense."""
    stanza = {"message": xmpp.Message, "presence": xmpp.Presence, "iq": xmpp.Iq}[kind]()
    stanza["to"], stanza["id"] = JULIET, xmpp.new_id()
    if kind_type:
        stanza.xml.set("type", kind_type)
    SubElement(stanza.xml, E2E_TAG).text = payload
    if kind_type == "error":
        stanza["error"]["condition"] = "not-acceptable"
    mark_sealed(stanza)
    return stanza


async def answer_to_iq(xmpp: slixmpp.ClientXMPP) -> IqError:
    """Send juliet an iq that can't be opened, which is always answered; return what it raises."""
    with pytest.raises(IqError) as failure:
        await forged(xmpp, "iq", "get").send(timeout=5)
    assert failure.value.condition == "bad-request"
    assert failure.value.iq["error"].xml.find(f"{{{E2E}}}decryption-failed") is not None
    return failure.value


def other_text(payload: str) -> str:
    """Change a word in signed text."""
    assert "Wherefore" in payload
    return payload.replace("Wherefore", "Therefore")


def other_octet(payload: str) -> str:
    """Change an octet of the signature, which stands last in what is encrypted."""
    place = len(payload.rstrip()) - 100
    place = next(at for at in range(place, len(payload)) if payload[at].isalnum())
    return payload[:place] + ("A" if payload[place] != "A" else "B") + payload[place + 1 :]


def spoil(xmpp: slixmpp.ClientXMPP, spoiler: Callable[[str], str]) -> None:
    """Change what is sealed on its last step to the wire, as somebody on the way could."""

    def change(stanza: Any) -> Any:
        for payload in stanza.xml.iterfind(E2E_TAG):
            payload.text = spoiler(payload.text)
        return stanza

    xmpp.add_filter("out_sync", change)

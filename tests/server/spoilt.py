"""Stanzas with something wrong in them, and people whom nobody trusts."""

from collections.abc import Callable
from typing import Any
from xml.etree.ElementTree import Element, SubElement

import pytest
import slixmpp
from slixmpp.exceptions import IqError

from slixmpp_e2e.namespaces import E2E
from slixmpp_e2e.outer import E2E_TAG
from slixmpp_e2e.plugin.stanzas import mark_sealed
from tests.written import RFC3923, Written

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


def forged(xmpp: slixmpp.ClientXMPP, kind: str, kind_type: str = "", payload: str | Element = "AAAA") -> Any:
    """Return a stanza for juliet with an `<e2e/>` that the sender's plugin lets pass; by default it is nonsense.

    `payload` is the text of RFC 3923's, or the whole element of any format.
    """
    stanza = {"message": xmpp.Message, "presence": xmpp.Presence, "iq": xmpp.Iq}[kind]()
    stanza["to"], stanza["id"] = JULIET, xmpp.new_id()
    if kind_type:
        stanza.xml.set("type", kind_type)
    if isinstance(payload, str):
        SubElement(stanza.xml, E2E_TAG).text = payload
    else:
        stanza.xml.append(payload)
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
    """Change an octet near the end of what is encrypted: with RFC 3923, of the signature."""
    place = len(payload.rstrip()) - 100
    place = next(at for at in range(place, len(payload)) if payload[at].isalnum())
    return payload[:place] + ("A" if payload[place] != "A" else "B") + payload[place + 1 :]


def spoil(xmpp: slixmpp.ClientXMPP, spoiler: Callable[[str], str], written: Written = RFC3923) -> None:
    """Change what is sealed on its last step to the wire, as somebody on the way could."""

    def change(stanza: Any) -> Any:
        if stanza.xml.find(written.tag) is not None:
            part = written.encrypted_part(stanza.xml)
            part.text = spoiler(part.text)
        return stanza

    xmpp.add_filter("out_sync", change)

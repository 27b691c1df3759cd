"""The two ways of a stanza, from juliet to romeo."""

from xml.etree.ElementTree import Element, fromstring, tostring

import pytest
from slixmpp.jid import JID

from slixmpp_e2e.arriving import Unprotected
from slixmpp_e2e.errors import RemoteError
from slixmpp_e2e.media import mime
from slixmpp_e2e.policy import Level
from slixmpp_e2e.protection import Protection
from slixmpp_e2e.stanza import stanza_type
from tests.elements import stanza
from tests.formats.objects import JULIET, ROMEO, outer
from tests.security.forgery import Captured

NURSE = "From: <im:nurse@example.com>"


TEXT_MESSAGE = "<message type='chat' id='m1'><body>Wherefore art thou,\nRomeo?\n</body></message>"


def protect(
    by: Protection, xml: str | Element = TEXT_MESSAGE, level: Level = Level.REQUIRED, *, to: JID = ROMEO
) -> str:
    element = stanza(xml) if isinstance(xml, str) else xml
    return by.protect(element, sender=JULIET, recipient=to, level=level).text


def through_xml(text: str) -> str:
    """What comes out at the other end of a stream."""
    element = Element("{urn:ietf:params:xml:ns:xmpp-e2e}e2e")
    element.text = text
    return fromstring(tostring(element)).text


def unprotect(by: Protection, text: str, where=None, **options) -> Unprotected:
    return by.unprotect(through_xml(text), where or outer(), **options)


def refusal(by: Protection, text: str, where=None, **options) -> RemoteError:
    with pytest.raises(RemoteError) as caught:
        by.unprotect(text, where or outer(), **options)
    return caught.value


def outcome(by: Protection, text: str, where=None) -> Unprotected | RemoteError:
    try:
        return unprotect(by, text, where)
    except RemoteError as error:
        return error


def outer_of(element: Element):
    return outer(element.tag.rpartition("}")[2], stanza_type(element))


def addressed(element: Element) -> Element:
    element.set("from", JULIET.full)
    element.set("to", ROMEO.full)
    return element


def changes(text: str) -> list[str]:
    """What an attacker makes of a captured object: the same encrypted key, and another ciphertext."""
    captured = Captured.from_der(mime.decode_base64(text.partition("\n\n")[2].encode()))
    return [mime.pkcs7_mime(each, "enveloped-data", binary=False).decode() for each in captured.guesses(2)]

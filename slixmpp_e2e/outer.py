"""The stanza around an object: how it is read and written, and what may be one at all.

The plugin, the endpoint and the gateway share these rules. There is no stream here: what slixmpp does for a
program, such as filling in a missing `from`, is done with the addresses that the caller names.
"""

from collections.abc import Collection, Mapping
from typing import Final
from xml.etree.ElementTree import Element, SubElement

from slixmpp.jid import JID

from slixmpp_e2e.errors import (
    InvalidStanzaError,
    MalformedError,
    RefusedError,
    SignatureError,
    StanzaErrorAnswer,
    TooLargeError,
)
from slixmpp_e2e.media.addresses import bare, read_jid
from slixmpp_e2e.namespaces import CLIENT, COMPONENT, E2E, OBJENC, STANZAS
from slixmpp_e2e.stanza import (
    MAX_OCTETS,
    Kind,
    Outer,
    as_client_stanza,
    parse_xml,
    remap,
    serialise,
    stanza_type,
)

E2E_TAG: Final = f"{{{E2E}}}e2e"
#: The element of draft-miller-3923bis-02.
OBJENC_TAG: Final = f"{{{OBJENC}}}e2e"
#: What holds a protected stanza.
PAYLOADS: Final = frozenset({E2E_TAG, OBJENC_TAG})
#: The types of stanzas whose objects are opened.
OPENED: Final[Mapping[str, frozenset[str]]] = {
    "message": frozenset({"normal", "chat", "headline"}),
    "presence": frozenset({"available", "unavailable"}),
    "iq": frozenset({"get", "set", "result", "error"}),
}
#: The types of stanzas that no stanza error ever answers (RFC 6120 8.3.1, ARCHITECTURE invariant 14).
NEVER_ANSWERED: Final = frozenset({"error", "result", "groupchat", "headline"})
#: What a presence holds that joins a room (XEP-0045 7.2).
MUC_JOIN: Final = "{http://jabber.org/protocol/muc}x"
#: Why nothing is protected that goes to a room or through it.
IN_ROOM: Final = (
    "who is behind a room's addresses no certificate can say, so what goes there is never protected"
)
#: Why a protected iq needs a full JID.
TO_BARE_JID: Final = "a request to a bare JID is answered by its server, who can't read it"
_SUBSCRIPTIONS: Final = frozenset({"subscribe", "subscribed", "unsubscribe", "unsubscribed", "probe"})
_EMPTY: Final = f'<e2e xmlns="{E2E}"/>'


def kind_of(stanza: Element) -> Kind:
    """Return the kind of a stanza in `jabber:client`."""
    kind: Kind = stanza.tag.rpartition("}")[2]  # type: ignore[assignment]
    return kind


def never_protected(kind: str, type_: str, to: JID) -> str | None:
    """Return why a stanza is never protected, whatever is asked for (RFC 3923 2, invariant 6), or None."""
    if not to.bare:
        return "a stanza without recipient is for the server, or for everybody"
    if kind == "message" and type_ == "groupchat":
        return "what goes to a room is read by everybody in it"
    if kind == "presence" and type_ in _SUBSCRIPTIONS:
        return "subscriptions are never protected"
    if kind != "iq" and type_ == "error":
        return "an error is never opened, so it is never protected"
    return None


# --------------------------------------------------------------------------- reading


def read_stanza(xml: bytes | str) -> Element:
    """Return a stanza in `jabber:client`; raise `MalformedError`.

    It may be in `jabber:server` or `jabber:component:accept`, and without a namespace it is what stands in a
    client's stream, where the stream declares it.
    """
    try:
        element = parse_xml(xml.encode() if isinstance(xml, str) else xml)
    except UnicodeEncodeError:
        raise MalformedError("half a character") from None
    if not element.tag.startswith("{"):
        _adopt(element)
    remap(element, COMPONENT, CLIENT)
    return as_client_stanza(element)


def _adopt(element: Element) -> None:
    """Put an element, and the children that have no namespace of their own either, into `jabber:client`."""
    element.tag = f"{{{CLIENT}}}{element.tag}"
    for child in element:
        if not child.tag.startswith("{"):
            _adopt(child)


def payload(stanza: Element) -> str:
    """Return the text of the one `<e2e/>` element of a stanza.

    Raises `RefusedError` (`unprotected`) where there is none, `MalformedError` where there are several, or
    elements in it (ERRATA E10).
    """
    found = stanza.findall(E2E_TAG)
    if not found:
        raise RefusedError("there is no e2e element in it", reason="unprotected")
    if len(found) != 1 or len(found[0]):
        raise MalformedError("there is not exactly one e2e element with nothing but text in it")
    return found[0].text or ""


def find_payload(stanza: Element) -> str | Element:
    """Return the text of the one `<e2e/>` element of RFC 3923, or that of draft-miller-3923bis-02, whole.

    Raises `RefusedError` (`unprotected`) where there is none, `MalformedError` where there are several.
    """
    found = stanza.findall(OBJENC_TAG)
    if not found:
        return payload(stanza)
    if len(found) > 1 or stanza.find(E2E_TAG) is not None:
        raise MalformedError("there is more than one e2e element in it")
    return found[0]


def has_payload(stanza: Element) -> bool:
    """Tell whether there is an `<e2e/>` element in a stanza."""
    return any(child.tag in PAYLOADS for child in stanza)


def read_outer(stanza: Element, own: Collection[str]) -> Outer:
    """Return what the servers vouch for in a stanza that came to one of our `own` bare JIDs.

    Without `to` it is for us, without `from` it is from our own account, where that is one account only.
    Raises `RefusedError` for a type that is never opened, `SignatureError` for addresses that are not ours,
    or not written as they are compared.
    """
    kind, type_ = kind_of(stanza), stanza_type(stanza)
    if type_ not in OPENED[kind]:
        raise RefusedError(f"a {kind} of this type is never opened", reason="unprotected")
    recipient = _address(stanza.get("to"), own, "to", "other-recipient")
    if bare(recipient) not in own:
        raise SignatureError("it is addressed to somebody else", reason="other-recipient")
    sender = _address(stanza.get("from"), own, "from", "name-mismatch")
    return Outer(kind, type_, stanza.get("id", ""), sender, recipient)


def _address(text: str | None, own: Collection[str], what: str, reason: str) -> JID:
    if not text:
        if len(own) != 1:
            raise SignatureError(f"there is no {what} in it", reason=reason)
        return JID(next(iter(own)))
    try:
        read_jid(text)
        return JID(text)
    except ValueError:
        raise SignatureError(
            f"the address in {what} is none, or is not written as it is compared", reason=reason
        ) from None


# --------------------------------------------------------------------------- writing


def write_outer(
    kind: Kind, attributes: Mapping[str, str | None], payload: str | Element, *, cdata: bool = False
) -> str:
    """Return a stanza that holds nothing but `<e2e/>`; attributes that are None are left out.

    `payload` is the text of RFC 3923's, or the whole element.

    With `cdata` the text is a CDATA section, `]]>` in two of them (RFC 3923 3.1, ERRATA E10), else it is
    escaped: every reader sees the same. An iq error gets the `<error/>` that it must have (RFC 6120 8.3.2).

    Raises `InvalidStanzaError` for what XML can't carry, `TooLargeError`.
    """
    stanza = Element(f"{{{CLIENT}}}{kind}", {key: value for key, value in attributes.items() if value})
    if kind == "iq" and attributes.get("type") == "error":
        _add_error(stanza, StanzaErrorAnswer("undefined-condition", None, "cancel"))
    if isinstance(payload, str):
        text, element = payload, SubElement(stanza, E2E_TAG)
        element.text = text
    else:
        text, element = "", payload
        stanza.append(element)
    written = serialise(stanza)  # whatever the form, it says what XML can't carry
    if cdata and isinstance(payload, str):
        element.text = None
        section = "]]]]><![CDATA[>".join(text.split("]]>"))
        written = serialise(stanza).replace(_EMPTY, f"{_EMPTY[:-2]}><![CDATA[{section}]]></e2e>")
    size = len(written.encode())
    if size > MAX_OCTETS:
        raise TooLargeError(f"the stanza has {size} octets; nobody reads more than {MAX_OCTETS}")
    return written


def write_error(stanza: Element, answer: StanzaErrorAnswer) -> Element:
    """Return the stanza error that answers a stanza: same kind and id, addresses swapped (ERRATA E04)."""
    error = Element(stanza.tag, {"type": "error"})
    for name, source in (("to", "from"), ("from", "to"), ("id", "id")):
        if value := stanza.get(source):
            error.set(name, value)
    _add_error(error, answer)
    return error


def _add_error(stanza: Element, answer: StanzaErrorAnswer) -> None:
    error = SubElement(stanza, f"{{{CLIENT}}}error", {"type": answer.type})
    SubElement(error, f"{{{STANZAS}}}{answer.condition}")
    if answer.application is not None:
        SubElement(error, f"{{{E2E}}}{answer.application}")


def written_jid(address: JID | str) -> JID:
    """Return an address that we are to write; raise `InvalidStanzaError` for what is none."""
    try:
        jid = JID(address)
        bare(jid)
    except ValueError:
        raise InvalidStanzaError(f"{str(address)[:80]!a} is no address") from None
    return jid

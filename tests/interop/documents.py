"""S/MIME objects, PIDF and application/xmpp+xml as somebody else writes and reads them: no code of ours.

The documents are the examples of RFC 3923, made well-formed and dated (ERRATA E18, E19), with the people of our
PKI, and with one child in the iq (ERRATA E23).
"""

from base64 import b64decode, encodebytes
from email.message import Message
from email.parser import BytesHeaderParser
from typing import Any
from xml.etree.ElementTree import Element, fromstring

from tests.interop.peer import Peer

_PIDF = "{urn:ietf:params:xml:ns:pidf}"
_IM = "{urn:ietf:params:xml:ns:pidf:im}"
_LANG = "{http://www.w3.org/XML/1998/namespace}lang"

# --------------------------------------------------------------------------- documents

#: RFC 3923, example 7, with the header of example 8; `{}` is the timestamp.
PIDF = """\
Content-type: application/pidf+xml
Content-ID: <2345678901@example.com>

<?xml version="1.0" encoding="UTF-8"?>
<presence xmlns="urn:ietf:params:xml:ns:pidf"
          xmlns:im="urn:ietf:params:xml:ns:pidf:im"
          entity="pres:juliet@example.com">
  <tuple id="hr0zny">
    <status>
      <basic>open</basic>
      <im:im>away</im:im>
    </status>
    <note xml:lang="en">retired to the chamber</note>
    <timestamp>{}</timestamp>
  </tuple>
</presence>
"""
#: Around an entity that does not say whom it is for (RFC 3922 4.1, example 1 of RFC 3923).
CPIM = """\
Content-type: Message/CPIM

From: Juliet Capulet <im:juliet@example.com>
To: Romeo Montague <im:romeo@example.net>
DateTime: {}

"""
XMPP = """\
Content-type: application/xmpp+xml

<?xml version='1.0' encoding='UTF-8'?>
<xmpp xmlns='jabber:client'>
  {}
</xmpp>
"""
#: RFC 3923, examples 13 to 15.
STANZAS = {
    "message": """<message
        from='juliet@example.com/balcony'
        to='romeo@example.net/orchard'>
      <body>
        I told him what I thought, and told no more
        Than what he found himself was apt and true.
      </body>
      <evil xmlns='http://jabber.org/protocol/evil'/>
    </message>""",
    "presence": """<presence from='juliet@example.com/balcony'>
      <show>dnd</show>
      <status>Fomenting dissension</status>
      <evil xmlns='http://jabber.org/protocol/evil'/>
    </presence>""",
    "iq": """<iq type='result'
        from='juliet@example.com/balcony'
        to='romeo@example.net/orchard'
        id='evil1'>
      <query xmlns='jabber:iq:version'>
        <name>Stabber</name>
        <version>666</version>
        <os>FiendOS</os>
      </query>
    </iq>""",
}


def crlf(text: str | bytes) -> bytes:
    """Return a text as MIME wants it."""
    return (text.encode() if isinstance(text, str) else text).replace(b"\n", b"\r\n")


def clear_signed(content: bytes, signature: bytes) -> bytes:
    """Return a multipart/signed as in example 8 of RFC 3923, with the digest and the quotes of today."""
    return b"".join(
        (
            b"Content-Type: multipart/signed; boundary=next;\r\n              micalg=sha-256;\r\n",
            b'              protocol="application/pkcs7-signature"\r\n\r\n--next\r\n',
            content,
            b"\r\n--next\r\nContent-Type: application/pkcs7-signature\r\nContent-Transfer-Encoding: base64\r\n",
            b"Content-Disposition: attachment;handling=required;filename=smime.p7s\r\n\r\n",
            crlf(encodebytes(signature)),
            b"\r\n--next--\r\n",
        )
    )


def pkcs7_mime(der: bytes, smime_type: str) -> bytes:
    """Return an application/pkcs7-mime entity (RFC 8551 3.2)."""
    header = f"Content-Type: application/pkcs7-mime; smime-type={smime_type}\nContent-Transfer-Encoding: base64\n\n"
    return crlf(header) + crlf(encodebytes(der))


# --------------------------------------------------------------------------- reading


def header_and_body(entity: bytes) -> tuple[Message, bytes]:
    """Return the header fields of an entity, and its body as it stands."""
    header, blank, body = entity.partition(b"\r\n\r\n")
    assert blank
    assert b"\n" not in header.replace(b"\r\n", b"")
    return BytesHeaderParser().parsebytes(header + blank), body


def opened(peer: Peer, entity: bytes, name: str = "romeo") -> tuple[bytes, list[str]]:
    """Let romeo, or another one, open an S/MIME object with a peer.

    Returns the entity in it, and the layers around that.
    """
    fields, body = header_and_body(entity)
    kind = fields.get_content_type()
    if kind == "multipart/signed":
        before, content, signature, after = body.split(b"--" + str(fields.get_param("boundary")).encode())
        assert (before, after) == (b"", b"--\r\n")
        signed = peer.verify(octets(*header_and_body(signature[2:])), content[2:-2])
        return signed, [kind]
    if kind != "application/pkcs7-mime":
        return entity, []
    layer, der = str(fields.get_param("smime-type")), octets(fields, body)
    inside = peer.verify(der, None) if layer == "signed-data" else peer.decrypt(der, name)
    found, layers = opened(peer, inside, name)
    return found, [layer, *layers]


def octets(fields: Message, body: bytes) -> bytes:
    """Return a body without its transfer encoding."""
    return b64decode(body) if fields["Content-Transfer-Encoding"] == "base64" else body


def read_pidf(entity: bytes) -> dict[str, Any]:
    """Return what a PIDF entity with one tuple says."""
    fields, body = header_and_body(entity)
    assert fields.get_content_type() == "application/pidf+xml"
    assert fields.get_param("charset", "utf-8") == "utf-8"
    assert body.startswith(b'<?xml version="1.0" encoding="UTF-8"?>\r\n<presence ')
    root = fromstring(body)
    assert root.tag == f"{_PIDF}presence"
    one, ours = root
    assert ours.tag == "{urn:slixmpp-e2e:pidf:0}recipient"
    assert one.tag == f"{_PIDF}tuple"
    assert one[0].tag == f"{_PIDF}status"
    contact = one.find(f"{_PIDF}contact")
    assert contact is not None
    return {
        "id": fields["Content-ID"],
        "language": fields["Content-Language"],
        "entity": root.get("entity"),
        "recipient": ours.text,
        "basic": one[0].findtext(f"{_PIDF}basic"),
        "im": one[0].findtext(f"{_IM}im"),
        "contact": (contact.text, contact.get("priority")),
        "notes": [(note.get(_LANG), note.text) for note in one.iterfind(f"{_PIDF}note")],
        "timestamp": one.findtext(f"{_PIDF}timestamp"),
    }


def read_xmpp(entity: bytes) -> tuple[list[str], Element]:
    """Return the headers of a Message/CPIM, and the stanza of the application/xmpp+xml in it."""
    fields, body = header_and_body(entity)
    assert fields.get_content_type() == "message/cpim"
    headers, blank, content = body.partition(b"\r\n\r\n")
    assert blank
    fields, document = header_and_body(content)
    assert fields.get_content_type() == "application/xmpp+xml"
    assert fields.get_param("charset", "utf-8") == "utf-8"
    root = fromstring(document)
    assert (root.tag, len(root), root.text, root[0].tail) == ("{jabber:client}xmpp", 1, None, None)
    return headers.decode().split("\r\n"), root[0]

"""MIME, content and stanzas that cost as much as can be."""

import base64

from slixmpp_e2e.namespaces import OBJENC
from tests.fuzz.worst import TEXT, Maker, case, e2e, many, stanza

_MULTIPART = b"Content-Type: multipart/signed; boundary=b; micalg=sha-256\n\n"


def _xml(make: Maker, inside: str) -> bytes:
    """Return a stanza that Juliet signs."""
    text = f"<xmpp xmlns='jabber:client'><message type='chat'>{inside}</message></xmpp>"
    return make.by_juliet(
        make.cpim(b"\r\nContent-Type: application/xmpp+xml; charset=utf-8\r\n\r\n" + text.encode())
    )


def _objenc(key: bytes, data: bytes) -> bytes:
    mac = base64.b64encode(bytes(32)).decode()
    algorithms = f"cipher-algo='AES-128-CBC-PKCS5-WITH-IV' mac-algo='HMACSHA256' mac-hash='{mac}'"
    return stanza(
        f"<e2e xmlns='{OBJENC}'><key cipher-algo='RSAES-OAEP-SHA-256-MFG1'>{base64.b64encode(key).decode()}</key>"
        f"<data {algorithms}>{base64.b64encode(data).decode()}</data></e2e>"
    )


# --------------------------------------------------------------------------- MIME


@case
def very_many_parts(make: Maker) -> bytes:
    return stanza(e2e(_MULTIPART + b"--b\nContent-Type: a/b\n\n\n" * 80_000))


@case
def boundaries_that_are_none(make: Maker) -> bytes:
    return stanza(e2e(_MULTIPART + many(b"--bx\n", 2_000_000)))


@case
def transport_padding(make: Maker) -> bytes:
    return stanza(e2e(_MULTIPART + b"--b" + b" " * 1_000_000 + b"x\n--b" + b"\t" * 1_000_000))


@case
def very_many_headers(make: Maker) -> bytes:
    return stanza(e2e("".join(f"a{number}: b\n" for number in range(150_000))))


@case
def a_header_of_many_lines(make: Maker) -> bytes:
    return stanza(e2e(b"a: b\n" + many(b" c\n", 2_000_000)))


@case
def a_parameter_with_escapes(make: Maker) -> bytes:
    return stanza(e2e(b'Content-Type: multipart/signed; boundary="' + many(b"\\\\", 2_000_000)))


@case
def very_many_parameters(make: Maker) -> bytes:
    return stanza(e2e("Content-Type: a/b" + "".join(f"; a{number}=b" for number in range(130_000)) + "\n\n"))


@case
def white_space_in_base64(make: Maker) -> bytes:
    return stanza(e2e(b"MII" + b" \n" * 1_000_000 + b"="))


@case
def padding_in_base64(make: Maker) -> bytes:
    return stanza(e2e(b"MII" + b"= " * 1_000_000))


@case
def quoted_printable(make: Maker) -> bytes:
    head = b"Content-Type: application/pkcs7-mime\nContent-Transfer-Encoding: quoted-printable\n\n"
    return stanza(e2e(head + many(b"=30=\n", 2_000_000)))


# --------------------------------------------------------------------------- what Juliet signs


@case
def a_long_text(make: Maker) -> bytes:
    return make.by_juliet(make.cpim(TEXT + b"x" * 1_400_000))


@case
def very_many_message_headers(make: Maker) -> bytes:
    return make.by_juliet(make.cpim(TEXT + b"x", many(b"a: b\r\n")))


@case
def message_headers_with_escapes(make: Maker) -> bytes:
    return make.by_juliet(make.cpim(TEXT + b"x", b"Subject: " + b"\\u00e9" * 5000 + b"\r\n"))


@case
def very_many_alternatives(make: Maker) -> bytes:
    body = b"\r\nContent-type: multipart/alternative; boundary=b\r\n\r\n"
    parts = b"--b\r\nContent-Type: text/plain\r\nContent-Language: en\r\n\r\nx\r\n" * 20_000
    return make.by_juliet(make.cpim(body + parts + b"--b--"))


@case
def deep_elements(make: Maker) -> bytes:
    return _xml(make, "<a>" * 100_000 + "</a>" * 100_000)


@case
def very_many_elements(make: Maker) -> bytes:
    return _xml(make, "<a/>" * 19_990)


@case
def too_many_elements(make: Maker) -> bytes:
    return _xml(make, "<a/>" * 100_000)


@case
def very_many_attributes(make: Maker) -> bytes:
    return _xml(make, "<a" + "".join(f" a{number}='b'" for number in range(40_000)) + "/>")


@case
def very_many_namespaces(make: Maker) -> bytes:
    return _xml(make, "".join(f"<a xmlns='urn:{number}'/>" for number in range(19_000)))


@case
def entities_in_entities(make: Maker) -> bytes:
    text = "<!DOCTYPE a [<!ENTITY b 'cccccccc'>" + "".join(
        f"<!ENTITY b{number} '&b{number - 1};&b{number - 1};'>" for number in range(1, 40)
    )
    head = b"Content-Type: application/xmpp+xml\r\n\r\n"
    return make.by_juliet(head + text.encode() + b"]><xmpp xmlns='jabber:client'>&b39;</xmpp>")


@case
def very_many_tuples(make: Maker) -> bytes:
    one = "<tuple id='a{}'><status><basic>open</basic></status><timestamp>2026-11-20T08:30:15Z</timestamp></tuple>"
    text = "<presence xmlns='urn:ietf:params:xml:ns:pidf' entity='pres:juliet@example.com'>"
    text += "".join(one.format(number) for number in range(4900)) + "</presence>"
    wire = make.by_juliet(b"Content-Type: application/pidf+xml\r\n\r\n" + text.encode())
    return (
        wire.replace(b"<message", b"<presence")
        .replace(b"</message", b"</presence")
        .replace(b' type="chat"', b"")
    )


# --------------------------------------------------------------------------- the other format, and the stanza itself


@case
def a_long_objenc(make: Maker) -> bytes:
    return _objenc(bytes(256), bytes(16 * 24_000))


@case
def a_too_long_objenc(make: Maker) -> bytes:
    return _objenc(bytes(256), bytes(16 * 90_000))


@case
def a_deep_stanza(make: Maker) -> bytes:
    return stanza("<a>" * 280_000 + "</a>" * 280_000)


@case
def a_wide_stanza(make: Maker) -> bytes:
    return stanza("<a/>" * 500_000)


@case
def very_many_objects(make: Maker) -> bytes:
    return stanza(e2e("") * 40_000)


@case
def very_many_delays(make: Maker) -> bytes:
    delay = "<delay xmlns='urn:xmpp:delay' from='example.net' stamp='2026-11-20T08:30:15Z'/>"
    return stanza(e2e("MIIB") + delay * 24_000)


@case
def a_long_delay(make: Maker) -> bytes:
    stamp = "2026-11-20T08:30:15." + "1" * 2_000_000 + "Z"
    return stanza(e2e("MIIB") + f"<delay xmlns='urn:xmpp:delay' from='example.net' stamp='{stamp}'/>")


@case
def long_addresses(make: Maker) -> bytes:
    return stanza(e2e("MIIB"), **{"from": "é" * 900_000 + "@example.com"})


@case
def a_long_id_and_type(make: Maker) -> bytes:
    return stanza(e2e("MIIB"), id="a" * 1_000_000, type="b" * 1_000_000)


@case
def a_carbon_of_a_wide_stanza(make: Maker) -> bytes:
    inside = stanza("<a/>" * 490_000, xmlns="jabber:client").decode()
    forwarded = f"<forwarded xmlns='urn:xmpp:forward:0'>{inside}</forwarded>"
    received = f"<received xmlns='urn:xmpp:carbons:2'>{forwarded}</received>"
    return stanza(received, **{"from": "romeo@example.net"})

"""Presence as PIDF, and messages, presence and iqs as application/xmpp+xml, there and back with each peer.

What we write goes out through a gateway, is opened by a peer and read without any code of ours; what is written
by hand and secured by a peer comes in through a gateway and is opened by us.
"""

from datetime import UTC, datetime
from xml.etree.ElementTree import Element

import pytest

from slixmpp_e2e.arriving import Unprotected
from slixmpp_e2e.endpoint import Endpoint
from slixmpp_e2e.errors import RemoteError
from slixmpp_e2e.gateway import unwrap, wrap
from slixmpp_e2e.policy import Level, read_policy
from tests.accounts import Clock, account
from tests.elements import same, stanza
from tests.interop import documents
from tests.interop.bouncycastle import BouncyCastle
from tests.interop.gnutls import GnuTLS
from tests.interop.nss import NSS
from tests.interop.openssl import OpenSSL
from tests.interop.peer import Envelope, Peer, PeerError, Start
from tests.pki import PKI

pytestmark = pytest.mark.peer

PEERS: tuple[type[Peer], ...] = (OpenSSL, NSS, GnuTLS, BouncyCastle)
ENVELOPING: tuple[type[Peer], ...] = (OpenSSL, NSS, BouncyCastle)
JULIET, ROMEO = "juliet@example.com/balcony", "romeo@example.net/orchard"
ADDRESSES = f"from='{JULIET}' to='{ROMEO}'"

#: What may be done to a stanza, and the layers that others see then.
LEVELS = {
    Level.SIGN: ["multipart/signed"],
    Level.ENCRYPT_UNSIGNED: ["enveloped-data"],
    Level.REQUIRED: ["enveloped-data", "signed-data"],
}
#: GnuTLS has signatures only.
ABLE = [
    pytest.param(peer, level, id=f"{peer.__name__}-{level}")
    for peer in PEERS
    for level in LEVELS
    if peer in ENVELOPING or level is Level.SIGN
]


# --------------------------------------------------------------------------- what we write

PLAIN = {
    "entity": "pres:juliet@example.com",
    "recipient": "pres:romeo@example.net",
    "contact": ("im:juliet@example.com", None),
    "timestamp": "2026-11-20T08:30:15.000000Z",
}
#: Presence that PIDF can carry, and what the document has to say.
PRESENCES = {
    f"<presence {ADDRESSES}/>": {
        **PLAIN, "id": None, "language": None, "basic": "open", "im": None, "notes": []
    },
    f"<presence {ADDRESSES} id='p.1' xml:lang='en'><show>away</show><status>retired to the\nchamber</status>"
    "<status xml:lang='cs'>odešla &lt;spát&gt;</status><priority>5</priority></presence>": {
        **PLAIN,
        "id": "<p.1@example.com>",
        "language": "en",
        "basic": "open",
        "im": "away",
        "contact": ("im:juliet@example.com", "0.039"),
        "notes": [(None, "retired to the\nchamber"), ("cs", "odešla <spát>")],
    },
    f"<presence {ADDRESSES} type='unavailable'><status>O happy dagger</status></presence>": {
        **PLAIN, "id": None, "language": None, "basic": "closed", "im": None, "notes": [(None, "O happy dagger")]
    },
}  # fmt: skip
PRESENCE_NAMES = ("plain", "with everything", "unavailable")
EXTENDED = {
    "message": f"<message {ADDRESSES} type='chat' id='m1'><body>Romeo,\n]]&gt; é?</body><x xmlns='urn:x'/></message>",
    "presence": f"<presence {ADDRESSES}><show>dnd</show><c xmlns='urn:x' a='&quot;&amp;'/></presence>",
    "iq get": f"<iq {ADDRESSES} type='get' id='i1'><query xmlns='urn:x'/></iq>",
    "iq set": f"<iq {ADDRESSES} type='set' id='i2'><query xmlns='urn:x'><item>\U0001f339</item></query></iq>",
}


@pytest.fixture
def juliets(pki: PKI) -> Endpoint:
    """Juliet's end, which knows nothing of romeo but his certificate."""
    return Endpoint.over(account(pki, pki["juliet"], Clock(), peers=[pki["romeo"]]))


@pytest.mark.parametrize(("kind", "level"), ABLE)
@pytest.mark.parametrize("xml", PRESENCES, ids=PRESENCE_NAMES)
def test_a_peer_reads_our_presence_as_pidf(start: Start, juliets, kind: type[Peer], level: Level, xml: str):
    entity, layers = documents.opened(start(kind), unwrap(juliets.protect(xml, level=level)))
    assert layers == LEVELS[level]
    assert documents.read_pidf(entity) == PRESENCES[xml]


@pytest.mark.parametrize(("kind", "level"), ABLE)
@pytest.mark.parametrize("xml", EXTENDED.values(), ids=EXTENDED)
def test_a_peer_reads_other_stanzas_as_xmpp_xml(
    start: Start, juliets, kind: type[Peer], level: Level, xml: str
):
    entity, layers = documents.opened(start(kind), unwrap(juliets.protect(xml, level=level)))
    assert layers == LEVELS[level]
    headers, found = documents.read_xmpp(entity)
    assert headers == [
        "From: <im:juliet@example.com>",
        "To: <im:romeo@example.net>",
        "DateTime: 2026-11-20T08:30:15.000000Z",
    ]
    assert same(found, stanza(xml))


@pytest.mark.parametrize("xml", [*PRESENCES, *EXTENDED.values()], ids=[*PRESENCE_NAMES, *EXTENDED])
def test_openssl_finds_the_parts_of_a_signed_entity_by_itself(start: Start, juliets, xml: str):
    entity = unwrap(juliets.protect(xml, level=Level.SIGN))
    content, layers = documents.opened(start(NSS), entity)
    assert layers == ["multipart/signed"]
    assert smime(start, "-verify", entity, "-CAfile", "root.crt", "-purpose", "smimesign") == content


def test_openssl_takes_no_binary_object_for_smime_but_knows_the_object(start: Start, juliets):
    """RFC 3923 6.4 wants binary inside the envelope; OpenSSL reads base64 only, once the envelope is open."""
    entity = unwrap(juliets.protect(EXTENDED["iq get"]))
    inside = smime(start, "-decrypt", entity, "-recip", "romeo.crt", "-inkey", "romeo.key", "-binary")
    assert b"Content-Transfer-Encoding: binary\r\n" in inside
    with pytest.raises(PeerError, match="b64_read_asn1:decode error"):
        smime(start, "-verify", inside, "-CAfile", "root.crt", "-purpose", "smimesign")
    assert b"<query" in start(OpenSSL).verify(inside.partition(b"\r\n\r\n")[2], None)


def test_gnutls_knows_no_envelope(start: Start, juliets):
    entity = unwrap(juliets.protect(EXTENDED["presence"]))
    with pytest.raises(PeerError, match="content type is unknown"):
        start(GnuTLS).verify(documents.octets(*documents.header_and_body(entity)), None)


def smime(start: Start, operation: str, entity: bytes, *options: str) -> bytes:
    """Return what `openssl cms` makes of a MIME entity; names of files are those of the peer."""
    tool = start(OpenSSL).tool
    files = (tool[each] if each.endswith((".crt", ".key")) else each for each in options)
    return tool.make("-out", "cms", operation, "-in", tool.file("in", entity), *files)


# --------------------------------------------------------------------------- what others write


@pytest.fixture
def acquainted(pki: PKI, clock: Clock) -> Endpoint:
    """Romeo's, who has juliet's certificate and the one above it."""
    return Endpoint.over(account(pki, pki["romeo"], clock, peers=[pki["juliet"]]))


@pytest.fixture
def lax(pki: PKI, clock: Clock) -> Endpoint:
    """Romeo's, with a policy that takes what nobody signed."""
    policy = read_policy({"*": "encrypt-unsigned"})
    return Endpoint.over(account(pki, pki["romeo"], clock), policy=policy)


def pidf_presence() -> Element:
    """What example 7 of RFC 3923 stands for."""
    inside = "<show>away</show><status xml:lang='en'>retired to the chamber</status>"
    return stanza(f"<presence {ADDRESSES} id='2345678901'>{inside}</presence>")


#: Every document that says by itself when it is from.
DATED = ["pidf", "pidf in cpim", *(f"{kind} in cpim" for kind in documents.STANZAS)]
DOCUMENTS = [*DATED, *documents.STANZAS]


def document(name: str, clock: Clock) -> tuple[bytes, Element]:
    """Return an entity and the stanza that it stands for."""
    moment = datetime.fromtimestamp(clock.now // 10**9, UTC)
    dated = f"{moment:%Y-%m-%dT%H:%M:%S}.31Z"
    kind, _, wrapped = name.partition(" in ")
    if kind == "pidf":
        text, expected = documents.PIDF.format(dated), pidf_presence()
    else:
        text, expected = documents.XMPP.format(documents.STANZAS[kind]), stanza(documents.STANZAS[kind])
        expected.set("to", ROMEO)
    return documents.crlf((documents.CPIM.format(dated) if wrapped else "") + text), expected


def unprotected(by: Endpoint, entity: bytes, expected: Element) -> Unprotected:
    """Send an object through a gateway, and open it at the other end."""
    kind = expected.tag.rpartition("}")[2]
    options = {"kind": kind, "type": expected.get("type"), "id": "outer"}
    return by.unprotect(wrap(entity, sender=JULIET, recipient=ROMEO, **options))


def require_signed(found: Unprotected, expected: Element, *, encrypted: bool) -> None:
    """Assert that this is the stanza, and that juliet signed it."""
    assert same(found.stanza, expected)
    report = found.report
    assert (report.signed, report.authenticated, report.signer) == (True, True, "juliet@example.com")
    assert (report.encrypted, report.signature_algorithm) == (encrypted, "rsa-sha256")
    assert report.encryption_algorithm == ("aes128-cbc" if encrypted else None)
    assert abs(report.skew) < 60


@pytest.mark.parametrize("name", DOCUMENTS)
@pytest.mark.parametrize("kind", PEERS)
@pytest.mark.parametrize("detached", [True, False], ids=["clear", "opaque"])
def test_we_read_what_a_peer_signs(
    start: Start, romeos, acquainted, clock, kind: type[Peer], name: str, detached: bool
):
    content, expected = document(name, clock)
    der = start(kind).sign(content, ["juliet"], scheme="rsa-sha256", detached=detached)
    entity = documents.clear_signed(content, der) if detached else documents.pkcs7_mime(der, "signed-data")
    if kind is GnuTLS:  # of the certificates it sends no more than the signer's
        with pytest.raises(RemoteError) as caught:
            unprotected(romeos, entity, expected)
        assert caught.value.reason == "untrusted"
    by = acquainted if kind is GnuTLS else romeos
    require_signed(unprotected(by, entity, expected), expected, encrypted=False)


@pytest.mark.parametrize("name", DOCUMENTS)
@pytest.mark.parametrize("kind", ENVELOPING)
@pytest.mark.parametrize("detached", [True, False], ids=["clear", "opaque"])
def test_we_read_what_a_peer_signs_and_encrypts(
    start: Start, romeos, clock, kind: type[Peer], name: str, detached: bool
):
    content, expected = document(name, clock)
    der = start(kind).sign(content, ["juliet"], scheme="rsa-sha256", detached=detached)
    signed = documents.clear_signed(content, der) if detached else documents.pkcs7_mime(der, "signed-data")
    entity = documents.pkcs7_mime(start(kind).encrypt(signed, ["romeo"], Envelope()), "enveloped-data")
    require_signed(unprotected(romeos, entity, expected), expected, encrypted=True)


@pytest.mark.parametrize("name", DATED)
@pytest.mark.parametrize("kind", ENVELOPING)
def test_we_read_what_a_peer_only_encrypts_where_the_policy_takes_it(
    start: Start, lax, romeos, clock, kind: type[Peer], name: str
):
    content, expected = document(name, clock)
    entity = documents.pkcs7_mime(start(kind).encrypt(content, ["romeo"], Envelope()), "enveloped-data")
    takers = (
        [] if expected.tag.endswith("}iq") else [lax]
    )  # an iq is always answered: that would tell too much
    for taker in takers:
        found = unprotected(taker, entity, expected)
        assert same(found.stanza, expected)
        assert (found.report.encrypted, found.report.signed) == (True, False)
        assert not found.report.authenticated
    for refuser in {lax, romeos} - set(takers):
        with pytest.raises(RemoteError) as caught:
            unprotected(refuser, entity, expected)
        assert caught.value.reason == "unsigned"


@pytest.mark.parametrize("name", documents.STANZAS)
def test_a_bare_stanza_that_nobody_signed_has_no_date(start: Start, lax, clock, name: str):
    content, expected = document(name, clock)
    entity = documents.pkcs7_mime(start(OpenSSL).encrypt(content, ["romeo"], Envelope()), "enveloped-data")
    with pytest.raises(RemoteError) as caught:
        unprotected(lax, entity, expected)
    assert caught.value.reason == ("unsigned" if name == "iq" else "missing")  # ERRATA E21


#: How OpenSSL is asked to sign. As text it makes CRLF of the LF in a file by itself.
OPTIONS = {
    "clear": ("-binary",),
    "opaque": ("-binary", "-nodetach"),
    "crlf": ("-binary", "-crlfeol"),
    "text": (),
}


@pytest.mark.parametrize("name", DOCUMENTS)
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("encrypted", [False, True], ids=["signed", "both"])
def test_we_read_the_entities_that_openssl_writes_by_itself(
    start: Start, romeos, clock, name: str, options: tuple[str, ...], encrypted: bool
):
    content, expected = document(name, clock)
    keys = ("-signer", "juliet.crt", "-inkey", "juliet.key", "-certfile", "intermediate.crt")
    file = content if options else content.replace(b"\r\n", b"\n")
    entity = smime(start, "-sign", file, *keys, *options)
    if encrypted:
        entity = smime(start, "-encrypt", entity, "-binary", "-aes-128-cbc", "-recip", "romeo.crt")
    require_signed(unprotected(romeos, entity, expected), expected, encrypted=encrypted)

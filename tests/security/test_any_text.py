"""Whatever anybody writes into `<e2e/>`: it is refused in one way, soon, and it teaches nothing."""

import base64
from time import thread_time
from xml.sax.saxutils import escape

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from slixmpp_e2e.arriving import Unprotected
from slixmpp_e2e.endpoint import Endpoint
from slixmpp_e2e.errors import RemoteError
from slixmpp_e2e.policy import read_policy
from tests.accounts import Clock, account
from tests.formats.objects import DATED, FROM, TO, enveloped, message_cpim, opaque, signed_der, signer
from tests.pki import PKI
from tests.protection.drawn import NOTHING, taught, xml_text

#: Seconds of processor time for `SIZE` octets; reading takes a twentieth of it, anything quadratic far more.
BOUND = 1.0
SIZE = 400_000

#: What the readers on the way look for.
WORDS = st.sampled_from([
    "Content-Type: ", "multipart/signed", "; boundary=", "; micalg=", "sha-256", "; protocol=", "--",
    "--b", "--b--", "application/pkcs7-mime", "application/pkcs7-signature",
    "Content-Transfer-Encoding: ", "base64", "8bit", "b", '"', "quoted-printable", "=", "\\", ";", ":",
    ",", " ", "\t", "\n", "\n\n", "\r", "\r\n", "text/plain", "Message/CPIM", "application/pidf+xml",
    "application/xmpp+xml", "From: ", "<im:juliet@example.com>", "DateTime: ", "MIIB", "MIAGCSqG",
    "multipart/alternative", "Content-ID: <", "Content-Language: ", "Subject:;lang=", "NS: ",
    "Require: ", "<xmpp xmlns='", "jabber:client", "'>", "<message>", "</message></xmpp>", "<body>",
    "<presence xmlns='urn:ietf:params:xml:ns:pidf'", " entity='pres:juliet@example.com'>",
    "<tuple id='a'>", "<status>", "<basic>open</basic>", "</", "/>", "<!--", "&#0;", "<!DOCTYPE a [",
    "<?xml version='1.0'?>", "\u2028", "\x85", "\U0001f600", "\ufeff",
])  # fmt: skip
TEXTS = st.text(max_size=80) | st.lists(WORDS | st.text(max_size=4), max_size=30).map("".join)
#: Beginnings of DER, so that more than the first octet is looked at.
DER = st.sampled_from(
    [b"", b"\x30\x80", b"\x30\x84\x7f\xff\xff\xff", b"\x30\x82\x01\x00"]
    + [bytes.fromhex(f"308006092a864886f70d0107{kind:02x}a0803080020101") for kind in (1, 2, 3, 5, 6)]
)


@pytest.fixture(scope="module")
def juliet_signs(pki: PKI):
    return signer(pki["juliet"], pki.intermediate)


def romeos(pki: PKI, *, unsigned: bool = False) -> Endpoint:
    policy = read_policy({"*": "encrypt-unsigned"}) if unsigned else None
    return Endpoint.over(account(pki, pki["romeo"], Clock()), policy=policy)


@pytest.fixture(scope="module")
def romeo_takes_nothing(pki: PKI) -> Endpoint:
    """Romeo, who keeps what he was taught over all that is tried on him."""
    return romeos(pki)


@pytest.fixture(scope="module")
def romeo_takes_unsigned(pki: PKI) -> Endpoint:
    return romeos(pki, unsigned=True)


def stanza_of(text: str, kind: str = "message", type_: str = "chat") -> str:
    """A stanza with that text in `<e2e/>`, escaped."""
    return (
        f"<{kind} xmlns='jabber:client' id='1' type='{type_}' from='juliet@example.com/b' to='romeo@example.net/o'>"
        f"<e2e xmlns='urn:ietf:params:xml:ns:xmpp-e2e'>{escape(text)}</e2e></{kind}>"
    )


def outcome(endpoint: Endpoint, stanza: str) -> Unprotected | RemoteError:
    try:
        return endpoint.unprotect(stanza)
    except RemoteError as error:
        return error


@given(text=TEXTS, raw=st.booleans())
@example(text="Content-Type: multipart/signed; boundary=b\n\n--b\n\n\n--b\n\n\n--b--", raw=False)
@example(text="\ud800", raw=True)
def test_any_text_is_refused_and_teaches_nothing(romeo_takes_nothing, text, raw):
    """Escaped, and as XML that somebody wrote by hand."""
    stanza = stanza_of("MARK").replace("MARK", text) if raw else stanza_of(xml_text(text))
    found = outcome(romeo_takes_nothing, stanza)
    assert isinstance(found, RemoteError)
    assert taught(romeo_takes_nothing) == NOTHING
    answer = romeo_takes_nothing.answer_to(found, stanza)
    assert answer is None or found.answer.condition in answer


@given(start=DER, rest=st.binary(max_size=200), headers=st.sampled_from(["", "multipart", "mime"]))
def test_any_octets_are_refused_and_teach_nothing(romeo_takes_nothing, start, rest, headers):
    text = base64.b64encode(start + rest).decode()
    if headers == "mime":
        text = "Content-Type: application/pkcs7-mime\nContent-Transfer-Encoding: base64\n\n" + text
    elif headers == "multipart":
        text = (
            "Content-Type: multipart/signed; boundary=b\n\n--b\n\nx\n--b\nContent-Type: application/pkcs7-signature\n"
            f"Content-Transfer-Encoding: base64\n\n{text}\n--b--"
        )
    assert isinstance(outcome(romeo_takes_nothing, stanza_of(text)), RemoteError)
    assert taught(romeo_takes_nothing) == NOTHING


def contents() -> st.SearchStrategy[bytes]:
    """MIME entities that come further than most."""
    header = st.sampled_from(
        [
            "text/plain",
            "application/pidf+xml",
            "application/xmpp+xml",
            "multipart/alternative; boundary=b",
            "text/xml",
        ]
    )
    inside = st.builds("Content-Type: {}\n\n{}".format, header, TEXTS)
    in_cpim = st.builds(lambda text: message_cpim(FROM, TO, DATED, content=text).decode(), inside)
    return (TEXTS | inside | in_cpim).map(lambda text: text.encode("utf-8", "surrogatepass"))


KINDS = st.sampled_from([("message", "chat"), ("presence", "unavailable"), ("iq", "set")])


@given(content=contents(), kind=KINDS)
def test_anything_that_nobody_signed_is_never_authenticated_and_teaches_nothing(
    pki, romeo_takes_unsigned, content, kind
):
    """Even where a policy takes what nobody signed."""
    found = outcome(romeo_takes_unsigned, stanza_of(enveloped(content, pki["romeo"]), *kind))
    assert isinstance(found, RemoteError) or not (found.report.authenticated or found.report.signer)
    assert taught(romeo_takes_unsigned) == NOTHING


@given(content=contents(), kind=KINDS, encrypted=st.booleans())
def test_anything_that_a_believed_signer_signed_is_delivered_or_refused(
    pki, juliet_signs, content, kind, encrypted
):
    """Whoever is trusted may still write what he wants; only what is delivered teaches."""
    romeo = romeos(pki)
    text = base64.b64encode(signed_der(content, juliet_signs)).decode()
    if encrypted:
        text = enveloped(opaque(content, juliet_signs), pki["romeo"])
    found = outcome(romeo, stanza_of(text, *kind))
    assert (taught(romeo) == NOTHING) is isinstance(found, RemoteError)


UNITS = [
    "", " ", "\n", "\r", "A", "=", "a: b\n", "a:\n b\n", " b\n", "--b\n", "--b", "--b--\n", "--b \t", "\n--b\nx",
    "; a=b", ';a="', "\\", '\\"', ";", "=\n", "&", "]]>", "\U0001f600", "MIAG", "A=", "\x85",
]  # fmt: skip
SIGNED = "Content-Type: multipart/signed; boundary=b\n\n"
PKCS7 = "Content-Type: application/pkcs7-mime\nContent-Transfer-Encoding: "
STARTS = [
    "", "Content-Type: ", 'Content-Type: a/b; c="', "Content-Type: multipart/signed; micalg=", SIGNED,
    f"{SIGNED}--b\n\nx\n--b\nContent-Type: application/pkcs7-signature\n\n",
    f"{PKCS7}base64\n\n", f"{PKCS7}quoted-printable\n\n",
]  # fmt: skip


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("unit", UNITS)
def test_the_time_that_a_text_takes_is_bounded(romeo_takes_nothing, start, unit):
    assert_soon(romeo_takes_nothing, stanza_of(start + unit * (SIZE // max(1, len(escape(unit).encode())))))


@given(
    start=st.sampled_from(STARTS) | TEXTS,
    units=st.lists(WORDS | st.sampled_from(UNITS), min_size=1, max_size=4),
)
def test_the_time_that_any_repetition_takes_is_bounded(romeo_takes_nothing, start, units):
    unit = "".join(units) or " "
    text = xml_text(start) + unit * (SIZE // len(escape(unit).encode()))
    assert_soon(romeo_takes_nothing, stanza_of(text))


@pytest.mark.parametrize(
    "unit", [b"\x30\x80", b"\x24\x80", b"\x30\x84\0\0\0\0", b"\x04\x00", b"\xff", b"\x1f\x81", b"\0"]
)
@pytest.mark.parametrize("start", ["", "308006092a864886f70d010702a080", "308006092a864886f70d010703a080"])
def test_the_time_that_nested_or_many_elements_take_is_bounded(romeo_takes_nothing, start, unit):
    der = bytes.fromhex(start) + unit * (SIZE * 3 // 4 // len(unit))
    assert_soon(romeo_takes_nothing, stanza_of(base64.encodebytes(der).decode()))


def assert_soon(endpoint: Endpoint, stanza: str) -> None:
    before = thread_time()
    assert isinstance(outcome(endpoint, stanza), RemoteError)
    assert thread_time() - before < BOUND
    assert taught(endpoint) == NOTHING

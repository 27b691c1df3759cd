"""Each peer against each combination of algorithms, both ways.

What a peer can't do stands in its `CANNOT`: where it can be asked all the same, it has to refuse for the
reason given there; where it can't, its help text must not know the option.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import pytest
from _pytest.mark import ParameterSet

from slixmpp_e2e.cms.algorithms import CIPHERS_BY_NAME
from slixmpp_e2e.cms.certificates import CertificatePool
from slixmpp_e2e.cms.enveloped_data import encrypt, parse_enveloped_data
from slixmpp_e2e.cms.recipients import TRANSPORTS, DecryptionKeys, KeyTransportRecipient, recipient_for
from slixmpp_e2e.cms.signatures import SCHEMES
from slixmpp_e2e.cms.signed_data import Signer, parse_signed_data, sign
from slixmpp_e2e.errors import MalformedError
from tests.interop.bouncycastle import BouncyCastle
from tests.interop.gnutls import GnuTLS
from tests.interop.nss import NSS
from tests.interop.openssl import OpenSSL
from tests.interop.peer import (
    ISSUER_AND_SERIAL,
    KEY_IDENTIFIER,
    ON_X25519,
    Cannot,
    Envelope,
    Operation,
    Peer,
    PeerError,
    Start,
    limit,
)
from tests.pki import MOMENT, PKI

pytestmark = pytest.mark.peer

PEERS: tuple[type[Peer], ...] = (OpenSSL, NSS, GnuTLS, BouncyCastle)
ENVELOPING = (OpenSSL, NSS, BouncyCastle)

#: The schemes, and whose key each is made with.
SIGNERS = {
    "rsa-sha1": "juliet",
    "rsa-sha256": "juliet",
    "rsa-sha384": "juliet",
    "rsa-sha512": "rsa-3072",
    "rsa-pss-sha256": "juliet",
    "rsa-pss-sha384": "juliet",
    "rsa-pss-sha512": "rsa-3072",
    "ecdsa-sha256": "p-256",
    "ecdsa-sha384": "p-384",
    "ed25519": "ed25519",
}
FORMS = ("detached", "opaque")
KEY_TRANSPORTS = ("rsa-pkcs1", "rsa-oaep-sha1", "rsa-oaep-sha256", "rsa-oaep-sha384", "rsa-oaep-sha512")
CIPHERS = ("aes128-cbc", "aes192-cbc", "aes256-cbc", "aes128-gcm", "aes192-gcm", "aes256-gcm")
IDENTIFIERS = (ISSUER_AND_SERIAL, KEY_IDENTIFIER)

#: Key agreements, and whose key each is done with. The first one is what others write unasked, and we never.
AGREEMENTS = {
    "ecdh-sha1kdf": "p-256",
    "ecdh-sha256kdf": "p-256",
    "ecdh-sha384kdf": "p-384",
    "ecdh-sha512kdf": "p-384",
    ON_X25519: "x25519",
}
WRITTEN_AGREEMENTS = ("ecdh-sha256kdf", "ecdh-sha384kdf", ON_X25519)

#: Not a multiple of a block, with octets that text mode would change.
CONTENT = (
    b"Content-type: Message/CPIM\r\n\r\nFrom: Juliet <im:juliet@example.com>\r\nTo: <im:romeo@example.net>\r\n"
    b"DateTime: 2026-11-20T08:30:15.000Z\r\n\r\nContent-type: text/plain; charset=utf-8\r\n\r\n"
    b"Wherefore art thou\n\r\r\n\x00\x1a\xc3\xa9 Romeo?\n"
)


def cases(
    operation: Operation, *axes: Iterable[str], peers: Iterable[type[Peer]] = PEERS
) -> list[ParameterSet]:
    """Return every combination that a peer can be asked for."""
    combinations: list[tuple[str, ...]] = [()]
    for axis in axes:
        combinations = [(*first, each) for first in combinations for each in axis]
    return [
        pytest.param(peer, *features, id="-".join((peer.__name__, *features)))
        for peer in peers
        for features in combinations
        if (found := limit(peer, operation, features)) is None or found.says
    ]


@contextmanager
def able_or_refusing(peer: Peer, operation: Operation, *features: str) -> Iterator[None]:
    """Expect that the peer does it, or refuses it for the reason that its `CANNOT` gives."""
    found = limit(type(peer), operation, features)
    if found is None:
        yield
    else:
        with pytest.raises(PeerError, match=found.says):
            yield


def our_signer(pki: PKI, scheme: str, *, key_identifier: bool = False) -> Signer:
    entity = pki[SIGNERS[scheme]]
    chain = [pki.intermediate.parsed]
    return Signer(entity.key, entity.parsed, chain, scheme=SCHEMES[scheme], key_identifier=key_identifier)


def our_envelope(
    pki: PKI, content: bytes, to: Iterable[str], transport: str, cipher: str, named: str
) -> bytes:
    recipients = [
        KeyTransportRecipient(
            pki[name].parsed, transport=TRANSPORTS[transport], key_identifier=named == KEY_IDENTIFIER
        )
        for name in to
    ]
    return encrypt(content, recipients, cipher=CIPHERS_BY_NAME[cipher])


def our_reading(pki: PKI, enveloped: bytes, recipient: str) -> bytes | None:
    keys = DecryptionKeys([(pki[recipient].key, pki[recipient].parsed)])
    return parse_enveloped_data(enveloped).decrypt(keys).without_padding()


# --------------------------------------------------------------------------- signatures


@pytest.mark.parametrize(("kind", "scheme", "form"), cases("verify", SIGNERS, FORMS))
def test_a_peer_verifies_what_we_sign(
    start: Start, pki: PKI, kind: type[Peer], scheme: str, form: str
) -> None:
    peer, detached = start(kind), form == "detached"
    signed = sign(CONTENT, our_signer(pki, scheme), signing_time=MOMENT, detached=detached)
    with able_or_refusing(peer, "verify", scheme):
        assert peer.verify(signed, CONTENT if detached else None) == CONTENT


@pytest.mark.requirement("3923-2-10")
@pytest.mark.parametrize(("kind", "scheme", "form"), cases("sign", SIGNERS, FORMS))
def test_we_verify_what_a_peer_signs(
    start: Start, pki: PKI, kind: type[Peer], scheme: str, form: str
) -> None:
    peer, detached, name = start(kind), form == "detached", SIGNERS[scheme]
    with able_or_refusing(peer, "sign", scheme):
        signed = parse_signed_data(peer.sign(CONTENT, [name], scheme=scheme, detached=detached))
        content, signer = signed.verify(
            CertificatePool(), content=CONTENT if detached else None, allow_sha1=scheme == "rsa-sha1"
        )
        assert content == CONTENT
        assert signer.certificate.der == pki[name].der
        assert signer.scheme.name == scheme
        assert signer.signing_time is not None


@pytest.mark.parametrize("kind", PEERS)
def test_a_peer_finds_a_signer_that_we_name_by_key_identifier(
    start: Start, pki: PKI, kind: type[Peer]
) -> None:
    signer = our_signer(pki, "rsa-sha256", key_identifier=True)
    assert start(kind).verify(sign(CONTENT, signer, signing_time=MOMENT), None) == CONTENT


@pytest.mark.parametrize("kind", PEERS)
@pytest.mark.parametrize("form", FORMS)
def test_a_peer_refuses_our_signature_over_other_content(
    start: Start, pki: PKI, kind: type[Peer], form: str
) -> None:
    detached = form == "detached"
    signed = sign(CONTENT, our_signer(pki, "rsa-sha256"), signing_time=MOMENT, detached=detached)
    other = CONTENT.replace(b"Romeo?", b"Paris?")
    forged, beside = (signed, other) if detached else (signed.replace(CONTENT, other), None)
    with pytest.raises(PeerError):
        start(kind).verify(forged, beside)


@pytest.mark.parametrize("kind", [OpenSSL, BouncyCastle])
def test_we_verify_all_of_several_signers(start: Start, pki: PKI, kind: type[Peer]) -> None:
    signed = start(kind).sign(CONTENT, ["juliet", "romeo"], scheme="rsa-sha256", detached=False)
    parsed = parse_signed_data(signed)
    content, signer = parsed.verify(CertificatePool())
    assert content == CONTENT
    assert len(parsed.signer_infos) == 2
    assert signer.certificate.der in {pki["juliet"].der, pki["romeo"].der}


def test_we_refuse_what_a_peer_signs_without_signed_attributes(gnutls: GnuTLS) -> None:
    with pytest.raises(MalformedError):
        parse_signed_data(gnutls.sign_without_attributes(CONTENT, "juliet"))


# --------------------------------------------------------------------------- envelopes


@pytest.mark.parametrize(
    ("kind", "transport", "cipher", "named"), cases("decrypt", KEY_TRANSPORTS, CIPHERS, IDENTIFIERS)
)
def test_a_peer_decrypts_what_we_encrypt(
    start: Start, pki: PKI, kind: type[Peer], transport: str, cipher: str, named: str
) -> None:
    peer = start(kind)
    enveloped = our_envelope(pki, CONTENT, ["romeo"], transport, cipher, named)
    with able_or_refusing(peer, "decrypt", transport, cipher, named):
        assert peer.decrypt(enveloped, "romeo") == CONTENT


@pytest.mark.requirement("3923-2-10")
@pytest.mark.parametrize(
    ("kind", "transport", "cipher", "named"), cases("encrypt", KEY_TRANSPORTS, CIPHERS, IDENTIFIERS)
)
def test_we_decrypt_what_a_peer_encrypts(
    start: Start, pki: PKI, kind: type[Peer], transport: str, cipher: str, named: str
) -> None:
    peer = start(kind)
    enveloped = peer.encrypt(
        CONTENT, ["romeo"], Envelope(transport, cipher, key_identifier=named == KEY_IDENTIFIER)
    )
    parsed = parse_enveloped_data(enveloped)
    assert our_reading(pki, enveloped, "romeo") == CONTENT
    assert parsed.cipher.name == cipher
    assert [info.name for info in parsed.recipient_infos] == [transport]
    expected = pki["romeo"].parsed
    assert parsed.recipient_infos[0].identifier == (
        expected.key_identifier if named == KEY_IDENTIFIER else expected.issuer_and_serial
    )


@pytest.mark.parametrize(
    ("kind", "agreement", "cipher", "named"), cases("decrypt", WRITTEN_AGREEMENTS, CIPHERS, IDENTIFIERS)
)
def test_a_peer_decrypts_what_we_encrypt_to_an_elliptic_curve_key(
    start: Start, pki: PKI, kind: type[Peer], agreement: str, cipher: str, named: str
) -> None:
    peer, name = start(kind), AGREEMENTS[agreement]
    to = recipient_for(pki[name].parsed, key_identifier=named == KEY_IDENTIFIER)
    enveloped = encrypt(CONTENT, [to], cipher=CIPHERS_BY_NAME[cipher])
    assert [info.name for info in parse_enveloped_data(enveloped).recipient_infos] == [agreement]
    with able_or_refusing(peer, "decrypt", agreement, cipher, named):
        assert peer.decrypt(enveloped, name) == CONTENT


@pytest.mark.parametrize(
    ("kind", "agreement", "cipher", "named"), cases("encrypt", AGREEMENTS, CIPHERS, IDENTIFIERS)
)
@pytest.mark.parametrize("form", ["DER", "BER"])
def test_we_decrypt_what_a_peer_encrypts_to_an_elliptic_curve_key(
    start: Start, pki: PKI, kind: type[Peer], agreement: str, cipher: str, named: str, form: str
) -> None:
    peer, name = start(kind), AGREEMENTS[agreement]
    options = {"key_identifier": named == KEY_IDENTIFIER, "ber": form == "BER"}
    with able_or_refusing(peer, "encrypt", agreement, cipher, named):
        enveloped = peer.encrypt(CONTENT, [name], Envelope(agreement, cipher, **options))
        parsed = parse_enveloped_data(enveloped)
        assert our_reading(pki, enveloped, name) == CONTENT
        assert parsed.cipher.name == cipher
        assert [info.name for info in parsed.recipient_infos] == [agreement]


@pytest.mark.parametrize("recipient", ["romeo", "p-256", "p-384"])
@pytest.mark.parametrize("kind", [OpenSSL])
def test_each_recipient_decrypts_whatever_kind_of_key_he_has(
    start: Start, pki: PKI, kind: type[Peer], recipient: str
) -> None:
    peer, everybody = start(kind), ["romeo", "p-256", "p-384"]
    ours = encrypt(CONTENT, [recipient_for(pki[name].parsed) for name in everybody])
    theirs = peer.encrypt(CONTENT, everybody, Envelope())
    assert peer.decrypt(ours, recipient) == CONTENT
    assert our_reading(pki, theirs, recipient) == CONTENT


@pytest.mark.parametrize("kind", ENVELOPING)
@pytest.mark.parametrize("recipient", ["juliet", "romeo", "rsa-3072"])
def test_each_of_several_recipients_decrypts(
    start: Start, pki: PKI, kind: type[Peer], recipient: str
) -> None:
    peer, everybody = start(kind), ["juliet", "romeo", "rsa-3072"]
    ours = our_envelope(pki, CONTENT, everybody, "rsa-pkcs1", "aes128-cbc", ISSUER_AND_SERIAL)
    theirs = peer.encrypt(CONTENT, everybody, Envelope())
    assert peer.decrypt(ours, recipient) == CONTENT
    assert our_reading(pki, theirs, recipient) == CONTENT


@pytest.mark.parametrize("kind", [OpenSSL, BouncyCastle])
def test_a_peer_that_is_no_recipient_does_not_decrypt(start: Start, pki: PKI, kind: type[Peer]) -> None:
    enveloped = our_envelope(pki, CONTENT, ["romeo"], "rsa-oaep-sha256", "aes128-gcm", ISSUER_AND_SERIAL)
    with pytest.raises(PeerError):
        start(kind).decrypt(enveloped, "juliet")


@pytest.mark.requirement("3923-2-10")
@pytest.mark.parametrize("kind", ENVELOPING)
@pytest.mark.requirement("reqs-5-2a")
def test_a_peer_reads_what_we_sign_and_encrypt(start: Start, pki: PKI, kind: type[Peer]) -> None:
    peer = start(kind)
    signed = sign(CONTENT, our_signer(pki, "rsa-sha256"), signing_time=MOMENT)
    enveloped = our_envelope(pki, signed, ["romeo"], "rsa-pkcs1", "aes128-cbc", ISSUER_AND_SERIAL)
    assert peer.verify(peer.decrypt(enveloped, "romeo"), None) == CONTENT


# --------------------------------------------------------------------------- BER


@pytest.mark.parametrize(
    ("kind", "form"),
    [
        (OpenSSL, "opaque"),  # with -stream it puts the content in, whatever else it is told
        *((peer, form) for peer in (NSS, BouncyCastle) for form in FORMS),
    ],
)
def test_we_verify_what_a_peer_signs_in_ber(start: Start, pki: PKI, kind: type[Peer], form: str) -> None:
    detached = form == "detached"
    signed = start(kind).sign(CONTENT * 100, ["juliet"], scheme="rsa-sha256", detached=detached, ber=True)
    assert signed[:2] == b"\x30\x80"
    content, signer = parse_signed_data(signed).verify(
        CertificatePool(), content=CONTENT * 100 if detached else None
    )
    assert content == CONTENT * 100
    assert signer.certificate.der == pki["juliet"].der


@pytest.mark.parametrize(("kind", "cipher"), cases("encrypt", ("aes128-cbc", "aes128-gcm"), peers=ENVELOPING))
def test_we_decrypt_what_a_peer_encrypts_in_ber(
    start: Start, pki: PKI, kind: type[Peer], cipher: str
) -> None:
    enveloped = start(kind).encrypt(CONTENT * 100, ["romeo"], Envelope(cipher=cipher, ber=True))
    assert enveloped[:2] == b"\x30\x80"
    assert parse_enveloped_data(enveloped).size == len(enveloped)
    assert our_reading(pki, enveloped, "romeo") == CONTENT * 100


# --------------------------------------------------------------------------- what is left out


@pytest.mark.parametrize(
    ("kind", "cannot"),
    [
        pytest.param(peer, cannot, id=f"{peer.__name__}-{cannot}")
        for peer in PEERS
        for cannot in peer.CANNOT
        if cannot.missing
    ],
)
def test_what_is_left_out_is_not_an_option_of_the_peer(
    start: Start, kind: type[Peer], cannot: Cannot
) -> None:
    text = start(kind).help()
    assert len(text) > 500
    assert not re.search(cannot.missing, text), f"{kind.__name__} could: {cannot.because} no longer holds"

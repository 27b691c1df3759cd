"""Whatever happens to a signed and encrypted object on its way: it is refused, or it says what it said.

Some changes go unnoticed, and may: the version of a structure, an identifier with the same meaning, the
signature of an embedded certificate. The last one is for path validation to find, so here the certificate
has to be the one that was sent, or fail under its issuer's key.
"""

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from hypothesis import given, settings
from hypothesis import strategies as st

from slixmpp_e2e.cms.algorithms import AES128_CBC, AES128_GCM, ContentCipher
from slixmpp_e2e.cms.certificates import CertificatePool
from slixmpp_e2e.cms.enveloped_data import encrypt
from slixmpp_e2e.cms.recipients import DecryptionKeys, recipient_for
from slixmpp_e2e.cms.signed_data import Signer, sign
from slixmpp_e2e.errors import RemoteError
from tests.cms.composition import protect, unprotect
from tests.pki import MOMENT, PKI

pytestmark = pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")

CONTENT = b"Content-type: Message/CPIM\r\n\r\nThree words, dear Romeo, and good night indeed.\r\n"
_CIPHERS = pytest.mark.parametrize("cipher", [AES128_CBC, AES128_GCM], ids=lambda cipher: cipher.name)


@st.composite
def _mutations(draw: st.DrawFn, original: bytes) -> bytes:
    """Return the octets with one change."""
    at = draw(st.integers(0, len(original) - 1))
    to = draw(st.integers(at, min(len(original), at + 64)))
    kind = draw(st.sampled_from(["flip", "set", "insert", "remove", "repeat", "cut", "overwrite", "swap"]))
    if kind == "flip":
        return original[:at] + bytes((original[at] ^ 1 << draw(st.integers(0, 7)),)) + original[at + 1 :]
    if kind == "set":
        return original[:at] + draw(st.binary(min_size=1, max_size=1)) + original[at + 1 :]
    if kind == "insert":
        return original[:at] + draw(st.binary(min_size=1, max_size=40)) + original[at:]
    if kind == "remove":
        return original[:at] + original[to:]
    if kind == "repeat":
        return original[:to] + original[at:]
    if kind == "cut":
        return original[:at]
    if kind == "overwrite":
        return original[:at] + draw(st.binary(min_size=to - at, max_size=to - at)) + original[to:]
    return original[:at] + original[to : 2 * to - at] + original[at:to] + original[2 * to - at :]


class _Receiver:
    """Romeo, who knows the CA; and what he must not be told."""

    def __init__(self, pki: PKI, name: str) -> None:
        self.juliet, self.romeo = pki["juliet"], pki[name]
        self._authority = pki.intermediate.certificate
        self._keys = DecryptionKeys([(self.romeo.key, self.romeo.parsed)])

    def check(self, data: bytes) -> bool:
        """Tell whether it was accepted; fail if it says anything else than what Juliet said."""
        try:
            content, signer = unprotect(data, self._keys, CertificatePool())
        except RemoteError:
            return False
        assert content == CONTENT
        assert signer.signing_time == MOMENT
        assert signer.certificate.public_key == self.juliet.key.public_key()
        assert signer.certificate.der == self.juliet.der or not self._issued(signer.certificate.certificate)
        return True

    def _issued(self, certificate: x509.Certificate) -> bool:
        try:
            certificate.verify_directly_issued_by(self._authority)
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
            return False
        return True


@pytest.fixture(scope="module", params=["romeo", "p-256", "x25519"])
def receiver(request: pytest.FixtureRequest, pki: PKI) -> _Receiver:
    """Each kind of key that one can receive with."""
    return _Receiver(pki, request.param)


@pytest.fixture(scope="module")
def captured(receiver: _Receiver) -> dict[str, bytes]:
    return {
        cipher.name: protect(CONTENT, receiver.juliet, receiver.romeo, cipher=cipher)
        for cipher in (AES128_CBC, AES128_GCM)
    }


@_CIPHERS
def test_without_a_change_it_is_accepted(receiver, captured, cipher: ContentCipher) -> None:
    assert receiver.check(captured[cipher.name])


@_CIPHERS
def test_one_bit_of_any_octet_changes_nothing_that_was_said(receiver, captured, cipher) -> None:
    data = captured[cipher.name]
    accepted = 0
    for at in range(len(data)):
        changed = data[:at] + bytes((data[at] ^ 1 << at % 8,)) + data[at + 1 :]
        accepted += receiver.check(changed)
    assert accepted < len(data) // (3 if cipher is AES128_CBC else 50)


@_CIPHERS
@settings(max_examples=300)
@given(data=st.data())
def test_one_change_on_the_way_changes_nothing_that_was_said(receiver, captured, cipher, data) -> None:
    receiver.check(data.draw(_mutations(captured[cipher.name])))


@settings(max_examples=300)
@given(data=st.data())
def test_one_change_inside_the_envelope_changes_nothing_that_was_said(receiver, data) -> None:
    """An envelope anybody can make: here somebody who knows the signed object makes a new one around it."""
    signed = sign(CONTENT, Signer(receiver.juliet.key, receiver.juliet.parsed), signing_time=MOMENT)
    changed = data.draw(_mutations(signed))
    receiver.check(encrypt(changed, [recipient_for(receiver.romeo.parsed)], cipher=AES128_CBC))


@given(data=st.data(), cipher=st.sampled_from([AES128_CBC, AES128_GCM]))
def test_two_objects_cut_together_say_what_one_of_them_said(receiver, data, cipher) -> None:
    first, second = (protect(CONTENT, receiver.juliet, receiver.romeo, cipher=cipher) for _ in range(2))
    cut = data.draw(st.integers(0, len(first)))
    receiver.check(first[:cut] + second[cut:])

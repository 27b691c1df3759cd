"""A certificate has a twin where it was signed with ECDSA: the same, with another fingerprint."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from slixmpp_e2e.cms import twins
from slixmpp_e2e.cms.asn1 import BIT_STRING, Reader, sequence, tlv
from slixmpp_e2e.cms.certificates import ParsedCertificate, read_certificate
from slixmpp_e2e.cms.twins import twin_fingerprints
from tests.certificates.building import certificate, end_entity, new_key
from tests.pki import Entity

CURVES = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}
P256 = twins._ORDERS[0]


def twin(der: bytes, order: int) -> ParsedCertificate:
    """Return the certificate with the other form of its signature."""
    fields = Reader(der).enter()
    signed, algorithm = fields.element(), fields.element()
    r, s = decode_dss_signature(fields.contents(BIT_STRING)[1:])
    other = encode_dss_signature(r, order - s)
    found = read_certificate(sequence(signed, algorithm, tlv(BIT_STRING, b"\0" + other)))
    assert found is not None
    return found


@pytest.mark.parametrize(("name", "order"), [*zip(CURVES, twins._ORDERS, strict=True)], ids=CURVES)
def test_its_signature_is_as_good_and_each_is_the_twin_of_the_other(name, order):
    key = ec.generate_private_key(CURVES[name])
    issuer = Entity("CA", key, certificate(key, subject="CA"))
    own = end_entity(issuer=issuer)
    other = twin(own.der, order)
    other.certificate.verify_directly_issued_by(issuer.certificate)
    assert other.fingerprint != own.parsed.fingerprint
    assert other.fingerprint in twin_fingerprints(own.der)
    assert own.parsed.fingerprint in twin_fingerprints(other.der)


def test_others_are_nobodys_twins():
    issuer = Entity("CA", key := new_key(), certificate(key, subject="CA"))
    one, two = end_entity(issuer=issuer), end_entity(issuer=issuer)
    assert not twin_fingerprints(one.der) & {one.parsed.fingerprint, two.parsed.fingerprint}
    assert twin_fingerprints(one.der).isdisjoint(twin_fingerprints(two.der))


def test_what_was_signed_with_rsa_or_ed25519_has_none(pki):
    assert pki["juliet"].certificate.signature_algorithm_oid.dotted_string == "1.2.840.113549.1.1.11"
    assert twin_fingerprints(pki["juliet"].der) == frozenset()
    by_ed25519 = end_entity(issuer=pki["ed25519"])
    assert twin_fingerprints(by_ed25519.der) == frozenset()

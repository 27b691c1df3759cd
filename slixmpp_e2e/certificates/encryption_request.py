"""Certification requests for keys that can't sign (X25519), signed by the key that signs for their owner.

A request proves with its signature that the requester has the key. An X25519 key can't sign, so its request
is signed by an Ed25519 key: that one's owner *states* that this is his key too. The statement proves nothing
about the X25519 key itself, and a false one is of no use to its author: what others then encrypt to him,
somebody else can read, and he can't. What counts is that nobody can have a key certified for another's JID,
and that is what the Ed25519 key answers for.

In its form it is an ordinary request (RFC 2986), with the Ed25519 algorithm identifier and signature.
**Not checked here:** whose key the Ed25519 key is; the request for it has to come from the same hand.
"""

from collections.abc import Iterable
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ed25519, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from slixmpp.jid import JID

from slixmpp_e2e.certificates.names import subject_alternative_name
from slixmpp_e2e.cms.asn1 import BIT_STRING, Reader, oid, sequence, tlv
from slixmpp_e2e.errors import CertificateError

_ED25519: Final = sequence(oid("1.3.101.112"))


def encryption_request(
    public_key: x25519.X25519PublicKey,
    jids: Iterable[JID | str],
    *,
    subject: x509.Name,
    signing_key: ed25519.Ed25519PrivateKey,
) -> x509.CertificateSigningRequest:
    """Return the request for an X25519 key that asks for every subjectAltName of these JIDs.

    Raises `ValueError` for what can't be named.
    """
    names = subject_alternative_name(jids)
    model = x509.CertificateSigningRequestBuilder(subject).add_extension(names, critical=False)
    fields = Reader(model.sign(signing_key, None).tbs_certrequest_bytes).enter()
    version, name, _, attributes = fields.elements(limit=4)
    spki = public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    info = sequence(version, name, spki, attributes)
    signature = tlv(BIT_STRING, b"\0", signing_key.sign(info))
    return x509.load_der_x509_csr(sequence(info, _ED25519, signature))


def stated_key(
    request: x509.CertificateSigningRequest, signed_by: ed25519.Ed25519PublicKey
) -> x25519.X25519PublicKey:
    """Return the key that a request is for; raise `CertificateError` unless it is X25519 and `signed_by` signed."""
    public_key = request.public_key()
    if not isinstance(public_key, x25519.X25519PublicKey):
        raise CertificateError("The second request is not for an X25519 key; others sign for themselves.")
    try:
        signed_by.verify(request.signature, request.tbs_certrequest_bytes)
    except InvalidSignature:
        raise CertificateError("The second request is not signed by the key of the first one.") from None
    return public_key

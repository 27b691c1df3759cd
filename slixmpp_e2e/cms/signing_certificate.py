"""Which certificates a signature is made with: signingCertificateV2 (RFC 5035, RFC 8551 2.5.4).

No signature in CMS is over the certificates that come along with it. So in an envelope of CBC mode, where whoever
is on the way can turn any block into garbage and choose the next one, they are where he can put a block that he
wants to know: whether the object can still be read tells him something about it. A signed attribute that lists
the certificates by their hashes ends that, because not one octet of them can be another one then.

And wherever a certificate comes from, a list says which one the signer means: nobody can put another one with the
same key in its place, with other names, another validity or another issuer.

Who lists none, or his own alone beside others that come along, is taken as before: that says nothing of the others.
SigningCertificate with its SHA-1 hashes (RFC 2634) is not looked at.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from slixmpp_e2e.cms.algorithms import SHA256, read_digest
from slixmpp_e2e.cms.asn1 import (
    OCTET_STRING,
    SEQUENCE,
    SET,
    ASN1Error,
    Reader,
    octet_string,
    oid,
    sequence,
    tlv,
)

SIGNING_CERTIFICATE_V2: Final = oid("1.2.840.113549.1.9.16.2.47")
_MAX_CERTIFICATES: Final = 16


def signing_certificate_attribute(certificates: Sequence[bytes]) -> bytes:
    """Return the attribute that lists certificates (DER), the signer's first (RFC 5035 3).

    SHA-256 is the default of hashAlgorithm, which DER leaves out.
    """
    identifiers = [sequence(octet_string(SHA256.digest(each))) for each in certificates]
    return sequence(SIGNING_CERTIFICATE_V2, tlv(SET, sequence(sequence(*identifiers))))


def read_signing_certificates(attributes: Mapping[bytes, bytes]) -> tuple[bytes, ...]:
    """Return the SHA-256 hashes that signed attributes list, the signer's first.

    Empty if there is no list, or one that can't be read or has other hashes: it says nothing then.
    """
    try:
        values = Reader(attributes[SIGNING_CERTIFICATE_V2]).enter(SET)
        listed = values.enter()
        values.finish()
        return tuple(each.contents(OCTET_STRING) for each in listed.enter().each(limit=_MAX_CERTIFICATES))
    except (KeyError, ASN1Error):
        return ()


def means_signer(attributes: Mapping[bytes, bytes], signer: bytes) -> bool:
    """Tell whether signed attributes say that a certificate (DER) is the signer's, or say nothing (RFC 5035 4).

    That is the first that is listed, by whatever digest that we know. What can't be read says nothing.
    """
    listed = attributes.get(SIGNING_CERTIFICATE_V2)
    if listed is None:
        return True
    try:
        values = Reader(listed).enter(SET)
        first = values.enter().enter().enter()
        values.finish()
        digest = read_digest(first) if first.peek() == SEQUENCE else SHA256
        return first.contents(OCTET_STRING) == digest.digest(signer)
    except ASN1Error:
        return True


def are_listed(came_along: Sequence[bytes], signer: bytes, listed: Sequence[bytes]) -> bool:
    """Tell whether what came along is what the signer says, as far as he says something.

    `came_along` is everything in the field, `signer` his certificate (DER), `listed` what
    `read_signing_certificates` returned. Where one certificate alone is listed, something else may come along beside
    it, as long as it comes along itself.
    """
    if not listed:
        return True
    if listed[0] != SHA256.digest(signer):
        return False  # RFC 5035 4
    if len(listed) == 1:
        return not came_along or signer in came_along
    return {SHA256.digest(each) for each in came_along} <= set(listed)

"""Certificates that are the same but for the form of their signature.

An ECDSA signature (r, s) is as good as (r, n - s), where n is the order of the curve (SEC 1 4.1.4): whoever has a
certificate that was signed so can make a second one of it, with the same names, key and issuer, and another
fingerprint. CAs write both forms, so neither can be refused. There are no more than these two: DER has one form for a
signature, and RSA and Ed25519 signatures have one value.
"""

from typing import Final

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from slixmpp_e2e.cms.algorithms import SHA256
from slixmpp_e2e.cms.asn1 import BIT_STRING, SEQUENCE, Reader, sequence, tlv

#: Of P-256, P-384 and P-521: no others sign certificates that are believed.
_ORDERS: Final = (
    0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
    2**521 - 0x5AE79787C40D069948033FEB708F65A2FC44A36477663B851449048E16EC79BF7,
)


def twin_fingerprints(der: bytes) -> frozenset[bytes]:
    """Return the SHA-256 of what may be a certificate's twin: by each curve that its issuer's key may be on.

    Empty where it was not signed with ECDSA. `der` is a certificate that was read (`cms.certificates`); nothing is
    said about whether its signature is good.
    """
    fields = Reader(der).enter()
    signed = fields.element(SEQUENCE) + fields.element(SEQUENCE)
    try:
        r, s = decode_dss_signature(fields.contents(BIT_STRING)[1:])
    except ValueError:
        return frozenset()
    twins = (encode_dss_signature(r, order - s) for order in _ORDERS if 0 < s < order)
    return frozenset(SHA256.digest(sequence(signed, tlv(BIT_STRING, b"\0" + each))) for each in twins)

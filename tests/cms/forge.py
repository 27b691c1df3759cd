"""Objects that `sign` and `encrypt` would never write: valid signatures over invalid attributes, and so on."""

from collections.abc import Iterable, Sequence

from slixmpp_e2e.cms.algorithms import ID_DATA, ID_SIGNED_DATA, SHA256, Digest
from slixmpp_e2e.cms.asn1 import CONSTRUCTED, SET, integer, octet_string, sequence, time, tlv
from slixmpp_e2e.cms.signatures import SCHEMES, SignatureScheme
from slixmpp_e2e.cms.signed_data import CONTENT_TYPE, MESSAGE_DIGEST, SIGNING_TIME
from tests.pki import MOMENT, Entity

CONTENT_IS_DATA = sequence(CONTENT_TYPE, tlv(SET, ID_DATA))
SIGNED_NOW = sequence(SIGNING_TIME, tlv(SET, time(MOMENT)))


def attribute(kind: bytes, *values: bytes) -> bytes:
    """Return an Attribute with any number of values."""
    return sequence(kind, tlv(SET, *values) if values else tlv(SET, b""))


def message_digest(content: bytes, digest: Digest = SHA256) -> bytes:
    """Return the messageDigest attribute of some content."""
    return attribute(MESSAGE_DIGEST, octet_string(digest.digest(content)))


def signer_info(
    entity: Entity,
    attributes: Iterable[bytes] | None,
    *,
    scheme: SignatureScheme = SCHEMES["rsa-sha256"],
    digest: Digest | None = None,
    algorithm: bytes | None = None,
    identifier: bytes | None = None,
    over: bytes | None = None,
    unsigned: bytes = b"",
) -> bytes:
    """Return a SignerInfo whose signature is valid over its attributes, whatever they are, or over `over`."""
    joined = b"".join(attributes or ())
    signed = tlv(SET, joined) if over is None else over
    return sequence(
        integer(1),
        entity.parsed.issuer_and_serial if identifier is None else identifier,
        (digest or scheme.digest).algorithm_identifier,
        b"" if attributes is None else tlv(CONSTRUCTED, joined),
        scheme.algorithm_identifier if algorithm is None else algorithm,
        octet_string(scheme.sign(entity.key, signed)),
        unsigned,
    )


def signed_data(
    content: bytes | None,
    infos: Sequence[bytes],
    certificates: Sequence[bytes] = (),
    *,
    kind: bytes = ID_DATA,
    crls: Sequence[bytes] = (),
) -> bytes:
    """Return a ContentInfo with a SignedData."""
    encapsulated = () if content is None else (tlv(CONSTRUCTED, octet_string(content)),)
    return sequence(
        ID_SIGNED_DATA,
        tlv(
            CONSTRUCTED,
            sequence(
                integer(1),
                tlv(SET, SHA256.algorithm_identifier),
                sequence(kind, *encapsulated),
                tlv(CONSTRUCTED, *certificates) if certificates else b"",
                tlv(CONSTRUCTED + 1, *crls) if crls else b"",
                tlv(SET, *infos) if infos else tlv(SET, b""),
            ),
        ),
    )

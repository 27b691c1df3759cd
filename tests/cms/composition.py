"""The four steps in their order: what every receiver of a signed and encrypted object has to do."""

from datetime import datetime

from slixmpp_e2e.cms.algorithms import AES128_CBC, ContentCipher
from slixmpp_e2e.cms.certificates import CertificatePool
from slixmpp_e2e.cms.enveloped_data import encrypt, parse_enveloped_data
from slixmpp_e2e.cms.recipients import DecryptionKeys, recipient_for
from slixmpp_e2e.cms.signed_data import Signer, VerifiedSigner, parse_signed_data, sign
from slixmpp_e2e.errors import RemoteError, UndecryptableError
from tests.pki import MOMENT, Entity


def protect(
    content: bytes,
    signer: Entity,
    recipient: Entity,
    *,
    cipher: ContentCipher = AES128_CBC,
    moment: datetime = MOMENT,
) -> bytes:
    """Sign, then encrypt."""
    signed = sign(content, Signer(signer.key, signer.parsed), signing_time=moment)
    return encrypt(signed, [recipient_for(recipient.parsed)], cipher=cipher)


def unprotect(data: bytes, keys: DecryptionKeys, pool: CertificatePool) -> tuple[bytes, VerifiedSigner]:
    """Decrypt, find where the signed object ends, verify, and look at the padding last."""
    decrypted = parse_enveloped_data(data).decrypt(keys)
    signed = parse_signed_data(decrypted.plaintext)
    content, signer = signed.verify(pool)
    if not decrypted.ends_at(signed.size):
        raise UndecryptableError("something follows the content")
    return content, signer


def unprotect_with_one_error(
    data: bytes, keys: DecryptionKeys, pool: CertificatePool
) -> tuple[bytes, VerifiedSigner]:
    """Do the same and give every failure the one name that the network may hear (invariant 15)."""
    try:
        return unprotect(data, keys, pool)
    except RemoteError:
        raise UndecryptableError from None

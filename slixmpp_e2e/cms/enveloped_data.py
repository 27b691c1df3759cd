"""EnvelopedData (RFC 5652 6) and AuthEnvelopedData (RFC 5083).

Reading comes in two steps, because the second must not tell anybody anything. `parse_enveloped_data` looks
at public octets only and may say what is wrong. `EnvelopedData.decrypt` then never fails for anything that
depends on the private key, except that an authentication tag is wrong: a bad encrypted key leads to the
plaintext of a random key, and CBC padding is not looked at. The caller finds where the content ends from the
content itself, tries its signature, and asks `Decrypted.ends_at` last.
"""

import os
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from cryptography.hazmat.primitives.constant_time import bytes_eq

from slixmpp_e2e.cms.algorithms import (
    AES128_CBC,
    CIPHERS,
    ID_AUTH_ENVELOPED_DATA,
    ID_DATA,
    ID_ENVELOPED_DATA,
    ContentCipher,
    Decryptor,
    Random,
    read_algorithm,
)
from slixmpp_e2e.cms.asn1 import (
    CONSTRUCTED,
    CONTEXT,
    OCTET_STRING,
    OID,
    SEQUENCE,
    SET,
    ASN1Error,
    Reader,
    integer,
    octet_string,
    read_der_or_ber,
    sequence,
    set_of,
    tlv,
)
from slixmpp_e2e.cms.certificates import ParsedCertificate
from slixmpp_e2e.cms.recipients import (
    MAX_RECIPIENTS,
    DecryptionKeys,
    Recipient,
    RecipientInfo,
    read_recipient_infos,
)
from slixmpp_e2e.errors import MalformedError, UndecryptableError

#: Their content types.
ENVELOPES: Final = frozenset({ID_ENVELOPED_DATA, ID_AUTH_ENVELOPED_DATA})
_WHITE_SPACE: Final = b" \t\r\n"


def encrypt(
    content: bytes,
    recipients: Sequence[Recipient],
    *,
    cipher: ContentCipher = AES128_CBC,
    random: Random = os.urandom,
) -> bytes:
    """Return a DER ContentInfo that only the recipients can read.

    A fresh key for every call (RFC 3565 2). With an authenticated cipher it is an AuthEnvelopedData.
    """
    if not recipients:
        raise ValueError("no recipients")
    key = random(cipher.key_size)
    algorithm, ciphertext, tag = cipher.encrypt(key, content, random)
    infos = set_of(recipient.recipient_info(key) for recipient in recipients)
    encrypted = sequence(ID_DATA, algorithm, tlv(CONTEXT, ciphertext))
    if cipher.authenticated:
        fields, kind = (integer(0), infos, encrypted, octet_string(tag)), ID_AUTH_ENVELOPED_DATA
    else:
        version = integer(max(recipient.version for recipient in recipients))
        fields, kind = (version, infos, encrypted, b""), ID_ENVELOPED_DATA
    return sequence(kind, tlv(CONSTRUCTED, sequence(*fields)))


class Decrypted(NamedTuple):
    """What came out of the envelope. It may be the plaintext of a wrong key; only a signature can tell."""

    plaintext: bytes
    cipher: ContentCipher
    key_management: str
    #: The own certificate that it was encrypted to.
    certificate: ParsedCertificate

    @property
    def authenticated(self) -> bool:
        """An authentication tag was right. It proves that nobody changed it on the way, not who made it."""
        return self.cipher.authenticated

    def ends_at(self, end: int) -> bool:
        """Tell whether nothing follows the content but white space and, without a tag, exactly the padding.

        Ask this last, after the signature over the content has verified (see the module's text).
        """
        if end > len(self.plaintext):
            return False
        rest = self.plaintext[end:]
        if self.authenticated:
            return not rest.strip(_WHITE_SPACE)
        fill = self.plaintext[-1]
        padded = 1 <= fill <= self.cipher.block_size and bytes_eq(
            self.plaintext[-fill:], bytes((fill,)) * fill
        )
        return padded and len(rest) >= fill and not rest[: len(rest) - fill].strip(_WHITE_SPACE)

    def without_padding(self) -> bytes | None:
        """Return the content where nothing in it says where it ends; None if the padding is wrong.

        Only for content that nobody signed: answering differently for None is a padding oracle.
        """
        if self.authenticated:
            return self.plaintext
        end = len(self.plaintext) - self.plaintext[-1]
        return self.plaintext[:end] if end >= 0 and self.ends_at(end) else None


class EnvelopedData(NamedTuple):
    """An EnvelopedData or AuthEnvelopedData as it arrived."""

    recipient_infos: tuple[RecipientInfo, ...]
    cipher: ContentCipher
    #: Certificates of the originatorInfo: hints, nothing more (ERRATA E28).
    certificates: tuple[bytes, ...]
    size: int
    #: Decrypts with a key, and with what follows.
    decryptor: Decryptor
    tag: bytes
    #: What the authentication tag is over besides (RFC 5083 2.2).
    covered: bytes

    def encrypted_key(self, keys: DecryptionKeys) -> bytes:
        """Return the encrypted key that is for us; raise `UndecryptableError` if there is none.

        Honest senders never use a key twice (RFC 3565 2): what bears one that came before is a replay, or
        somebody's experiment.
        """
        return self._find(keys)[2].encrypted_key

    def decrypt(self, keys: DecryptionKeys, *, random: Random = os.urandom) -> Decrypted:
        """Return what the envelope holds for us; raise `UndecryptableError`.

        It raises when no RecipientInfo is for us, which everybody can see, and when an authentication tag is
        wrong. One private-key operation is done at the most.
        """
        key, certificate, info = self._find(keys)
        fallback = random(self.cipher.key_size)  # drawn before the private-key operation (RFC 3218 2.3.2)
        plaintext = self.decryptor(keys.unwrap(info, key, fallback), self.tag, self.covered)
        if plaintext is None:
            raise UndecryptableError("the authentication tag is wrong")
        return Decrypted(plaintext, self.cipher, info.name, certificate)

    def _find(self, keys: DecryptionKeys) -> tuple[Any, ParsedCertificate, RecipientInfo]:
        found = keys.find(self.recipient_infos)
        if found is None:
            raise UndecryptableError("it is not encrypted to any of our keys", reason="not-for-us")
        return found


def parse_enveloped_data(data: bytes) -> EnvelopedData:
    """Read a ContentInfo with EnvelopedData or AuthEnvelopedData from the start of `data`; raise `MalformedError`.

    Only what everybody can see decides about the outcome.
    """
    try:
        found, size = read_der_or_ber(data, _read_content_info)
    except ASN1Error as error:
        raise MalformedError(f"not an EnvelopedData: {error}") from None
    return found if size is None else found._replace(size=size)


def _read_content_info(whole: Reader) -> EnvelopedData:
    kind, fields = whole.content_info(ENVELOPES)
    authenticated = kind == ID_AUTH_ENVELOPED_DATA
    fields.integer(maximum=4)
    certificates = _read_originator(fields.enter(CONSTRUCTED)) if fields.peek() == CONSTRUCTED else ()
    infos = fields.enter(SET).elements(limit=MAX_RECIPIENTS)
    encrypted = fields.enter()
    if encrypted.element(OID) != ID_DATA:  # RFC 3851 2.4.1
        raise ASN1Error("encrypted content that is not id-data")
    algorithm, parameters = read_algorithm(encrypted)
    ciphertext = encrypted.implicit_octets(0)
    encrypted.finish()
    cipher = CIPHERS.get(algorithm)
    if cipher is None or cipher.authenticated != authenticated:
        raise ASN1Error("a content-encryption algorithm that is unknown or does not belong here")
    tag = covered = b""
    if authenticated:
        if fields.peek() == CONSTRUCTED + 1:  # RFC 5083 2.2: what is covered is the SET OF
            covered = b"\x31" + fields.element()[1:]
        tag = fields.contents(OCTET_STRING)
    if fields.peek() == CONSTRUCTED + (2 if authenticated else 1):
        fields.element()  # unprotected attributes prove nothing
    fields.finish()
    return EnvelopedData(
        read_recipient_infos(infos),
        cipher,
        certificates,
        whole.position,
        cipher.read(parameters, ciphertext),
        tag,
        covered,
    )


def _read_originator(fields: Reader) -> tuple[bytes, ...]:
    if fields.peek() != CONSTRUCTED:
        return ()
    return tuple(each for each in fields.enter(CONSTRUCTED).elements(limit=16) if each[0] == SEQUENCE)


def content_type(data: bytes) -> bytes:
    """Return the content type of a ContentInfo, an OBJECT IDENTIFIER whole; raise `MalformedError`."""
    if len(data) < 2 or data[0] != SEQUENCE:
        raise MalformedError("not a CMS object")
    # BER or DER: only the length before the content type is of another form
    size = data[1] & 0x7F if data[1] & 0x80 else 0
    try:
        return Reader(data, 2 + size).element(OID)
    except ASN1Error as error:
        raise MalformedError(f"not a CMS object: {error}") from None

"""The structure of a CMS object for people, as far as it can be seen without a key (RFC 5652).

A diagnostic reader: it takes BER and algorithms that the plugin refuses, and it verifies nothing.
"""

import base64
import hashlib
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from asn1crypto import cms, core, pem
from cryptography import x509

from slixmpp_e2e.certificates.names import certificate_jids
from slixmpp_e2e.cli.arguments import shown
from slixmpp_e2e.cli.show import printable

_CONTENT_TYPES: Final = {
    "data": "Data",
    "signed_data": "SignedData",
    "enveloped_data": "EnvelopedData",
    "digested_data": "DigestedData",
    "encrypted_data": "EncryptedData",
    "authenticated_data": "AuthenticatedData",
    "authenticated_enveloped_data": "AuthEnvelopedData",
    "compressed_data": "CompressedData",
}
# What asn1crypto has no names for.
_IDENTIFIERS: Final = {
    "2.16.840.1.101.3.4.1.6": "aes128_gcm",
    "2.16.840.1.101.3.4.1.26": "aes192_gcm",
    "2.16.840.1.101.3.4.1.46": "aes256_gcm",
    "1.3.133.16.840.63.0.2": "dhSinglePass-stdDH-sha1kdf-scheme",
    "1.3.132.1.11.1": "dhSinglePass-stdDH-sha256kdf-scheme",
    "1.3.132.1.11.2": "dhSinglePass-stdDH-sha384kdf-scheme",
    "1.3.132.1.11.3": "dhSinglePass-stdDH-sha512kdf-scheme",
    "1.2.840.113549.1.9.16.3.19": "dhSinglePass-stdDH-hkdf-sha256-scheme",
    "1.2.840.113549.1.9.16.2.12": "signing_certificate",
    "1.2.840.113549.1.9.16.2.47": "signing_certificate_v2",
}
_RECIPIENTS: Final = {
    "ktri": "KeyTransRecipientInfo",
    "kari": "KeyAgreeRecipientInfo",
    "kekri": "KEKRecipientInfo",
    "pwri": "PasswordRecipientInfo",
    "ori": "OtherRecipientInfo",
}
# asn1crypto parses late and lets out whatever its own code stumbles over.
_UNPARSABLE: Final = (
    AttributeError,
    IndexError,
    KeyError,
    MemoryError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
)
_LONGEST_LINE: Final = 72

# asn1crypto has no types; what it hands out is looked up by field name.
_Value = Any
_Lines = Iterator[str]


def describe_object(data: bytes) -> str:
    """Return the structure of a CMS object in DER, BER, PEM or base64, for people. Raises `ValueError`."""
    encoded, form = unwrapped(data)
    return "\n".join([f"{form}, {len(encoded)} octets", *object_lines(encoded)[0]])


def object_lines(encoded: bytes) -> tuple[list[str], bytes | None]:
    """Return the structure of a ContentInfo line by line, and what it has signed, where that is in it.

    Raises `ValueError`.
    """
    try:
        # To the last line before anything is shown: late parsing may fail at any of them.
        info = cms.ContentInfo.load(encoded, strict=True)
        lines = list(_content_info(info))
        signed = info["content_type"].native == "signed_data"
        content = info["content"]["encap_content_info"]["content"].native if signed else None
    except _UNPARSABLE as error:
        detail = str(error).partition("\n")[0] or type(error).__name__
        raise ValueError(f"it can't be parsed ({detail})") from error
    return lines, content if isinstance(content, bytes) else None


def unwrapped(data: bytes) -> tuple[bytes, str]:
    """Return the octets of the ContentInfo, and in which form they came."""
    if data.startswith(b"\x30"):
        return data, "BER" if data[1:2] == b"\x80" else "DER or BER"
    text = data.strip()
    if text.startswith(b"-----BEGIN"):
        label, _, encoded = pem.unarmor(text)
        if label not in {"CMS", "PKCS7", "PKCS #7 SIGNED DATA"}:
            raise ValueError(f"a PEM block of the kind {label}")
        return encoded, "PEM"
    try:
        encoded = base64.b64decode(b"".join(text.split()), validate=True)
    except ValueError as error:
        raise ValueError("neither a stanza nor a MIME entity, nor DER, PEM or base64") from error
    if not encoded:
        raise ValueError("there is nothing in it")
    return encoded, "base64"


def _content_info(info: _Value) -> _Lines:
    kind = info["content_type"].native
    yield f"content type: {_content_type(kind)}"
    if kind == "signed_data":
        yield from _signed_data(info["content"])
    elif kind in {"enveloped_data", "authenticated_enveloped_data"}:
        yield from _enveloped_data(info["content"])


def _signed_data(data: _Value) -> _Lines:
    yield f"version: {data['version'].native}"
    digests = ", ".join(_algorithm(digest) for digest in data["digest_algorithms"])
    yield f"digest algorithms: {digests or 'none'}"
    yield from _encapsulated(data["encap_content_info"])
    for choice in data["certificates"]:
        yield from _certificate(choice)
    revocations = len(data["crls"])
    if revocations:
        yield f"revocation lists: {revocations}"
    signers = data["signer_infos"]
    for number, signer in enumerate(signers, 1):
        yield f"signer {number} of {len(signers)}: {_identifier(signer['sid'])}"
        yield f"  digest algorithm: {_algorithm(signer['digest_algorithm'])}"
        yield f"  signature algorithm: {_algorithm(signer['signature_algorithm'])}"
        yield f"  signature: {len(signer['signature'].native)} octets"
        for title, field in (("signed", "signed_attrs"), ("unsigned", "unsigned_attrs")):
            yield from (f"  {title} attribute {line}" for line in _attributes(signer[field]))
    if not signers:
        yield "signers: none (certificates only)"


def _encapsulated(info: _Value) -> _Lines:
    yield f"encapsulated content type: {_content_type(info['content_type'].native)}"
    content = info["content"].native
    if content is None:
        yield "content: detached"
    elif isinstance(content, bytes):
        first = printable(content.partition(b"\n")[0].rstrip(b"\r")[:_LONGEST_LINE].decode("latin-1"))
        yield f"content: {len(content)} octets, the first line is: {first}"


def _certificate(choice: _Value) -> _Lines:
    if choice.name != "certificate":
        yield f"certificate: of another kind ({choice.name})"
        return
    certificate = choice.chosen
    digest = hashlib.sha256(certificate.dump()).hexdigest()
    yield f"certificate: {printable(certificate.subject.human_friendly)}"
    yield f"  issued by {printable(certificate.issuer.human_friendly)}"
    yield f"  serial number {certificate.serial_number:x}, SHA-256 {digest}"
    yield f"  names {_jids(certificate.dump())}"
    yield f"  valid {_day(certificate.not_valid_before)} to {_day(certificate.not_valid_after)} UTC"


def _jids(der: bytes) -> str:
    try:
        jids = certificate_jids(x509.load_der_x509_certificate(der))
    except (ValueError, x509.InvalidVersion):
        return "nobody that can be read"
    return ", ".join(printable(shown(jid)) for jid in sorted(jids)) or "no JID"


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"


def _enveloped_data(data: _Value) -> _Lines:
    authenticated = isinstance(data, cms.AuthEnvelopedData)
    yield f"version: {data['version'].native}"
    recipients = data["recipient_infos"]
    for number, recipient in enumerate(recipients, 1):
        yield f"recipient {number} of {len(recipients)}: {_RECIPIENTS.get(recipient.name, recipient.name)}"
        yield from _recipient(recipient.name, recipient.chosen)
    info = data["auth_encrypted_content_info" if authenticated else "encrypted_content_info"]
    yield f"encrypted content type: {_content_type(info['content_type'].native)}"
    yield f"content encryption: {_algorithm(info['content_encryption_algorithm'])}"
    content = info["encrypted_content"].native
    yield "encrypted content: absent" if content is None else f"encrypted content: {len(content)} octets"
    if authenticated:
        yield f"authentication tag: {len(data['mac'].native)} octets"
        yield from (f"authenticated attribute {line}" for line in _attributes(data["auth_attrs"]))


def _recipient(kind: str, recipient: _Value) -> _Lines:
    if kind == "ktri":
        yield f"  for {_identifier(recipient['rid'])}"
    elif kind == "kari":
        for key in recipient["recipient_encrypted_keys"]:
            yield f"  for {_identifier(key['rid'])}"
    if kind in {"ktri", "kari", "kekri", "pwri"}:
        yield f"  key encryption: {_algorithm(recipient['key_encryption_algorithm'])}"


def _attributes(attributes: _Value) -> _Lines:
    for attribute in attributes:
        kind = attribute["type"].native
        name = _IDENTIFIERS.get(kind, kind).replace("_", " ")
        values = attribute["values"]
        if kind in {"content_type", "message_digest", "signing_time"}:
            shown = ", ".join(_attribute_value(value.native) for value in values)
        else:
            shown = f"{len(attribute['values'].dump())} octets"
        yield f"{name}: {shown}"


def _attribute_value(value: object) -> str:
    if isinstance(value, bytes):
        return value.hex()
    return _content_type(str(value))


def _identifier(identifier: _Value) -> str:
    chosen = identifier.chosen
    if isinstance(chosen, cms.IssuerAndSerialNumber):
        issuer = printable(chosen["issuer"].human_friendly)
        return f"serial number {chosen['serial_number'].native:x} of {issuer}"
    key = chosen if isinstance(chosen, core.OctetString) else chosen["subject_key_identifier"]
    return f"subject key identifier {key.native.hex()}"


def _algorithm(algorithm: _Value) -> str:
    identifier = algorithm["algorithm"].native
    name = _IDENTIFIERS.get(identifier, identifier)
    if name in {"rsaes_oaep", "rsassa_pss"}:
        parameters = algorithm["parameters"]
        hashes = parameters["hash_algorithm"]["algorithm"].native
        mask = parameters["mask_gen_algorithm"]["parameters"]["algorithm"].native
        return f"{name} with {hashes}, MGF1 with {mask}"
    return str(name)


def _content_type(name: str) -> str:
    return _CONTENT_TYPES.get(name, name)

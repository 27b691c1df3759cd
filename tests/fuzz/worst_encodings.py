"""Encodings and recipients that cost as much as can be."""

from slixmpp_e2e.cms.algorithms import AES128_CBC, ID_DATA, ID_ENVELOPED_DATA, ID_SIGNED_DATA
from slixmpp_e2e.cms.asn1 import CONSTRUCTED, OID, Reader, integer, octet_string, sequence, tlv
from slixmpp_e2e.cms.key_agreement import KeyAgreementRecipient
from slixmpp_e2e.cms.recipients import KeyTransportRecipient
from tests.fuzz.worst import BER, Maker, an_object, case, many


def _nested(depth: int) -> bytes:
    """Return values in values, each with its length."""
    headers, length = [], 2
    for _ in range(depth):
        header = b"\x30" + _length(length)
        headers.append(header)
        length += len(header)
    return b"".join(reversed(headers)) + b"\x05\x00"


def _length(length: int) -> bytes:
    size = (length.bit_length() + 7) // 8
    return bytes((length,)) if length < 0x80 else bytes((0x80 | size,)) + length.to_bytes(size, "big")


# --------------------------------------------------------------------------- encodings


@case
def nested_without_lengths(make: Maker) -> bytes:
    return an_object(many(BER))


@case
def nested_with_lengths(make: Maker) -> bytes:
    return an_object(sequence(ID_SIGNED_DATA, tlv(CONSTRUCTED, _nested(280_000))))


@case
def tiny_values_in_ber(make: Maker) -> bytes:
    return an_object(BER + ID_SIGNED_DATA + b"\xa0\x80" + many(b"\x05\x00"))


@case
def tiny_values_in_der(make: Maker) -> bytes:
    return an_object(
        sequence(ID_SIGNED_DATA, tlv(CONSTRUCTED, sequence(integer(1), tlv(0x31, many(b"\x05\x00")))))
    )


@case
def a_string_in_tiny_pieces(make: Maker) -> bytes:
    pieces = b"\x24\x80" + many(b"\x04\x01a", 1_400_000) + b"\0\0"
    return an_object(BER + ID_SIGNED_DATA + b"\xa0\x80" + BER + integer(1) + pieces)


@case
def pieces_of_ciphertext(make: Maker) -> bytes:
    algorithm = sequence(AES128_CBC.identifier, octet_string(bytes(16)))
    encrypted = sequence(ID_DATA, algorithm, tlv(CONSTRUCTED, many(b"\x04\x01a", 1_400_000)))
    info = KeyTransportRecipient(make.pki["romeo"].parsed).recipient_info(bytes(16))
    return an_object(
        sequence(ID_ENVELOPED_DATA, tlv(CONSTRUCTED, sequence(integer(0), tlv(0x31, info), encrypted)))
    )


@case
def a_long_number_and_identifier(make: Maker) -> bytes:
    number = tlv(0x02, b"\x7f" * 700_000)
    identifier = tlv(OID, b"\x81" * 700_000 + b"\x01")
    return an_object(sequence(ID_SIGNED_DATA, tlv(CONSTRUCTED, sequence(number, identifier))))


@case
def a_long_algorithm(make: Maker) -> bytes:
    return an_object(make.signed(b"x", digests=tlv(0x31, sequence(tlv(OID, b"\x81" * 1_400_000 + b"\x01")))))


# --------------------------------------------------------------------------- recipients


@case
def many_recipients_that_are_us(make: Maker) -> bytes:
    recipient = KeyTransportRecipient(make.pki["romeo"].parsed)
    return an_object(make.enveloped(*(recipient.recipient_info(bytes(16)) for _ in range(64))))


@case
def very_many_recipients(make: Maker) -> bytes:
    info = KeyTransportRecipient(make.pki["romeo"].parsed).recipient_info(bytes(16))
    return an_object(make.enveloped(many(info)))


@case
def many_recipients_of_agreements(make: Maker) -> bytes:
    info = KeyAgreementRecipient(make.pki["p-256"].parsed).recipient_info(bytes(16))
    fields = Reader(info).enter(CONSTRUCTED + 1).elements(limit=5)
    fields[-1] = sequence(*[Reader(fields[-1]).enter().element()] * 64)
    return an_object(make.enveloped(*[tlv(CONSTRUCTED + 1, *fields)] * 64))

"""The normaliser: whatever BER encoding of a value comes in, its DER encoding comes out."""

import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slixmpp_e2e.cms.asn1 import ASN1Error, ber_to_der, octet_string, sequence, tlv
from tests.cms.der_trees import Tree, der, encodings, trees

#: Seconds. What is measured takes a few hundredths of one.
_LONG = 2.0
#: The largest stanza that anybody lets through is of this order.
_STANZA = 262_144


@given(encodings(), st.binary(max_size=20))
def test_any_ber_encoding_becomes_the_der_encoding(pair: tuple[bytes, bytes], rest: bytes) -> None:
    expected, encoded = pair
    assert ber_to_der(encoded + rest) == (expected, len(encoded))


@given(trees)
def test_der_stays_as_it_is(tree: Tree) -> None:
    assert ber_to_der(der(tree)) == (der(tree), len(der(tree)))


@given(encodings(), st.data())
def test_ber_that_is_cut_off_is_refused(pair: tuple[bytes, bytes], data: st.DataObject) -> None:
    _, encoded = pair
    with pytest.raises(ASN1Error):
        ber_to_der(encoded[: data.draw(st.integers(0, len(encoded) - 1))])


@given(st.binary(max_size=300))
def test_octets_become_der_or_an_asn1_error(data: bytes) -> None:
    try:
        value, size = ber_to_der(data)
    except ASN1Error:
        return
    assert 2 <= size <= len(data)
    assert ber_to_der(value) == (value, len(value))


@pytest.mark.parametrize(
    "data",
    [
        b"\x04\x80ab\x00\x00",  # a primitive value can't be of indefinite length
        b"\x30\x80\x05\x00",  # no end
        b"\x30\x80\x05\x00\x00",
        b"\x30\x03\x04\x02a",  # longer than what holds it
        b"\x30\x03\x24\x80\x00\x00",  # ends behind what holds it
        b"\x05\x80\x00\x00",
        b"\x1f\x20\x00",  # tag numbers above 30
        b"\x1f\x01\x00",
        b"\x3f\x03\x04\x01a",
        b"\x30\x03\x1f\x01\x00",
        b"\x30\x89\x00\x00\x00\x00\x00\x00\x00\x00\x00",  # a length of nine octets
        b"\x30\xff" + bytes(127),
        b"\x04\x88\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x24\x04\x02\x02ab",  # a piece of another kind
    ],
    ids=lambda data: data[:10].hex(" "),
)
def test_what_is_no_ber_is_refused(data: bytes) -> None:
    with pytest.raises(ASN1Error):
        ber_to_der(data)


def _nested(depth: int) -> bytes:
    return b"\x30\x80" * depth + b"\x00\x00" * depth


def test_depth_is_bounded() -> None:
    value, _ = ber_to_der(_nested(33))
    assert value == b"".join(bytes((0x30, 2 * inside)) for inside in range(32, -1, -1))
    with pytest.raises(ASN1Error, match="deep"):
        ber_to_der(_nested(34))


def test_the_number_of_values_is_bounded() -> None:
    assert ber_to_der(sequence(b"\x05\x00" * 19_999))[1] > 39_998
    with pytest.raises(ASN1Error, match="too many"):
        ber_to_der(sequence(b"\x05\x00" * 20_000))


@pytest.mark.parametrize(
    "data",
    [
        _nested(_STANZA // 4),
        b"\x30\x80" * (_STANZA // 2),
        b"\x30\x80" + b"\x30\x80\x00\x00" * (_STANZA // 4) + b"\x00\x00",
        b"\x24\x80" + b"\x04\x00" * 19_998 + b"\x00\x00",
        b"\x24\x80" * 32 + octet_string(bytes(_STANZA)) + b"\x00\x00" * 32,
        tlv(0x30, *[octet_string(bytes(_STANZA // 1000))] * 1000),
        b"\x30\x88" + bytes(8) * (_STANZA // 8),
    ],
    ids=["deep", "endless", "wide", "pieces", "deep pieces", "large values", "empty with rest"],
)
def test_no_input_of_a_stanzas_size_takes_long(data: bytes) -> None:
    started = time.perf_counter()
    with suppress(ASN1Error):
        ber_to_der(data)
    assert time.perf_counter() - started < _LONG

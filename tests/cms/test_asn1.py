"""The DER writer and reader, with asn1crypto as the judge."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import pytest
from asn1crypto import core, parser
from hypothesis import given
from hypothesis import strategies as st

from slixmpp_e2e.cms import asn1
from slixmpp_e2e.cms.asn1 import ASN1Error, BERError, Reader
from tests.cms.der_trees import Constructed, Tree, constructed_trees, der, trees

_ARCS = st.lists(st.integers(0, 1 << 70), min_size=1, max_size=6)
_OIDS = st.one_of(
    st.tuples(st.integers(0, 1), st.integers(0, 39), _ARCS),
    st.tuples(st.just(2), st.integers(0, 47), _ARCS),
).map(lambda parts: ".".join(map(str, (*parts[:2], *parts[2]))))


def _moments(first: int, last: int) -> st.SearchStrategy[datetime]:
    """Return the moments from the beginning of a year through the end of another."""
    start, end = datetime(first, 1, 1, tzinfo=UTC), datetime(last + 1, 1, 1, tzinfo=UTC)
    return st.timedeltas(timedelta(0), end - start - timedelta(microseconds=1)).map(start.__add__)


# --------------------------------------------------------------------------- writing


@given(st.integers())
def test_an_integer_is_written_as_asn1crypto_writes_it(value: int) -> None:
    assert asn1.integer(value) == core.Integer(value).dump()


@pytest.mark.parametrize("value", [0, 1, 127, 128, 255, 256, 1 << 63, 1 << 64, -1, -128, -129, -(1 << 63)])
def test_an_integer_at_an_edge_takes_as_few_octets_as_it_can(value: int) -> None:
    assert asn1.integer(value) == core.Integer(value).dump()


@given(_OIDS)
def test_an_object_identifier_is_written_as_asn1crypto_writes_it(dotted: str) -> None:
    assert asn1.oid(dotted) == core.ObjectIdentifier(dotted).dump()


@pytest.mark.parametrize("length", [0, 1, 127, 128, 255, 256, 65535, 65536, (1 << 24) - 1, 1 << 24])
def test_a_length_at_an_edge_takes_as_few_octets_as_it_can(length: int) -> None:
    assert asn1.octet_string(bytes(length)) == core.OctetString(bytes(length)).dump()


@given(st.lists(st.binary(max_size=40)))
def test_parts_are_joined(parts: list[bytes]) -> None:
    assert asn1.sequence(*parts) == asn1.sequence(b"".join(parts))


@given(st.permutations([asn1.integer(value) for value in (0, 5, 127, 128, 300, 70000)]))
def test_a_set_of_has_one_order_whatever_came_in(parts: list[bytes]) -> None:
    class Integers(core.SetOf):
        _child_spec = core.Integer

    assert asn1.set_of(parts) == Integers([0, 5, 127, 128, 300, 70000]).dump()


@pytest.mark.requirement("3851-2.5.1-1")
@given(_moments(1950, 2049))
def test_a_time_through_2049_is_a_utctime(moment: datetime) -> None:
    assert asn1.time(moment) == core.UTCTime(moment.replace(microsecond=0)).dump()


@pytest.mark.requirement("3851-2.5.1-1")
@given(_moments(1000, 1949) | _moments(2050, 9998))
def test_any_other_time_is_a_generalizedtime(moment: datetime) -> None:
    assert asn1.time(moment) == core.GeneralizedTime(moment.replace(microsecond=0)).dump()


def test_a_time_is_written_in_utc() -> None:
    moment = datetime(2026, 11, 20, 1, 30, tzinfo=timezone(timedelta(hours=2)))
    assert asn1.time(moment) == b"\x17\x0d261119233000Z"


# --------------------------------------------------------------------------- reading


def _check(tree: Tree, reader: Reader) -> None:
    assert reader.peek() == tree.tag
    if not isinstance(tree, Constructed):
        assert reader.contents(tree.tag) == tree.contents
        return
    inside = reader.enter(tree.tag)
    for child in tree.children:
        _check(child, inside)
    assert not inside
    inside.finish()


@given(trees)
def test_what_was_written_is_read(tree: Tree) -> None:
    reader = Reader(der(tree))
    _check(tree, reader)
    reader.finish()


@given(constructed_trees)
def test_elements_are_the_octets_as_they_stand(tree: Constructed) -> None:
    elements = Reader(der(tree)).enter(tree.tag).elements(limit=4)
    assert elements == [der(child) for child in tree.children]


@given(st.binary(max_size=300) | trees.map(der))
def test_a_value_ends_where_asn1crypto_says_that_it_ends(data: bytes) -> None:
    try:
        element = Reader(data).element()
    except ASN1Error:
        return
    info = parser.parse(element, strict=True)
    assert data.startswith(element)
    assert info[0] << 6 | info[1] << 5 | info[2] == data[0]
    assert b"".join(info[3:6]) == element


@given(trees, st.data())
def test_a_value_that_is_cut_off_is_refused(tree: Tree, data: st.DataObject) -> None:
    whole = der(tree)
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(ASN1Error):
        Reader(whole[:cut]).element()


@given(trees, st.binary(min_size=1))
def test_what_follows_a_value_is_left_over(tree: Tree, rest: bytes) -> None:
    reader = Reader(der(tree) + rest)
    assert reader.element() == der(tree)
    assert reader
    with pytest.raises(ASN1Error, match="left over"):
        reader.finish()


@given(
    st.binary(max_size=200), st.sampled_from(["element", "enter", "each", "elements", "integer", "finish"])
)
def test_reading_octets_raises_nothing_but_asn1_errors(data: bytes, method: str) -> None:
    arguments = {"limit": 3} if method in {"each", "elements"} else {}
    with suppress(ASN1Error):
        getattr(Reader(data), method)(**arguments)


@pytest.mark.parametrize(
    "data",
    [
        b"\x30\x80\x00\x00",  # indefinite
        b"\x30\x81\x00",
        b"\x30\x81\x7f" + bytes(127),
        b"\x30\x82\x00\x80" + bytes(128),
        b"\x30\x82\x00\xff" + bytes(255),
        b"\x30\x83\x00\x01\x00" + bytes(256),
        b"\x30\x84\x00\x01\x00\x00" + bytes(65536),
    ],
    ids=lambda data: data[:6].hex(" "),
)
def test_a_length_that_is_not_der_is_ber(data: bytes) -> None:
    with pytest.raises(BERError):
        Reader(data).element()


@pytest.mark.parametrize(
    "data",
    [b"", b"\x30", b"\x30\x81", b"\x30\x82\x01", b"\x30\x01", b"\x30\x85\x01\x00\x00\x00\x00", b"\x30\xff"],
    ids=lambda data: data.hex(" ") or "nothing",
)
def test_a_length_that_does_not_fit_is_no_ber_either(data: bytes) -> None:
    with pytest.raises(ASN1Error) as caught:
        Reader(data).element()
    assert not isinstance(caught.value, BERError)


@pytest.mark.parametrize("tag", [0x1F, 0x3F, 0x9F, 0xBF, 0xFF])
def test_a_tag_number_above_30_is_refused(tag: int) -> None:
    with pytest.raises(ASN1Error):
        Reader(bytes((tag, 0x21, 0x00))).element()


def test_another_tag_is_refused() -> None:
    with pytest.raises(ASN1Error, match="tag 0x02 where 0x04 belongs") as caught:
        Reader(asn1.integer(1)).contents(asn1.OCTET_STRING)
    assert not isinstance(caught.value, BERError)


def test_a_string_in_pieces_is_ber() -> None:
    with pytest.raises(BERError):
        Reader(b"\x24\x03\x04\x01a").contents(asn1.OCTET_STRING)


@given(st.integers(0, 1 << 64))
def test_a_number_is_read(value: int) -> None:
    reader = Reader(asn1.integer(value))
    assert reader.integer() == value
    reader.finish()


@pytest.mark.parametrize(
    "data",
    [
        b"\x02\x00",
        b"\x02\x02\x00\x7f",
        b"\x02\x03\x00\x00\x01",
        asn1.integer(-1),
        asn1.integer(-129),
        asn1.integer(256),
    ],
    ids=lambda data: data.hex(" "),
)
def test_a_number_that_is_negative_too_large_or_not_minimal_is_refused(data: bytes) -> None:
    with pytest.raises(ASN1Error):
        Reader(data).integer(maximum=255)


@pytest.mark.parametrize("data", [b"", b"\x1f\x01\x00", b"\xbf\x01\x00"], ids=lambda data: data.hex(" "))
def test_a_tag_number_above_30_is_no_value(data: bytes) -> None:
    with pytest.raises(ASN1Error, match="tag number above 30"):
        Reader(data).element()


@pytest.mark.parametrize("method", ["elements", "each"])
def test_the_number_of_values_is_bounded(method: str) -> None:
    data = asn1.sequence() * 4
    assert len(getattr(Reader(data), method)(limit=4)) == 4
    with pytest.raises(ASN1Error, match="more than 3"):
        getattr(Reader(data), method)(limit=3)


def test_an_explicit_tag_holds_one_value() -> None:
    one = asn1.sequence(asn1.integer(7))
    reader = Reader(asn1.tlv(0xA3, one) + b"\x05\x00")
    assert reader.explicit(3).integer() == 7
    assert reader.element() == b"\x05\x00"
    with pytest.raises(ASN1Error, match="left over"):
        Reader(asn1.tlv(0xA3, one, one)).explicit(3)
    with pytest.raises(ASN1Error):
        Reader(asn1.tlv(0xA2, one)).explicit(3)


@pytest.mark.parametrize(
    "data",
    [b"\x80\x04abcd", b"\xa0\x08\x04\x02ab\x04\x02cd", b"\xa0\x0a\x04\x02ab\x04\x00\x04\x02cd"],
    ids=["whole", "two pieces", "three pieces"],
)
def test_an_implicit_octet_string_is_read_whole_and_in_pieces(data: bytes) -> None:
    reader = Reader(data)
    assert reader.implicit_octets(0) == b"abcd"
    reader.finish()


def test_an_implicit_octet_string_of_other_pieces_is_refused() -> None:
    with pytest.raises(ASN1Error):
        Reader(b"\xa0\x03\x02\x01\x07").implicit_octets(0)


# --------------------------------------------------------------------------- times


@given(_moments(1000, 9998))
def test_a_time_is_read_back_to_the_second(moment: datetime) -> None:
    reader = Reader(asn1.time(moment))
    assert asn1.read_time(reader) == moment.replace(microsecond=0)
    reader.finish()


@pytest.mark.requirement("3851-2.5.1-1")
@pytest.mark.parametrize(
    ("text", "year"), [("500101000000Z", 1950), ("991231235959Z", 1999), ("000101000000Z", 2000)]
)
def test_the_century_of_a_utctime_turns_at_fifty(text: str, year: int) -> None:
    assert asn1.read_time(Reader(asn1.tlv(asn1.UTC_TIME, text.encode()))).year == year


@pytest.mark.parametrize(
    ("tag", "text"),
    [
        (asn1.UTC_TIME, b"2611200830Z"),  # no seconds
        (asn1.UTC_TIME, b"261120083015+0000"),
        (asn1.UTC_TIME, b"261120083015"),
        (asn1.UTC_TIME, b"261120083015X"),
        (asn1.UTC_TIME, b"261120083015\0"),
        (asn1.GENERALIZED_TIME, b"20261120083015\0"),
        (asn1.UTC_TIME, b"20261120083015Z"),
        (asn1.UTC_TIME, b"261320083015Z"),
        (asn1.UTC_TIME, b"260229083015Z"),
        (asn1.UTC_TIME, b"261120083060Z"),
        (asn1.UTC_TIME, b"261120240000Z"),
        (asn1.UTC_TIME, b"26112008301\xb2Z"),
        (asn1.UTC_TIME, b"2611 0083015Z"),
        (asn1.UTC_TIME, b""),
        (asn1.GENERALIZED_TIME, b"20261120083015.5Z"),
        (asn1.GENERALIZED_TIME, b"261120083015Z"),
        (asn1.GENERALIZED_TIME, b"00001120083015Z"),
        (asn1.GENERALIZED_TIME, b"-0261120083015Z"),
        (asn1.UTF8_STRING, b"261120083015Z"),
    ],
)
def test_any_other_form_of_time_is_refused(tag: int, text: bytes) -> None:
    with pytest.raises(ASN1Error):
        asn1.read_time(Reader(asn1.tlv(tag, text)))

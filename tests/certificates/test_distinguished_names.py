"""Distinguished names and their comparison (RFC 5280 7.1, RFC 4518)."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from slixmpp_e2e.certificates.distinguished_names import DistinguishedName, prepare, read_text
from slixmpp_e2e.cms.asn1 import ASN1Error, oid, sequence, tlv
from tests.certificates.drafts import BMP, IA5, PRINTABLE, TELETEX, UNIVERSAL, UTF8, name

#: Letters of which RFC 4518 makes others, or nothing, or which it leaves alone.
LETTERS = st.text(
    "aAzZ09 .-'\u00df\u00c4\u00e4\u0130\u212b\u00b4\u0301\u1fb3\ufb01\u00ad\u00a0\u2003\u200d\t", max_size=12
)
KINDS = st.sampled_from(("C", "O", "OU", "CN", "E"))
NAMES = st.lists(st.tuples(KINDS, LETTERS), max_size=4)


def read(*rdns) -> DistinguishedName:
    return DistinguishedName(name(*rdns))


def within(*rdns, base) -> bool:
    return read(*rdns).is_within(read(*base))


CAPULET = ("O", "Casa Capulet", UTF8)
ITALY = ("C", "IT", PRINTABLE)
WEST = ("OU", "West", UTF8)


class TestSubtrees:
    def test_a_name_lies_within_what_it_begins_with(self):
        assert within(ITALY, CAPULET, WEST, base=[ITALY, CAPULET])
        assert within(ITALY, CAPULET, base=[ITALY, CAPULET])
        assert within(ITALY, base=[])

    def test_and_in_nothing_else(self):
        assert not within(ITALY, base=[ITALY, CAPULET])
        assert not within(ITALY, CAPULET, base=[CAPULET])
        assert not within(CAPULET, ITALY, base=[ITALY, CAPULET])
        assert not within(ITALY, ("O", "Casa Montague", UTF8), base=[ITALY, CAPULET])
        assert not within(ITALY, ("OU", "Casa Capulet", UTF8), base=[ITALY, CAPULET])

    def test_several_attributes_in_one_place_have_no_order(self):
        both, less, more = [CAPULET, WEST], [CAPULET], [CAPULET, WEST, ("CN", "x", UTF8)]
        assert within(ITALY, [("OU", "WEST", UTF8), CAPULET], base=[ITALY, both])
        assert not within(ITALY, less, base=[ITALY, both])
        assert not within(ITALY, more, base=[ITALY, both])


class TestText:
    @pytest.mark.parametrize("tag", [UTF8, PRINTABLE, TELETEX, IA5, BMP, UNIVERSAL])
    def test_the_type_of_a_string_does_not_matter(self, tag):
        assert within(("O", "CASA  Capulet ", tag), base=[CAPULET])
        assert not within(("O", "CasaCapulet", tag), base=[CAPULET])

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("CASA CAPULET", "casa capulet"),
            ("  casa    capulet ", "casa capulet"),
            ("casa\u00a0capulet", "casa capulet"),
            ("casa\tcapulet", "casa capulet"),
            ("ca\u00adsa\u200dcap\ufeffulet", "casacapulet"),
            ("STRASSE", "stra\u00dfe"),
            ("\u00c4RGER", "a\u0308rger"),
            ("\ufb01or", "FIOR"),
            ("\u212bngstr\u00f6m", "\u00e5ngstr\u00f6m"),
            ("\u2003", ""),
        ],
    )
    def test_what_differs_in_nothing_that_matters_is_the_same(self, one, other):
        assert prepare(one) == prepare(other)

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("casa capulet", "casacapulet"),
            ("casa", "cas\u00e0"),
            ("a \u0301", "a\u0301"),
            ("a  \u0301", "a \u0301"),  # a space that bears an accent is a letter; the one before it is none
            ("\u0130", "i"),
            ("o", "\u043e"),  # Cyrillic
        ],
    )
    def test_what_differs_differs(self, one, other):
        assert prepare(one) != prepare(other)

    @pytest.mark.parametrize("text", ["\ufffd", "\ue000", "\ufdd0", "\U0001f600"])
    def test_what_has_no_place_in_names_can_not_be_compared(self, text):
        """The last one is unassigned in Unicode 3.2."""
        with pytest.raises(ASN1Error):
            prepare(f"casa {text}")

    @pytest.mark.parametrize(
        "value",
        [
            tlv(TELETEX, b"caf\xe9"),  # Latin 1 to most, T.61 to the standard
            tlv(PRINTABLE, b"caf\xc3\xa9"),
            tlv(UTF8, b"caf\xe9"),
            tlv(BMP, b"abc"),
            tlv(BMP, b"\xd8\x00\x00a"),
            tlv(UNIVERSAL, b"\x00\x11\x00\x00"),
            tlv(0x04, b"cafe"),
            tlv(0x03, b"\0cafe"),
            tlv(0x1B, b"cafe"),
            tlv(UTF8, b"cafe") + b"\0",
        ],
    )
    def test_what_nobody_can_read_for_certain_is_no_text(self, value):
        with pytest.raises(ASN1Error):
            read_text(value)

    @pytest.mark.parametrize(
        ("letter", "most"),
        [
            ("a", 512),
            ("\u00e4", 512),
            ("\u01c6", 256),
            ("\ufdfa", 28),
        ],  # NFKC makes 2 and 18 of the last ones
    )
    def test_a_longer_value_than_anybody_needs_can_not_be_compared(self, letter, most):
        """Nor does it take time: it is bounded before anything is made of it."""
        assert within(("O", letter * most, UTF8), base=[("O", letter.upper() * most, UTF8)])
        with pytest.raises(ASN1Error, match="longer value"):
            within(("O", letter * (most + 1), UTF8), base=[CAPULET])
        with pytest.raises(ASN1Error, match="longer value"):
            within(CAPULET, base=[("O", letter * 5000, UTF8)])

    def test_it_matters_only_where_something_is_compared(self):
        odd = ("OU", "\U0001f600", UTF8)
        assert within(ITALY, CAPULET, odd, base=[ITALY, CAPULET])
        assert not within(ITALY, odd, base=[ITALY, CAPULET])
        assert within(odd, base=[odd])  # octet by octet
        with pytest.raises(ASN1Error):
            within(odd, base=[WEST])


@pytest.mark.parametrize(
    "der",
    [
        b"",
        b"\x31\x00",
        sequence() + b"\0",
        sequence(b"\x31\x00"),
        sequence(tlv(0x31, sequence(oid("2.5.4.3")))),
        sequence(tlv(0x31, sequence(oid("2.5.4.3"), tlv(UTF8, b"x"), tlv(UTF8, b"y")))),
        sequence(tlv(0x31, sequence(tlv(UTF8, b"x"), oid("2.5.4.3")))),
        sequence(*[tlv(0x31, sequence(oid("2.5.4.3"), tlv(UTF8, b"x")))] * 33),
        sequence(tlv(0x31, *[sequence(oid("2.5.4.3"), tlv(UTF8, b"x"))] * 17)),
    ],
)
def test_what_is_no_name_or_far_too_long_is_refused(der):
    with pytest.raises(ASN1Error):
        DistinguishedName(der)


@given(st.binary(max_size=80))
def test_whatever_the_octets_are_nothing_else_is_raised(octets):
    for action in (
        lambda: DistinguishedName(octets).is_within(read(CAPULET)),
        lambda: DistinguishedName(name(("O", "x", UTF8)).replace(b"\x0c\x01x", octets)).is_within(
            read(CAPULET)
        ),
        lambda: read_text(octets),
    ):
        try:
            action()
        except ASN1Error:
            continue


@given(st.text(max_size=30))
def test_what_is_prepared_stays_as_it_is(text):
    try:
        once = prepare(text)
    except ASN1Error:
        return
    assert prepare(once) == once
    assert prepare(f"  {once} ") == once


@given(NAMES, NAMES)
def test_below_a_name_is_what_has_it_as_its_beginning_and_nothing_else(one, other):
    """The same as comparing what `prepare` makes of every value, from the root down."""

    def prepared(rdns):
        return [(kind, prepare(text)) for kind, text in rdns]

    found = within(*[(*each, UTF8) for each in one], base=[(*each, UTF8) for each in other])
    assert found == (prepared(one)[: len(other)] == prepared(other))


@given(NAMES, NAMES, st.data())
def test_a_name_stays_within_however_it_is_written(base, rest, data):
    def written(text):
        tag = data.draw(st.sampled_from((UTF8, BMP, UNIVERSAL)))
        change = data.draw(st.sampled_from((str, str.swapcase, lambda each: f" {each}\u00ad  ")))
        assume(prepare(change(text)) == prepare(text))  # Python folds some letters that Unicode 3.2 does not
        return change(text), tag

    longer = [(kind, *written(text)) for kind, text in (*base, *rest)]
    shorter = [(kind, text, UTF8) for kind, text in base]
    assert within(*longer, base=shorter)
    assert within(*longer, base=longer)
    if rest:
        assert not within(*shorter, base=longer)

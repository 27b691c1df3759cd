"""How an announcement is kept, and which of two counts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slixmpp_e2e.certificates.announcement import MAX_OCTETS, Announcement
from slixmpp_e2e.cms.algorithms import AES128_GCM, AES256_GCM, CIPHERS
from slixmpp_e2e.cms.asn1 import integer, octet_string, oid, sequence, set_of
from slixmpp_e2e.cms.capabilities import EVERYTHING, UNKNOWN, Capabilities
from slixmpp_e2e.freshness import SECOND

NOW = 1_772_366_400 * SECOND
DAY = 24 * 3600 * SECOND
OWN, OTHER = b"a" * 32, b"b" * 32
SAID = Announcement(NOW, EVERYTHING, b"\x80\x02id", OWN)

ANNOUNCEMENTS = st.builds(
    Announcement,
    st.integers(0, 1 << 63),
    st.builds(Capabilities, st.frozensets(st.sampled_from(sorted(CIPHERS.values(), key=str))), st.booleans()),
    st.none() | st.binary(max_size=100),
    st.binary(min_size=32, max_size=32),
)


def said(timestamp: int, signer: bytes = OWN, capabilities: Capabilities = EVERYTHING) -> Announcement:
    return Announcement(timestamp, capabilities, None, signer)


class TestEncoding:
    @given(ANNOUNCEMENTS)
    def test_what_is_written_is_read(self, announcement):
        assert Announcement.from_der(announcement.to_der()) == announcement

    def test_these_are_the_octets(self):
        ciphers = frozenset([AES256_GCM, AES128_GCM])
        der = Announcement(1, Capabilities(ciphers, oaep=True), b"id", b"signer").to_der()
        assert der.hex(" ", -1).replace(" ", "") == (
            "302a02010131160609608648016503040106060960864801650304012e02010104067369676e657204026964"
        )

    @pytest.mark.parametrize(
        "der",
        [
            b"",
            SAID.to_der()[:-1],
            SAID.to_der() + b"\x00",
            sequence(integer(-1), set_of([]), integer(0), octet_string(OWN)),
            sequence(integer(NOW), set_of([]), integer(2), octet_string(OWN)),
            sequence(integer(NOW), set_of([oid("1.2.3")]), integer(0), octet_string(OWN)),
            sequence(integer(NOW), set_of([AES128_GCM.identifier] * 2), integer(0), octet_string(OWN)),
            sequence(integer(NOW), set_of([]), integer(0)),
            sequence(
                integer(NOW), set_of([]), integer(0), octet_string(OWN), b"", octet_string(b""), b"\x05\x00"
            ),
        ],
        ids=["empty", "cut", "longer", "negative", "truth", "unknown cipher", "twice", "no signer", "more"],
    )
    def test_what_is_written_otherwise_was_never_said(self, der):
        assert Announcement.from_der(der) is None

    def test_what_would_be_too_long_is_kept_as_nothing_that_can_be_read(self):
        empty = len(Announcement(NOW, UNKNOWN, b"", OWN).to_der())
        fits = Announcement(NOW, UNKNOWN, b"x" * (MAX_OCTETS - empty - 4), OWN)
        assert MAX_OCTETS - 2 <= len(fits.to_der()) <= MAX_OCTETS
        assert Announcement.from_der(fits.to_der()) == fits
        assert Announcement(NOW, UNKNOWN, b"x" * MAX_OCTETS, OWN).to_der() == b""


class TestWhichCounts:
    def test_the_newest_does(self):
        assert said(NOW).yields_to(said(NOW + 1), OWN)
        assert said(NOW).yields_to(said(NOW), OWN)
        assert not said(NOW + 1).yields_to(said(NOW), OWN)

    def test_what_a_certificate_said_itself_goes_before_what_another_said_later(self):
        assert said(NOW + 1, OTHER).yields_to(said(NOW), OWN)
        assert not said(NOW).yields_to(said(NOW + 1, OTHER), OWN)

    def test_within_a_day_the_same_is_a_repetition(self):
        assert said(NOW + DAY - 1).repeats(said(NOW))
        assert said(NOW - DAY).repeats(said(NOW))
        assert not said(NOW + DAY).repeats(said(NOW))
        assert not said(NOW + 1, OTHER).repeats(said(NOW))
        assert not said(NOW + 1, OWN, UNKNOWN).repeats(said(NOW))

    def test_what_was_read_back_may_have_been_repeated_since(self):
        assert said(NOW).at_the_latest(NOW + 5) == said(NOW + 5)
        assert said(NOW).at_the_latest(NOW - 5) == said(NOW)
        assert said(NOW).at_the_latest(NOW + 2 * DAY) == said(NOW + DAY - 1)

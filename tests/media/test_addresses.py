"""JIDs and the `im:` and `pres:` URIs that stand for them."""

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from slixmpp.jid import JID, InvalidJID

from slixmpp_e2e.media.addresses import bare, jid_to_uri, read_jid, uri_to_jid

#: Both are a ValueError, which is what the functions promise.
REFUSED = (InvalidJID, UnicodeError)

LABELS = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=8) | st.from_regex(
    r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True
)


def accepted_by_slixmpp(text):
    try:
        JID(text)
    except ValueError:
        return False
    return True


LOCALPARTS = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=20).filter(
    lambda text: accepted_by_slixmpp(f"{text}@example.com")
)
DOMAINS = st.lists(LABELS, min_size=1, max_size=3).map(".".join).filter(accepted_by_slixmpp)


def comparable(text):
    try:
        return bare(text)
    except ValueError:
        return None


class TestBare:
    @pytest.mark.requirement("3922-3.2-2")
    @pytest.mark.parametrize(
        ("spelling", "expected"),
        [
            ("juliet@example.com", "juliet@example.com"),
            ("JULIET@Example.COM", "juliet@example.com"),
            ("juliet@example.com/balcony", "juliet@example.com"),
            ("juliet@example.com/a@b/c", "juliet@example.com"),
            ("juliet@example.com.", "juliet@example.com"),
            ("ｊuliet@example.com", "juliet@example.com"),
            ("julïette@VÉRONE.example", "julïette@vérone.example"),
            ("julïette@xn--vrone-bsa.example", "julïette@vérone.example"),
            ("julïette@XN--VRONE-BSA.Example", "julïette@vérone.example"),
            ("juliet@straße.example", "juliet@strasse.example"),
            ("juliet@xn--strae-oqa.example", "juliet@xn--strae-oqa.example"),
            ("room_1@con_ference.example", "room_1@con_ference.example"),
            ("juliet@192.0.2.1", "juliet@192.0.2.1"),
            ("juliet@[2001:DB8:0::1]", "juliet@[2001:db8::1]"),
            ("component.example", "component.example"),
        ],
    )
    def test_every_spelling_of_an_address_becomes_the_same_string(self, spelling, expected):
        assert bare(spelling) == expected
        assert bare(JID(spelling)) == expected

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "@example.com",
            "juliet@",
            "a@b@c",
            "juliet@exa mple.com",
            "juliet@b。c",
            "juliet@*.example",
            "\ud800@b",
        ],
    )
    def test_what_no_certificate_can_name_is_refused(self, text):
        with pytest.raises(REFUSED):
            bare(text)

    def test_an_empty_jid_is_refused(self):
        with pytest.raises(InvalidJID):
            bare(JID(""))

    @pytest.mark.parametrize("text", ["ᴬlice@example.com", "alice@ᴬ.example"])
    def test_an_address_that_a_second_preparation_would_change_is_refused(self, text):
        # One preparation makes U+1D2C an "A", the next an "a": two addresses, one of them somebody else's.
        assert JID(text).bare != JID(JID(text).bare).bare
        with pytest.raises(REFUSED):
            bare(text)
        with pytest.raises(REFUSED):
            bare(JID(text))

    @given(LOCALPARTS, DOMAINS)
    def test_it_changes_nothing_when_applied_again(self, local, domain):
        address = comparable(f"{local}@{domain}")
        assume(address is not None)
        assert bare(address) == address
        assert JID(address).bare == address

    def test_a_label_that_is_too_new_for_unicode_3_makes_its_neighbours_a_labels(self):
        """Else one name would have two spellings: as it is written in a JID, and as in its URI."""
        address = "juliet@xn--mnchen-3ya.xn--co8axa.de"
        assert bare("juliet@münchen.xn--co8axa.de") == bare(address) == address
        assert bare(uri_to_jid(jid_to_uri("juliet@münchen.xn--co8axa.de", "im"))) == address
        with pytest.raises(ValueError, match="not written as it is compared"):
            read_jid("juliet@straße.xn--co8axa.de")

    def test_a_label_that_its_neighbours_forbid_in_unicode_stays_as_it_is(self):
        address = bare("juliet@xn--4dbc.com")  # a Hebrew label beside a Latin one
        assert bare(address) == address
        assert uri_to_jid(jid_to_uri(address, "im")).bare == address


class TestToURI:
    @pytest.mark.requirement("3922-3.2-1", "3860-A-1", "3923-6.3-5")
    @pytest.mark.parametrize(
        ("jid", "uri"),
        [
            ("juliet@example.com/balcony", "im:juliet@example.com"),
            ("ju-li.et_~+=!$*@example.com", "im:ju-li.et_~+=!$*@example.com"),
            ("who?@example.com", "im:who%3F@example.com"),
            ("50%@example.com", "im:50%25@example.com"),
            ("a#b@example.com", "im:a%23b@example.com"),
            (r"d\27artagnan@example.com", "im:d%5C27artagnan@example.com"),
            ("julïette@vérone.example", "im:jul%C3%AFette@xn--vrone-bsa.example"),
            ("component.example", "im:component.example"),
            ("juliet@[2001:db8::1]", "im:juliet@%5B2001:db8::1%5D"),
        ],
    )
    def test_it_is_ascii_and_escapes_what_a_uri_gives_a_meaning(self, jid, uri):
        assert jid_to_uri(JID(jid), "im") == uri

    def test_the_scheme_is_the_one_asked_for(self):
        assert jid_to_uri("juliet@example.com", "pres") == "pres:juliet@example.com"

    @pytest.mark.requirement("3922-3.2-1", "3922-3.3-1")
    @given(LOCALPARTS, DOMAINS, st.sampled_from(["im", "pres"]))
    @example("\\26", "example.com", "im")
    @example("julïette", "xn--strae-oqa.example", "pres")
    def test_every_address_comes_back_from_its_uri(self, local, domain, scheme):
        address = comparable(f"{local}@{domain}")
        assume(address is not None)
        uri = jid_to_uri(address, scheme)
        assert uri.isascii()
        assert uri_to_jid(uri).bare == address

    @given(LOCALPARTS)
    def test_every_stable_localpart_of_slixmpp_can_be_written(self, local):
        jid = JID(f"{local}@example.com")
        assume(JID(jid.bare) == jid)
        assert uri_to_jid(jid_to_uri(jid, "im")) == jid


class TestFromURI:
    @pytest.mark.requirement("3922-3.3-1", "3860-A-1")
    @pytest.mark.parametrize(
        ("uri", "jid"),
        [
            ("im:juliet@example.com", "juliet@example.com"),
            ("IM:JULIET@EXAMPLE.COM", "juliet@example.com"),
            ("pres:juliet@example.com/balcony", "juliet@example.com"),
            ("pres:juliet@example.com/my%20balcony", "juliet@example.com"),
            ("im:%6Auliet@example.com", "juliet@example.com"),
            ("im:jul%c3%afette@xn--vrone-bsa.example", "julïette@vérone.example"),
            ("im:jul%C3%AFette@v%C3%A9rone.example", "julïette@vérone.example"),
            ("im:d%5C27artagnan@example.com", r"d\27artagnan@example.com"),
            ("im:component.example", "component.example"),
        ],
    )
    def test_any_percent_encoding_is_read_and_the_resource_dropped(self, uri, jid):
        assert uri_to_jid(uri) == JID(jid)
        assert uri_to_jid(uri).resource == ""

    @pytest.mark.requirement("3922-3.3-1", "3860-A-1")
    @pytest.mark.parametrize(
        "uri",
        [
            "",
            "im:",
            "juliet@example.com",
            "xmpp:juliet@example.com",
            "mailto:juliet@example.com",
            "im:juliet@example.com?subject=x",
            "im:juliet@example.com#x",
            "im:juliet%40example.com",
            "im:juliet%40example.com@evil.example",
            "im:juliet@example.com@evil.example",
            "im:juliet@evil.example%2F@example.com",
            "im:juliet%2Fx@example.com",
            "im:juliet@example.com%2Fbalcony",
            "im://juliet@example.com",
            "im:@example.com",
            "im:juliet@",
            "im:juliet@example.com/",
            "im:juliet%00@example.com",
            "im:juliet@example.com%00.evil.example",
            "im:juliet@example.com/%00",
            "im:juliet@example.com\n",
            "im:juliet %20@example.com",
            "im:%20juliet@example.com",
            "im:juli%C2%A0et@example.com",
            "im:juliet%@example.com",
            "im:juliet%4@example.com",
            "im:juliet%FF@example.com",
            "im:juliet%C0%AF@example.com",
            "im:juliet%ED%A0%80@example.com",
            "im:julïette@example.com",
            "im:juliet@%EF%BD%85xample.com",
            "im:juliet@exa%C2%ADmple.com",
            "im:juliet@example.com.",
            "im:" + "a" * 1024 + "@example.com",
            "im:" + "a" * 100_000,
        ],
    )
    def test_what_is_not_exactly_one_address_is_refused(self, uri):
        with pytest.raises(REFUSED):
            uri_to_jid(uri)

    def test_only_the_schemes_asked_for_are_read(self):
        assert uri_to_jid("im:juliet@example.com", schemes={"im"}) == JID("juliet@example.com")
        with pytest.raises(REFUSED):
            uri_to_jid("pres:juliet@example.com", schemes={"im"})

    @given(st.text() | st.text("im:pres%0123456789abcdefABCDEF@./?#[]").map("im:".__add__))
    def test_it_returns_a_comparable_jid_or_raises_value_error(self, uri):
        try:
            jid = uri_to_jid(uri)
        except ValueError:
            return
        assert bare(jid) == jid.full


class TestReadJID:
    @pytest.mark.parametrize(
        "text",
        [
            "ｊuliet@example.com",
            "juliet@EXAMPLE.com",
            "julïette@VÉRONE.example",
            "julïette@xn--vrone-bsa.example",
            "juliet@example.com/my balcony",
        ],
    )
    def test_localparts_are_prepared_and_domains_differ_in_case_only(self, text):
        assert read_jid(text).full == bare(text)

    @pytest.mark.parametrize(
        "text",
        [
            "juliet@ｅxample.com",
            "juliet@exam\u00adple.com",
            "juliet@\N{KELVIN SIGN}.example",
            "juliet@straße.example",
            "juliet@ve\N{COMBINING ACUTE ACCENT}rone.example",
            "juliet@example．com",
            "juliet@example.com.",
        ],
    )
    def test_a_domain_that_preparation_turns_into_another_is_refused(self, text):
        assert bare(text)  # the JID type alone would take it
        with pytest.raises(REFUSED):
            read_jid(text)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            " juliet@example.com",
            "juliet@example.com ",
            "juliet@example.com\x00",
            "juliet@example.com/a\x85b",
        ],
    )
    def test_white_space_and_controls_are_refused(self, text):
        with pytest.raises(REFUSED):
            read_jid(text)

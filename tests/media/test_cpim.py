"""Message/CPIM (RFC 3862): exact out, strict in, and no escape ever makes syntax."""

from contextlib import suppress
from hashlib import sha1, sha256

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from slixmpp_e2e.errors import NOT_ACCEPTABLE, MalformedError, RefusedError
from slixmpp_e2e.media import cpim, mime

#: Everything that a string may hold and UTF-8 can carry, control characters and what takes two UTF-16 units.
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)
LINES = st.sampled_from(
    [
        "From: a", "To:b", "Subject: c", "Subject:;lang=en c", "NS: <urn:x>", "NS: x <urn:x>", "x.From: d",
        "x.y.z: e", "Require: From", "Require: x.y", "", " ", "\t", ":", ";lang=", "\\u", "\\", "<", ">", "\x7f",
        "\ud83d", "é",
        "NS: c <urn:ietf:params:cpim-headers:>", "NS: <urn:ietf:params-cpim-headers:>",
    ]
)  # fmt: skip


def message(*lines: str, content: str = "body", line_break: str = "\r\n") -> bytes:
    return (line_break.join((*lines, "", "")) + content).encode("utf-8", "surrogatepass")


def parse(*lines: str) -> cpim.CPIMMessage:
    return cpim.parse(message(*lines))


class TestEscapes:
    @pytest.mark.requirement("3862-2.2-3", "3862-2.2-10", "3862-2.2-11", "3862-2.3-1", "3862-2.3.1-7")
    @given(TEXT)
    @example("\\u0041")
    @example("\\\\n")
    @example("\x7f\0\b\t\n\r\x1f")
    @example("\U0001f600\ufeff")
    @example("\ufeff\\")
    def test_any_text_comes_back(self, text):
        escaped = cpim.escape(text)
        assert cpim.unescape(escaped) == text
        assert not any(char < " " or char == "\x7f" for char in escaped)

    @pytest.mark.requirement("3862-2.3.1-4", "3862-2.3.1-6")
    @given(TEXT)
    def test_nothing_else_is_escaped(self, text):
        special = {char for char in text if char < " " or char in "\x7f\\"}
        assert cpim.escape(text).count("\\") == sum(
            text.count(char) * (2 if char == "\\" else 1) for char in special
        )

    @pytest.mark.requirement("3862-2.2-11", "3862-2.3-1", "3862-2.3-2", "3862-2.3.1-1", "3862-2.3.1-4")
    @pytest.mark.requirement("3862-2.3.1-5")
    @pytest.mark.parametrize(
        ("text", "escaped"),
        [
            ("\\", "\\\\"),
            ("\b\t\n\r", "\\b\\t\\n\\r"),
            ("\0\x1f\x7f", "\\u0000\\u001f\\u007f"),
            ("\"quoted\" 'too'", "\"quoted\" 'too'"),
            ("é \U0001f600", "é \U0001f600"),
        ],
    )
    def test_they_are_written_as_the_rfc_wants_them(self, text, escaped):
        assert cpim.escape(text) == escaped

    @pytest.mark.requirement("3862-2.3-2", "3862-2.3.1-7", "3862-2.3.1-8", "3862-2.3.1-9", "3862-2.3.1-10")
    @pytest.mark.requirement("3862-2.3.1-11")
    @pytest.mark.parametrize(
        ("escaped", "text"),
        [
            ("\\u0041\\u00e9\\u00E9", "Aéé"),
            ("\\uD83D\\uDE00", "\U0001f600"),
            ("\\ud83d\\ude00!", "\U0001f600!"),
            ("\\uD83D", "\ufffd"),
            ("\\uDE00\\uD83D", "\ufffd\ufffd"),
            ("\\uD83Dx", "\ufffdx"),
            ("\\uD83D\U0001f600", "\ufffd\U0001f600"),
            ("\\uFEFFx", "\ufeffx"),
            ("\\\"\\'\\x\\é", "\"'xé"),
            ("\\u12", "u12"),
            ("\\u00g0", "u00g0"),
            ("\\U0041", "U0041"),
            ("final\\", "final"),
            ("\\\\u0041", "\\u0041"),
        ],
    )
    def test_other_spellings_are_read_as_the_rfc_says(self, escaped, text):
        assert cpim.unescape(escaped) == text  # RFC 3862 2.3.1, ERRATA C05

    @given(
        st.lists(
            st.sampled_from(["\\", "u", "D83D", "DE00", "0041", "n", '"', "é", "\U0001f600"]), max_size=12
        )
    )
    def test_what_comes_out_can_always_be_encoded(self, pieces):
        cpim.unescape("".join(pieces)).encode()

    @pytest.mark.parametrize(
        "value",
        [
            "\\u000d\\u000aTo: <im:mallory@example.org>",
            "\\r\\nTo: <im:mallory@example.org>",
            "\\n\\nContent-type: text/plain",
        ],
    )
    def test_an_escape_never_makes_a_header(self, value):
        found = parse("From: <im:juliet@example.com>", f"Subject: {value}")
        assert [header.name for header in found.headers] == ["From", "Subject"]
        assert found.one("To") is None

    def test_an_escape_never_makes_a_name_a_parameter_or_a_namespace(self):
        with pytest.raises(MalformedError):
            parse("Fr\\u006fm: <im:juliet@example.com>")
        assert parse("Subject: \\u003blang=en x").all("Subject") == (cpim.Header("Subject", ";lang=en x"),)
        with pytest.raises(MalformedError):
            parse("NS: \\u003curn:x\\u003e")

    @pytest.mark.requirement("3862-2.2-3", "3862-2.2-4", "3862-3.2-1")
    @given(TEXT, TEXT)
    def test_no_value_ever_makes_another_header(self, first, second):
        written = cpim.write([cpim.Header("Subject", first), cpim.Header("From", second)], b"X: y\r\n\r\n")
        found = cpim.parse(mime.parse_entity(written).body)
        assert [header.name for header in found.headers] == ["Subject", "From"]
        assert found.content == b"X: y\r\n\r\n"
        assert found.one("Subject") == first.rstrip(" ")  # ERRATA C13


class TestReading:
    @pytest.mark.requirement("3862-2-1", "3862-2.2-13", "3862-4.2-1")
    def test_headers_stand_in_their_order_and_the_content_behind_the_empty_line(self):
        found = parse("From: a", "To: b", "To: c", "cc: d")
        assert [(header.name, header.value) for header in found.headers] == [
            ("From", "a"), ("To", "b"), ("To", "c"), ("cc", "d")
        ]  # fmt: skip
        assert found.content == b"body"
        assert found.one("From") == "a"
        assert len(found.all("To")) == 2

    def test_lines_may_end_with_lf(self):
        found = cpim.parse(
            message("From: a", "To: b", content="x\r\n\r\n", line_break="\n").replace(b"\r\n", b"\n")
        )
        assert (found.one("From"), found.content) == ("a", b"x\n\n")

    def test_the_content_may_have_other_line_breaks_or_none(self):
        assert cpim.parse(message("From: a", content="\0\n\n\xff")).content == b"\0\n\n\xc3\xbf"
        assert cpim.parse(message("From: a", content="")).content == b""

    def test_a_value_may_be_empty_and_white_space_at_its_end_does_not_count(self):
        assert parse("Subject: ", "From:", "X: y  ").headers == (
            cpim.Header("Subject", ""),
            cpim.Header("From", ""),
            cpim.Header("X", "y"),
        )

    @pytest.mark.requirement("3862-2.2-12")
    def test_only_the_first_space_is_the_separator(self):
        assert parse("Subject:  x").one("Subject") == " x"

    @pytest.mark.requirement("3862-3.3-1")
    @pytest.mark.parametrize(
        ("line", "language"),
        [
            ("Subject:;lang=fr Objet", "fr"),
            ("Subject:;other=x;lang=de-CH-1996 Objet", "de-CH-1996"),
            ("Subject:;lang=not_one Objet", None),
            ("Subject:;lang= Objet", None),
            ("Subject:;LANG=fr Objet", None),
            (f"Subject:;lang={'x' * 36} Objet", None),
            ("Subject:;x Objet", None),
        ],
    )
    def test_a_language_stands_directly_behind_the_colon(self, line, language):
        (found,) = parse(line).all("Subject")
        assert (found.value, found.language) == ("Objet", language)

    def test_a_language_behind_a_space_is_text(self):
        assert parse("Subject: ;lang=fr text").all("Subject")[0] == cpim.Header("Subject", ";lang=fr text")

    @pytest.mark.requirement("3862-2.2-14", "3862-3.6-1")
    def test_names_count_as_they_are_written(self):
        found = parse("from: a", "FROM: b", "Datetime: c")
        assert found.one("From") is None
        assert found.one("DateTime") is None

    @pytest.mark.requirement("3862-2.2-13")
    @pytest.mark.parametrize("name", ["From", "DateTime"])
    def test_what_may_stand_once_does_not_stand_twice(self, name):
        with pytest.raises(MalformedError):
            parse(f"{name}: a", f"{name}: a").one(name)

    @pytest.mark.requirement("3862-2.2-7", "3862-2.2-9", "3862-2.2-10", "3862-3.1-1", "3862-4.6-1")
    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"body",
            b"From: a",
            b"From: a\r\n",
            b"\r\n\r\nbody",
            b"\r\nFrom: a\r\n\r\n",
            message("no header"),
            message("From : a"),
            message("From:a"),
            message("From: a", " folded"),
            message("From: a", "\tfolded"),
            message("From: a\tb"),
            message("From: a\0"),
            message("From: a\x7f"),
            message("From: a\rTo: b"),
            message("From: a\nTo: b"),
            message("Frém: a"),
            message("x.y.From: a"),
            message(".From: a"),
            message("x.: a"),
            message("From:; a"),
            message("From: \ud83d"),
            b"From: \xff\r\n\r\n",
            b"From: \xc0\xaf\r\n\r\n",  # overlong: ERRATA C08
            b"From: \xf5\x80\x80\x80\r\n\r\n",
            message("X: " + "y" * 33_000),
            message(*(f"X{number}: y" for number in range(65))),
            message("NS: urn:x"),
            message("NS: x y <urn:x>"),
            message("NS: x <urn:x> y"),
            message("NS: "),
        ],
    )
    def test_anything_else_is_malformed(self, data):
        with pytest.raises(MalformedError):
            cpim.parse(data)

    def test_sixty_four_headers_are_read(self):
        assert len(parse(*(f"X{number}: y" for number in range(64))).headers) == 64

    @given(st.lists(LINES, max_size=8), st.sampled_from(["\r\n", "\n"]))
    def test_whatever_it_is_it_is_read_or_refused(self, lines, line_break):
        with suppress(MalformedError, RefusedError):
            cpim.parse(message(*lines, line_break=line_break))

    @given(st.binary(max_size=200))
    def test_any_octets_are_read_or_refused(self, data):
        with suppress(MalformedError, RefusedError):
            cpim.parse(data)


class TestNamespaces:
    @pytest.mark.requirement("3862-3.1-1", "3862-3.4-5", "3862-4.6-1")
    def test_a_prefix_means_the_namespace_that_was_declared(self):
        found = parse("NS: x <urn:example:x>", "x.From: a", "From: b")
        assert found.headers[0] == cpim.Header("From", "a", namespace="urn:example:x")
        assert found.one("From") == "b"

    def test_a_prefix_for_the_core_namespace_makes_core_headers(self):
        assert parse("NS: c <urn:ietf:params:cpim-headers:>", "c.From: a").one("From") == "a"
        assert parse("NS: c <urn:ietf:params-cpim-headers:>", "c.From: a").one("From") == "a"  # ERRATA C01

    @pytest.mark.requirement("3862-3.4-5")
    def test_a_prefix_that_nobody_declared_makes_headers_that_nobody_knows(self):
        assert parse("x.From: a", "NS: x <urn:ietf:params:cpim-headers:>", "To: b").one("From") is None

    @pytest.mark.requirement("3862-3.4-5", "3862-4-1")
    def test_another_default_makes_another_from(self):
        found = parse("From: a", "NS: <urn:example:x>", "From: b", "NS: c <urn:ietf:params:cpim-headers:>")
        assert found.one("From") == "a"  # ERRATA C06
        assert cpim.Header("From", "b", namespace="urn:example:x") in found.headers
        assert (
            cpim.Header("NS", "c <urn:ietf:params:cpim-headers:>", namespace="urn:example:x") in found.headers
        )

    @pytest.mark.requirement("3862-4-1")
    def test_the_default_can_be_declared_as_what_it_is(self):
        assert parse("NS: <urn:ietf:params:cpim-headers:>", "From: a").one("From") == "a"
        assert parse("NS: <urn:ietf:params-cpim-headers:>", "From: a").one("From") == "a"

    def test_a_later_declaration_counts_from_there_on(self):
        found = parse("NS: x <urn:a>", "x.X: 1", "NS: x <urn:b>", "x.X: 2")
        assert [header.namespace for header in found.headers] == ["urn:a", "urn:b"]


class TestRequire:
    @pytest.mark.requirement("3862-3.5-3")
    @pytest.mark.parametrize(
        "lines",
        [
            ["Require: From"],
            ["Require: From,To,cc,DateTime,Subject,NS,Require"],
            ["Require: From, To ,Subject"],
            ["NS: c <urn:ietf:params:cpim-headers:>", "Require: c.From"],
            ["NS: c <urn:ietf:params:cpim-headers:>", "c.Require: c.From,To"],
        ],
    )
    def test_what_we_understand_may_be_required(self, lines):
        assert parse(*lines, "From: a").one("From") == "a"

    @pytest.mark.requirement("3862-3.5-1", "3862-3.5-3")
    @pytest.mark.parametrize(
        "lines",
        [
            ["Require: MyFeatures.VitalMessageOption"],
            ["Require: from"],
            ["Require: From,Unknown"],
            ["Require: "],
            ["Require: From,"],
            ["NS: x <urn:example:x>", "Require: x.From"],
            ["NS: c <urn:ietf:params:cpim-headers:>", "NS: <urn:example:x>", "c.Require: From"],
        ],
    )
    def test_what_we_do_not_understand_is_refused(self, lines):
        with pytest.raises(RefusedError) as caught:
            parse(*lines, "From: a")
        assert (caught.value.reason, caught.value.answer) == ("unsupported", NOT_ACCEPTABLE)  # ERRATA C07

    def test_a_require_of_another_namespace_requires_nothing(self):
        assert parse("NS: x <urn:example:x>", "x.Require: x.Unknown", "From: a").one("From") == "a"


class TestAddresses:
    @pytest.mark.requirement("3862-4.1-1")
    @pytest.mark.parametrize(
        ("value", "uri"),
        [
            ("<im:juliet@example.com>", "im:juliet@example.com"),
            ("Juliet Capulet <im:juliet@example.com>", "im:juliet@example.com"),
            ('"Juliet"<im:juliet@example.com>', "im:juliet@example.com"),
            ("juliet@example.com", "juliet@example.com"),
            ("im:juliet@example.com", "im:juliet@example.com"),
        ],
    )
    def test_the_address_is_what_stands_in_the_brackets(self, value, uri):
        assert cpim.uri(value) == uri

    @pytest.mark.parametrize(
        "value",
        [
            "<>",
            "<a",
            "a>",
            "<a><b>",
            "<a> <b>",
            "a<b>c",
            "<<a>>",
            ">a<",
            '"<im:romeo@example.net>" <im:juliet@example.com>',
        ],
    )
    def test_where_it_is_not_clear_nobody_is_addressed(self, value):
        with pytest.raises(MalformedError):
            cpim.uri(value)


class TestWriting:
    CONTENT = (
        b"Content-type: text/plain; charset=utf-8\r\n"
        b"Content-ID: <1234567890@example.com>\r\n"
        b"\r\n"
        b"Wherefore art thou, Romeo?"
    )

    @pytest.mark.requirement("3862-2-1", "3862-2.1-1", "3862-2.2-8", "3862-2.2-12")
    def test_example_2_of_rfc_3923_is_written_octet_for_octet(self):
        written = cpim.write(
            [
                cpim.Header("From", "Juliet Capulet <im:juliet@example.com>"),
                cpim.Header("To", "Romeo Montague <im:romeo@example.net>"),
                cpim.Header("DateTime", "2003-12-09T23:45:36.66Z"),
                cpim.Header("Subject", "Imploring"),
            ],
            self.CONTENT,
        )
        assert len(written) == 283  # TESTVECTORS section 3
        assert sha1(written).hexdigest() == "5dc4179dfaeb7add1f7bc74691339df86ab24af1"
        assert (
            sha256(written).hexdigest() == "4fa900709f97a1ffb664d851ca49bfa4eb44e158ad1a42f39e8f67ee906ea200"
        )

    @pytest.mark.requirement("3862-3.3-1")
    def test_a_language_is_written_behind_the_colon(self):
        assert b"\r\nSubject:;lang=fr Objet\r\n" in cpim.write([cpim.Header("Subject", "Objet", "fr")], b"")

    @pytest.mark.parametrize("language", ["", "x y", "fr\r\nTo: x", "é", "x" * 36])
    def test_a_language_that_is_none_is_refused(self, language):
        with pytest.raises(ValueError, match="language"):
            cpim.write([cpim.Header("Subject", "Objet", language)], b"")

    @pytest.mark.requirement("3862-2.2-7", "3862-3.6-2")
    @given(
        st.lists(st.sampled_from(["From", "To", "cc", "DateTime", "Subject"]), min_size=1, max_size=8),
        st.lists(st.tuples(TEXT, st.sampled_from([None, "en", "de-CH"])), min_size=8, max_size=8),
        st.binary(max_size=60),
    )
    def test_what_is_written_is_read(self, names, values, content):
        assume(not any(value.endswith(" ") for value, _ in values))
        headers = tuple(cpim.Header(name, *value) for name, value in zip(names, values, strict=False))
        entity = mime.parse_entity(cpim.write(headers, content))
        assert entity.media_type == "message/cpim"
        assert cpim.parse(entity.body) == cpim.CPIMMessage(headers, content)

"""MIME as far as S/MIME needs it: the octets of a part stay what they are, and nothing takes long."""

import base64
import time
from contextlib import suppress
from hashlib import sha1, sha256

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from slixmpp_e2e.errors import MalformedError
from slixmpp_e2e.media import mime

MEGABYTE = 1_000_000
PIECES = st.sampled_from(
    [b"--b", b"--b--", b"--bb", b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b"A", b"a: b", b"=", b";", b'"', b"\\",
     b"Content-Type: multipart/signed; boundary=b", b"Content-Type: application/pkcs7-signature", b"\xff", b"x"]
)  # fmt: skip
JUNK = st.lists(PIECES, max_size=40).map(b"".join) | st.binary(max_size=200)
TOKENS = st.from_regex(r"[!#$%&'*+\-.0-9A-Z^_`a-z{|}~]{1,12}", fullmatch=True)
VALUES = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=20)


def signed(*parts: bytes, boundary: bytes = b"b", preamble: bytes = b"", end: bytes = b"") -> bytes:
    """A multipart/signed with any parts, the closing boundary among them."""
    header = b"Content-Type: multipart/signed; boundary=" + boundary + b"\r\n\r\n"
    return header + preamble + b"".join(parts) + end


def part(content: bytes, line_break: bytes = b"\r\n") -> bytes:
    return b"--b" + line_break + content + line_break


SIGNATURE = b"Content-Type: application/pkcs7-signature\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n"


def split(data: bytes) -> mime.MultipartSigned:
    return mime.split_signed(mime.parse_entity(data))


def seconds(action, *arguments) -> float:
    begin = time.perf_counter()
    with suppress(MalformedError):
        action(*arguments)
    return time.perf_counter() - begin


class TestHeader:
    def test_fields_are_found_by_their_lower_case_name_and_the_body_stays_as_it_is(self):
        entity = mime.parse_entity(
            b"Content-TYPE: Text/Plain; Charset=UTF-8\r\nX-Other:  a b \r\n\r\nbody\n\0\xff"
        )
        assert entity.fields == {"content-type": "Text/Plain; Charset=UTF-8", "x-other": "a b"}
        assert (entity.media_type, entity.parameters) == ("text/plain", {"charset": "UTF-8"})
        assert entity.body == b"body\n\0\xff"

    def test_a_header_may_have_lf_only(self):
        entity = mime.parse_entity(b"Content-Type: a/b\nX: y\n\nbody")
        assert (entity.media_type, entity.fields["x"], entity.body) == ("a/b", "y", b"body")

    def test_a_folded_field_is_one_field(self):
        entity = mime.parse_entity(b"Content-Type: a/b;\r\n\t c=d;\r\n e=f\r\n\r\n")
        assert entity.parameters == {"c": "d", "e": "f"}

    def test_without_a_content_type_it_is_text(self):
        assert mime.parse_entity(b"X: y\r\n\r\n").media_type == "text/plain"

    def test_without_fields_everything_is_body(self):
        assert mime.parse_entity(b"\r\nbody").body == b"body"

    @pytest.mark.parametrize(
        "header",
        [
            b"",
            b"Content-Type: a/b",
            b"Content-Type: a/b\r\n",
            b"Content-Type: a/b\r\nno field\r\n\r\n",
            b": a\r\n\r\n",
            b"Content Type: a/b\r\n\r\n",
            b"Content-Type : a/b\r\n\r\n",
            b" folded: into nothing\r\n\r\n",
            "Ü: a\r\n\r\n".encode(),
            b"X: \xff\r\n\r\n",
            b"X: y\r\n \xff\r\n\r\n",
            b"X: y\r\nx: y\r\n\r\n",
            b"Content-Type: a/b\r\ncontent-type: c/d\r\n\r\n",
            b"X: " + b"y" * 17_000 + b"\r\n\r\n",
            b"".join(b"X%d: y\r\n" % number for number in range(65)) + b"\r\n",
        ],
    )
    def test_anything_else_is_no_header(self, header):
        with pytest.raises(MalformedError):
            mime.parse_entity(header)

    def test_sixty_four_fields_are_read(self):
        header = b"".join(b"X%d: y\r\n" % number for number in range(64))
        assert len(mime.parse_entity(header + b"\r\n").fields) == 64

    @given(JUNK)
    def test_whatever_it_is_it_is_read_or_malformed(self, data):
        try:
            entity = mime.parse_entity(data)
            entity.decoded_body()
            mime.split_signed(entity)
        except MalformedError:
            pass


class TestContentType:
    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            (
                "multipart/signed; protocol=application/pkcs7-signature",
                {"protocol": "application/pkcs7-signature"},
            ),
            ('A/B;c="d;e"; F=g', {"c": "d;e", "f": "g"}),
            (r'a/b; c="d\"\\e"', {"c": r'd"\e'}),
            ("a/b ; c=d ", {"c": "d"}),
            ("a/b; c=d;\\ filename=e", {"c": "d"}),  # ERRATA E15
            ("a/b; c=d; e", {"c": "d"}),
            ("a/b; c=d; e=", {"c": "d"}),
            ("a/b; c=d; e=;f=g", {"c": "d"}),
            ('a/b; c="d', {"c": '"d'}),
            ('a/b; c="d" junk; e=f', {"c": "d", "e": "f"}),
            ("a/b;", {}),
            ("a/b;;;c=d", {}),
        ],
    )
    def test_parameters_are_read_as_people_write_them(self, value, expected):
        media_type, parameters = mime.parse_content_type(value)
        assert parameters == expected
        assert media_type == value.partition(";")[0].strip().lower()

    @pytest.mark.parametrize(
        "value", ["", ";", "text", "/plain", "text/", "te xt/plain", "text/plain/x", "a/b c"]
    )
    def test_without_a_media_type_it_is_malformed(self, value):
        with pytest.raises(MalformedError):
            mime.parse_content_type(value)

    def test_a_parameter_does_not_stand_twice(self):
        with pytest.raises(MalformedError):
            mime.parse_content_type("a/b; c=d; C=e")

    def test_there_are_at_most_thirty_two_parameters(self):
        many = [f"p{number}=x" for number in range(33)]
        assert len(mime.parse_content_type(";".join(("a/b", *many[:32])))[1]) == 32
        with pytest.raises(MalformedError):
            mime.parse_content_type(";".join(("a/b", *many)))

    @given(TOKENS, TOKENS, st.dictionaries(TOKENS.map(str.lower), VALUES, max_size=8))
    def test_quoted_values_come_back_whatever_is_in_them(self, main, sub, parameters):
        quoted = {name: value.replace("\\", "\\\\").replace('"', '\\"') for name, value in parameters.items()}
        written = "; ".join((f"{main}/{sub}", *(f'{name}="{value}"' for name, value in quoted.items())))
        assert mime.parse_content_type(written) == (f"{main}/{sub}".lower(), parameters)

    @given(st.text(st.sampled_from('ab/;="\\ \t\r\n,'), max_size=60))
    def test_whatever_it_is_it_is_read_or_malformed(self, value):
        with suppress(MalformedError):
            mime.parse_content_type(value)


class TestTime:
    """A megabyte of anything takes less than a second."""

    @pytest.mark.parametrize(
        "filler",
        [
            ";",
            '"',
            "\\",
            "a=b;",
            " ",
            "\t",
            "=",
            'a="',
            '";',
            '\\"',
            ",",
            "\r\n ",
            "\r\n\t;",
            "a" * 70,
            '""',
            "a=",
        ],
    )
    @pytest.mark.parametrize("start", ["a/b", "a/b;", 'a/b; c="', "a/b; c="])
    def test_a_content_type(self, start, filler):
        value = start + filler * (MEGABYTE // len(filler))
        assert seconds(mime.parse_content_type, value) < 1
        assert seconds(mime.parse_entity, b"Content-Type: " + value.encode() + b"\r\n\r\n") < 1

    def test_a_header_of_folds_at_the_limit(self):
        assert seconds(mime.parse_entity, b"X: y\r\n" + b" z\r\n" * 4000 + b"\r\n") < 1

    @pytest.mark.parametrize(
        "filler",
        [
            b"--b",
            b"\r\n--b",
            b"\n--b ",
            b"--",
            b"\r\n",
            b"\r\n--b\r\n",
            b"\r\n--b--",
            b"-",
            b"\n--b" + b" " * 99,
            b"\n--bx",
        ],
    )
    def test_a_body_of_things_like_boundaries(self, filler):
        entity = mime.parse_entity(signed(filler * (MEGABYTE // len(filler))))
        assert seconds(mime.split_signed, entity) < 1

    def test_a_boundary_line_with_a_megabyte_of_padding(self):
        assert seconds(mime.split_signed, mime.parse_entity(signed(b"--b" + b" " * MEGABYTE))) < 1

    @pytest.mark.parametrize("filler", [b"A", b"=", b" ", b"=\n", b"A=", b"AA\n", b"\xff"])
    def test_base64(self, filler):
        data = filler * (MEGABYTE // len(filler))
        assert seconds(mime.base64_prefix, data, 0) < 1
        assert seconds(mime.decode_base64, data) < 1

    @pytest.mark.parametrize("filler", [b"\r", b"\n", b"\r\n", b"\r\r\n", b"a"])
    def test_line_breaks(self, filler):
        assert seconds(mime.canonical_line_breaks, filler * (MEGABYTE // len(filler))) < 1


class TestSplitting:
    @pytest.mark.requirement("1847-2.1-1")
    def test_the_line_break_before_the_boundary_is_the_boundarys(self):
        found = split(signed(part(b"X: y\r\n\r\nline\r\n"), part(SIGNATURE), b"--b--"))
        assert found.content == b"X: y\r\n\r\nline\r\n"  # RFC 2046 5.1.1, ERRATA E16
        assert found.signature.decoded_body() == b"\0\0\0"

    def test_lf_line_breaks_are_the_boundarys_too(self):
        data = signed(part(b"X: y\n\nline\n"), part(SIGNATURE), b"--b--").replace(b"\r\n", b"\n")
        assert split(data).content == b"X: y\n\nline\n"

    def test_what_is_signed_may_be_empty(self):
        assert split(signed(part(b""), part(SIGNATURE), b"--b--")).content == b""

    def test_the_preamble_is_ignored(self):
        data = signed(part(b"content"), part(SIGNATURE), b"--b--", preamble=b"a preamble --b\r\n--bb\r\n")
        assert split(data).content == b"content"

    def test_white_space_may_follow_a_boundary(self):
        data = signed(b"--b \t\r\ncontent\r\n", b"--b\t\r\n" + SIGNATURE, b"\r\n--b-- \t\r\n")
        assert split(data).content == b"content"

    def test_it_says_where_the_closing_boundary_ends(self):
        data = signed(part(b"content"), part(SIGNATURE), b"--b--", end=b"\r\ntail")
        assert data[split(data).end :] == b"\r\ntail"

    @pytest.mark.parametrize(
        "line", [b"--bb", b"--bx--", b" --b", b"x--b", b"--", b"--B", b"-b", b"--b x", b"--b-"]
    )
    def test_a_line_that_only_looks_like_the_boundary_is_content(self, line):
        content = b"one\r\n" + line + b"\r\ntwo"
        assert split(signed(part(content), part(SIGNATURE), b"--b--")).content == content

    @pytest.mark.requirement("1847-2.1-1")
    @pytest.mark.parametrize(
        "data",
        [
            signed(),
            signed(b"--b"),
            signed(part(b"content")),
            signed(part(b"content"), b"--b--"),
            signed(part(b"content"), part(SIGNATURE)),
            signed(part(b"content"), part(SIGNATURE), part(SIGNATURE), b"--b--"),
            signed(part(b"content"), part(SIGNATURE), part(SIGNATURE)),
            signed(part(b"content"), b"--b--" + SIGNATURE, b"\r\n--b--"),
            signed(b"--b--\r\n", part(b"content"), part(SIGNATURE), b"--b--"),
            signed(b"--b\r\n", part(SIGNATURE), b"--b--"),
            signed(part(b"content"), b"--b\r\n--b--"),
            signed(part(b"content"), part(b"no header"), b"--b--"),
            signed(part(b"content"), part(b"Content-Type: text/plain\r\n\r\n"), b"--b--"),
            signed(part(b"content"), part(SIGNATURE), b"--b--", boundary=b'""'),
            signed(part(b"content"), part(SIGNATURE), b"--b--", boundary=b"b" * 71),
            signed(part(b"content"), part(SIGNATURE), b"--b--", boundary=b"c"),
            signed(part(b"content"), part(SIGNATURE), b"--b--").replace(b"; boundary=b", b""),
            signed(part(b"content"), part(SIGNATURE), b"--b--").replace(b"multipart/signed", b"multipart/mixed"),
        ],
    )  # fmt: skip
    def test_anything_but_two_parts_is_malformed(self, data):
        with pytest.raises(MalformedError):
            split(data)

    @pytest.mark.requirement("3923-3.2-1", "1847-2.1-1", "1847-2.1-2", "3862-9-1")
    @given(st.binary(max_size=300) | JUNK, st.binary(min_size=1, max_size=100))
    @example(b"", b"\0")
    @example(b"\r", b"\0")
    @example(b"--boundary", b"\0")
    @example(b"ends with a line break\r\n", b"\0")
    def test_what_is_put_together_comes_apart_again(self, content, signature):
        assume(b"--a boundary" not in content)
        written = mime.multipart_signed(content, signature, micalg="sha-256", boundary="a boundary")
        entity = mime.parse_entity(written)
        found = mime.split_signed(entity)
        assert found.content == content
        assert found.signature.decoded_body() == signature
        assert entity.parameters["micalg"] == "sha-256"
        assert entity.parameters["protocol"] == "application/pkcs7-signature"
        assert written[found.end :] == b"\r\n"

    def test_a_boundary_that_stands_in_the_content_is_refused(self):
        with pytest.raises(ValueError, match="boundary"):
            mime.multipart_signed(b"x--b", b"", micalg="sha-256", boundary="b")

    @given(st.text(st.sampled_from("ab \r\n"), max_size=60))
    def test_what_xml_does_to_line_breaks_is_undone(self, text):
        canonical = mime.canonical_line_breaks(text.encode())
        through_xml = canonical.replace(b"\r\n", b"\n")
        assert b"\r" not in through_xml
        assert mime.canonical_line_breaks(through_xml) == canonical
        assert mime.canonical_line_breaks(canonical) == canonical


class TestPrintedExample:
    """RFC 3923, example 2, as it is printed; sizes and digests from our own reckoning (TESTVECTORS section 3)."""

    TEXT = """Content-Type: multipart/signed; boundary=next;
              micalg=sha1;
              protocol=application/pkcs7-signature

--next
Content-type: Message/CPIM

From: Juliet Capulet <im:juliet@example.com>
To: Romeo Montague <im:romeo@example.net>
DateTime: 2003-12-09T23:45:36.66Z
Subject: Imploring

Content-type: text/plain; charset=utf-8
Content-ID: <1234567890@example.com>

Wherefore art thou, Romeo?
--next
Content-Type: application/pkcs7-signature
Content-Disposition: attachment;handling=required;\\
                                filename=smime.p7s

[signed body part]

--next--
"""

    def test_the_octets_that_are_signed_are_these(self):
        content = split(mime.canonical_line_breaks(self.TEXT.encode())).content
        assert len(content) == 283
        assert sha1(content).hexdigest() == "5dc4179dfaeb7add1f7bc74691339df86ab24af1"
        assert (
            sha256(content).hexdigest() == "4fa900709f97a1ffb664d851ca49bfa4eb44e158ad1a42f39e8f67ee906ea200"
        )

    def test_its_fields_are_understood(self):
        entity = mime.parse_entity(mime.canonical_line_breaks(self.TEXT.encode()))
        assert entity.parameters == {
            "boundary": "next", "micalg": "sha1", "protocol": "application/pkcs7-signature"
        }  # fmt: skip
        disposition = mime.split_signed(entity).signature.fields["content-disposition"]
        assert disposition == "attachment;handling=required;\\ filename=smime.p7s"


class TestTransferEncoding:
    def decoded(self, encoding: str, body: bytes) -> bytes:
        return mime.parse_entity(
            f"Content-Transfer-Encoding: {encoding}\r\n\r\n".encode() + body
        ).decoded_body()

    @pytest.mark.requirement("3851-3.1.2-1")
    @pytest.mark.parametrize("encoding", ["7bit", "8BIT", "binary "])
    def test_plain_bodies_stay_as_they_are(self, encoding):
        assert self.decoded(encoding, b"a\xff=3D\r\n") == b"a\xff=3D\r\n"

    @pytest.mark.requirement("3851-3.1.2-2")
    def test_without_one_the_body_stays_as_it_is(self):
        assert mime.parse_entity(b"\r\n\xff").decoded_body() == b"\xff"

    @pytest.mark.requirement("3862-7.1-1")
    def test_quoted_printable_is_undone(self):
        assert self.decoded("quoted-printable", b"a=FF=\r\nb=") == b"a\xffb"

    @pytest.mark.requirement("3862-7.1-1")
    def test_base64_is_undone(self):
        assert self.decoded("Base64", b" QUJD\r\nRA = =\r\n") == b"ABCD"

    def test_an_unknown_one_is_refused(self):
        with pytest.raises(MalformedError):
            self.decoded("x-uuencode", b"")


class TestBase64:
    @given(st.binary(max_size=400))
    def test_it_comes_back(self, data):
        encoded = mime.encode_base64(data)
        assert mime.decode_base64(encoded) == data
        assert encoded == b"" if not data else encoded.endswith(b"\r\n")
        assert all(len(line) <= 76 for line in encoded.split(b"\r\n"))

    @given(st.binary(max_size=60), st.data())
    def test_white_space_may_stand_anywhere(self, data, draw):
        encoded = base64.b64encode(data)
        spaces = draw.draw(
            st.lists(st.sampled_from([b"", b" ", b"\r\n", b"\t", b"\n"]), min_size=len(encoded) + 1)
        )
        spread = b"".join(space + encoded[at : at + 1] for at, space in enumerate(spaces))
        assert mime.decode_base64(spread) == data

    @pytest.mark.parametrize(
        "text",
        [
            b"A",
            b"AA",
            b"AAA",
            b"AA=",
            b"AA=A",
            b"=",
            b"====",
            b"AAAA=",
            b"AAAA====",
            b"A*AA",
            b"AAAA.",
            b"\xff",
            b"-_-_",
        ],
    )
    def test_anything_else_is_refused(self, text):
        with pytest.raises(MalformedError):
            mime.decode_base64(text)

    @given(
        st.binary(min_size=1, max_size=60),
        st.sampled_from([b"", b"\x10\x10", b"\r\n\x08", b"-", b"\0", b" ."]),
    )
    def test_a_prefix_ends_with_its_last_character(self, data, rest):
        encoded = mime.encode_base64(data)
        begin = b"before it"
        found, end = mime.base64_prefix(begin + encoded + rest, len(begin))
        assert found == data
        assert end == len(begin) + len(encoded.rstrip())

    def test_an_empty_prefix_is_nothing(self):
        assert mime.base64_prefix(b"  .", 0) == (b"", 0)


class TestWriting:
    @pytest.mark.requirement("3851-3.2.1-1")
    def test_an_object_that_stands_in_xml_is_base64(self):
        written = mime.pkcs7_mime(b"\x30\x00", "enveloped-data", binary=False)
        entity = mime.parse_entity(written)
        assert entity.media_type == "application/pkcs7-mime"
        assert entity.parameters == {"smime-type": "enveloped-data", "name": "smime.p7m"}
        assert (entity.transfer_encoding, entity.decoded_body()) == ("base64", b"\x30\x00")
        assert written.isascii()

    @pytest.mark.requirement("3923-6.4-1", "3923-6.7-2")
    def test_an_object_inside_an_envelope_is_binary(self):
        entity = mime.parse_entity(mime.pkcs7_mime(b"\x30\x00\n\xff", "signed-data", binary=True))
        assert (entity.transfer_encoding, entity.body) == ("binary", b"\x30\x00\n\xff")
        assert entity.fields["content-disposition"].startswith("attachment; handling=required")  # ERRATA E15

    @pytest.mark.requirement("3923-6.7-2", "3851-3.2.1-1")
    def test_a_signature_says_how_it_is_to_be_handled_and_what_its_file_is_called(self):
        written = mime.multipart_signed(b"X: y\r\n\r\nz", b"\x30\x00", micalg="sha-256", boundary="b")
        signature = split(written).signature
        assert signature.fields["content-disposition"] == "attachment; handling=required; filename=smime.p7s"
        assert signature.parameters == {"name": "smime.p7s"}

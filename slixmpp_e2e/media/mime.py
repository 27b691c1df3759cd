"""MIME as far as S/MIME needs it (RFC 2045, RFC 1847, RFC 3851 3), octet for octet.

Python's `email` rewrites what it reads, which breaks signatures; so the octets stay where they are here and
only offsets are found. Reading takes time linear in the input and is bounded in headers and parameters. It
takes LF for CRLF between header lines, but what is signed is taken exactly as it stands.
"""

import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from slixmpp_e2e.errors import MalformedError

#: The media types of CMS objects, of old programs too (RFC 3851 3.1, 3.2).
PKCS7_MIME: Final = frozenset({"application/pkcs7-mime", "application/x-pkcs7-mime"})
#: And those of the second part of a multipart/signed.
PKCS7_SIGNATURE: Final = frozenset({"application/pkcs7-signature", "application/x-pkcs7-signature"})

_MAX_HEADER_OCTETS: Final = 16 * 1024
_MAX_HEADERS: Final = 64
_MAX_PARAMETERS: Final = 32
_MAX_PARTS: Final = 32
_HEADER_NAME: Final = re.compile(rb"[!-9;-~]+")
_FIELD: Final = re.compile(rb"[!-9;-~]+:")
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.0-9A-Z^_`a-z{|}~]+")
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"')
_UNQUOTED: Final = re.compile(
    r"[^;\s]+"
)  # more than a token: protocol=application/pkcs7-signature (ERRATA E13)
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/ \t\r\n]*(?:=[ \t\r\n]*){0,2}")
_DIGEST_NAMES: Final = {name: name for name in ("md5", "sha1", "sha224", "sha256", "sha384", "sha512")}
_WHITE_SPACE: Final = b" \t\r\n"


def canonical_line_breaks(data: bytes) -> bytes:
    """Return `data` with every line break as CRLF: what XML took away (ERRATA E09)."""
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")


# --------------------------------------------------------------------------- reading


def begins_with_field(data: bytes) -> bool:
    """Tell whether octets begin with a header field: an entity does, base64 alone does not (ERRATA E07)."""
    return _FIELD.match(data) is not None


class Entity(NamedTuple):
    """A MIME entity: its fields by lower-case name, and where in `data` its body stands."""

    data: bytes
    #: Media type in lower case; `text/plain` where none is given (RFC 2045 5.2).
    media_type: str
    parameters: Mapping[str, str]
    fields: Mapping[str, str]
    body_start: int

    @property
    def body(self) -> bytes:
        """The body as it stands, still in its transfer encoding."""
        return self.data[self.body_start :]

    @property
    def transfer_encoding(self) -> str:
        """The transfer encoding in lower case; 7bit where none is given (RFC 2045 6.1)."""
        return self.fields.get("content-transfer-encoding", "7bit").strip().lower()

    def decoded_body(self) -> bytes:
        """Return the body without its transfer encoding; raise `MalformedError`."""
        match self.transfer_encoding:
            case "7bit" | "8bit" | "binary":
                return self.body
            case "base64":
                return decode_base64(self.body)
            case "quoted-printable":
                return binascii.a2b_qp(self.body)
            case other:
                raise MalformedError("an unknown transfer encoding").quote(other)


def parse_entity(data: bytes) -> Entity:
    """Read the header of a MIME entity; raise `MalformedError`.

    A field that stands twice is refused: two readers might choose differently.
    """
    fields: dict[str, str] = {}
    at, current = 0, ""
    while True:
        end = data.find(b"\n", at)
        if end < 0 or end > _MAX_HEADER_OCTETS or len(fields) > _MAX_HEADERS:
            raise MalformedError("a MIME header without an end, or too long")
        line = data[at:end].removesuffix(b"\r")
        at = end + 1
        if not line:
            break
        if line[:1] in {b" ", b"\t"} and current:
            fields[current] += " " + _text(line).strip()
            continue
        name, colon, value = line.partition(b":")
        if not colon or not _HEADER_NAME.fullmatch(name):
            raise MalformedError("a line that is no MIME header field")
        current = name.decode("ascii").lower()
        if current in fields:
            raise MalformedError("a MIME header field that stands twice").quote(current)
        fields[current] = _text(value).strip()
    media_type, parameters = parse_content_type(fields.get("content-type", "text/plain"))
    return Entity(data, media_type, parameters, fields, at)


def _text(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        raise MalformedError("a MIME header that is not UTF-8") from None


def parse_content_type(value: str) -> tuple[str, dict[str, str]]:
    """Return media type and parameters of a Content-Type value, in lower case but for the values.

    Values may be unquoted where RFC 2045 wants quotes, as in the examples of RFC 3923 (ERRATA E13); what
    can't be read as a parameter ends the list (ERRATA E15: a stray backslash).
    """
    kind, _, rest = value.partition(";")
    media_type = kind.strip().lower()
    main, slash, sub = media_type.partition("/")
    if not slash or not _TOKEN.fullmatch(main) or not _TOKEN.fullmatch(sub):
        raise MalformedError("a Content-Type without a media type")
    parameters: dict[str, str] = {}
    at = 0
    while name := _TOKEN.match(rest, at + len(rest[at:]) - len(rest[at:].lstrip())):
        if len(parameters) == _MAX_PARAMETERS:
            raise MalformedError("too many parameters")
        at = name.end()
        if rest[at : at + 1] != "=":
            break
        if quoted := _QUOTED.match(rest, at + 1):
            found, at = re.sub(r"\\(.)", r"\1", quoted[1]), quoted.end()
        elif unquoted := _UNQUOTED.match(rest, at + 1):
            found, at = unquoted[0], unquoted.end()
        else:
            break
        if name[0].lower() in parameters:
            raise MalformedError("a parameter twice")
        parameters[name[0].lower()] = found
        at = rest.find(";", at) + 1
        if at == 0:
            break
    return media_type, parameters


@dataclass(frozen=True, slots=True)
class MultipartSigned:
    """The two parts of a multipart/signed (RFC 1847 2.1)."""

    #: The signed entity, exactly as it is signed: without the line break before the boundary (RFC 2046 5.1.1).
    content: bytes
    signature: Entity
    #: Where in the entity's data the closing boundary ends.
    end: int


def split_signed(entity: Entity) -> MultipartSigned:
    """Split a multipart/signed with exactly two parts; raise `MalformedError`.

    The preamble is ignored. What follows the closing boundary is for the caller to judge: `end`.
    """
    if entity.media_type != "multipart/signed":
        raise MalformedError("not multipart/signed")
    boundary = _boundary(entity)
    data = entity.data
    first, content_start = _delimiter(data, boundary, entity.body_start)
    second, signature_start = _delimiter(data, boundary, content_start)
    third, end = _delimiter(data, boundary, signature_start)
    closing = [data.startswith(b"--", at) for at in (first, second, third)]
    if closing != [False, False, True]:
        raise MalformedError("a multipart/signed has exactly two parts")
    content = _before(data, content_start, second - len(boundary) - 2)
    signature = parse_entity(_before(data, signature_start, third - len(boundary) - 2))
    if signature.media_type not in PKCS7_SIGNATURE:
        raise MalformedError("the second part is no signature")
    return MultipartSigned(content, signature, end)


def announced_digests(entity: Entity) -> frozenset[str]:
    """Return the digests that the micalg of a multipart/signed names; nothing if one of them is unknown.

    `sha256` for `sha256`, `SHA-256` and `rsa-sha256` (ERRATA E14).
    """
    tokens = entity.parameters.get("micalg", "").lower().split(",")
    found = {_DIGEST_NAMES.get(token.strip().removeprefix("rsa-").replace("-", "")) for token in tokens}
    return frozenset(name for name in found if name) if None not in found else frozenset()


def split_alternative(entity: Entity) -> tuple[Entity, ...]:
    """Return the parts of a multipart/alternative (RFC 2046 5.1.4), none of them opened; raise `MalformedError`."""
    boundary = _boundary(entity)
    data, parts = entity.data, list[Entity]()
    after, start = _delimiter(data, boundary, entity.body_start)
    while not data.startswith(b"--", after):
        after, next_start = _delimiter(data, boundary, start)
        parts.append(parse_entity(_before(data, start, after - len(boundary) - 2)))
        start = next_start
        if len(parts) > _MAX_PARTS:
            raise MalformedError("too many parts")
    return tuple(parts)


def _boundary(entity: Entity) -> bytes:
    boundary = entity.parameters.get("boundary", "").encode()
    if not 1 <= len(boundary) <= 70:  # RFC 2046 5.1.1
        raise MalformedError("no boundary")
    return boundary


def _delimiter(data: bytes, boundary: bytes, at: int) -> tuple[int, int]:
    """Return where the boundary of the next delimiter line ends, and where that line ends."""
    wanted = b"--" + boundary
    while (found := data.find(wanted, at)) >= 0:
        after = found + len(wanted)
        if found == 0 or data[found - 1] == 0x0A:
            closing = 2 if data.startswith(b"--", after) else 0
            stop = after + closing
            while data[stop : stop + 1] in {b" ", b"\t"}:  # RFC 2046 5.1.1: transport padding
                stop += 1
            if closing:
                return after, after + closing
            if data.startswith(b"\r\n", stop):
                return after, stop + 2
            if data.startswith(b"\n", stop):
                return after, stop + 1
        at = after
    raise MalformedError("a boundary is missing")


def _before(data: bytes, start: int, end: int) -> bytes:
    """Return `data[start:end]` without the line break that belongs to the boundary behind it."""
    if end <= start:
        raise MalformedError("an empty part")
    part = data[start:end]
    return part[:-2] if part.endswith(b"\r\n") else part[:-1]


def decode_base64(data: bytes) -> bytes:
    """Return what base64 with white space stands for; raise `MalformedError` for anything else in it."""
    decoded, end = base64_prefix(data, 0)
    if data[end:].strip(_WHITE_SPACE):
        raise MalformedError("not base64")
    return decoded


def base64_prefix(data: bytes, start: int) -> tuple[bytes, int]:
    """Decode the base64 that stands at `start`, and return where its last character ends."""
    found = _BASE64.match(data, start)
    assert found is not None
    text = found[0].rstrip(_WHITE_SPACE)
    digits = text.translate(None, _WHITE_SPACE)
    if len(digits) % 4:
        raise MalformedError("not base64")
    return binascii.a2b_base64(digits), start + len(text)


# --------------------------------------------------------------------------- writing

_LINE: Final = re.compile(r".{1,76}")


def encode_base64(data: bytes) -> bytes:
    """Return base64 in lines of 76, each ended by CRLF (RFC 2045 6.8)."""
    lines = _LINE.findall(binascii.b2a_base64(data, newline=False).decode())
    return "\r\n".join((*lines, "")).encode()


def multipart_signed(content: bytes, signature: bytes, *, micalg: str, boundary: str) -> bytes:
    """Return a multipart/signed entity around `content` and a DER signature over it (RFC 3851 3.4.3).

    `boundary` must not occur in `content`; the caller draws it at random.
    """
    if b"--" + boundary.encode() in content:
        raise ValueError("the boundary stands in the content")
    return b"".join(
        (
            b'Content-Type: multipart/signed; protocol="application/pkcs7-signature"; micalg=',
            f'{micalg}; boundary="{boundary}"\r\n\r\n--{boundary}\r\n'.encode(),
            content,
            f"\r\n--{boundary}\r\n".encode(),
            b"Content-Type: application/pkcs7-signature; name=smime.p7s\r\n",
            b"Content-Transfer-Encoding: base64\r\n",
            b"Content-Disposition: attachment; handling=required; filename=smime.p7s\r\n\r\n",
            encode_base64(signature),
            f"--{boundary}--\r\n".encode(),
        )
    )


def pkcs7_mime(der: bytes, smime_type: str, *, binary: bool) -> bytes:
    """Return an application/pkcs7-mime entity: base64 where it stands in XML, binary inside an envelope.

    Inside an envelope nobody saves it as a file, so the file name of RFC 3851 3.2.1 is left out there.
    """
    if not binary:
        return pkcs7_text(der, smime_type).replace("\n", "\r\n").encode()
    return (
        f"Content-Type: application/pkcs7-mime; smime-type={smime_type}\r\n"
        "Content-Transfer-Encoding: binary\r\n"
        "Content-Disposition: attachment; handling=required\r\n\r\n"
    ).encode() + der


def pkcs7_text(der: bytes, smime_type: str) -> str:
    """Return an application/pkcs7-mime entity in base64, with the line ends that XML makes of CRLF (ERRATA E09)."""
    file = "smime.p7c" if smime_type == "certs-only" else "smime.p7m"
    text = binascii.b2a_base64(der, newline=False).decode()
    return "\n".join(
        (
            f"Content-Type: application/pkcs7-mime; smime-type={smime_type}; name={file}",
            "Content-Transfer-Encoding: base64",
            f"Content-Disposition: attachment; handling=required; filename={file}",
            "",
            *_LINE.findall(text),
            "",
        )
    )

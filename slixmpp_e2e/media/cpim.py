"""Message/CPIM (RFC 3862): exact writer, strict reader.

Names are matched exactly as they stand (3.6), with the namespaces that `NS` headers declare (3.4). Escapes
are undone after a line has been taken apart, so that no escape ever makes syntax (ERRATA C05).
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from slixmpp_e2e.errors import MalformedError, RefusedError
from slixmpp_e2e.media.entity_header import is_language

#: RFC 3862 4; ERRATA C01 has the second spelling.
CORE: Final = "urn:ietf:params:cpim-headers:"
_CORE_MISSPELT: Final = "urn:ietf:params-cpim-headers:"

_MAX_HEADERS: Final = 64
_MAX_HEADER_OCTETS: Final = 32 * 1024
_NAME: Final = r"[!#-'*+\-0-9A-Z^_`a-z|~]+"
_HEADER: Final = re.compile(rf"((?:{_NAME}\.)?{_NAME}):((?:;[^\s;]+)*)(?: (.*))?", re.DOTALL)
_URI: Final = re.compile(r"([^<>]*)<([^<>]+)>")
_NAMESPACE: Final = re.compile(r"(?:([^\s<>]+) )?<([^<>\s]+)>")
_ESCAPE: Final = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|(.))|\\$", re.DOTALL)
_CONTROL: Final = re.compile("[\0-\x1f\x7f]")
_SPECIAL_OR_CONTROL: Final = re.compile(r"[\0-\x1f\x7f\\]")
_SPECIAL: Final = {"\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
_SPECIAL_READ: Final = {"b": "\b", "t": "\t", "n": "\n", "r": "\r"}
#: What we understand when a Require header asks (3.5): the core headers.
_UNDERSTOOD: Final = frozenset({"From", "To", "cc", "DateTime", "Subject", "NS", "Require"})


class Header(NamedTuple):
    """A message header; `value` is unescaped."""

    name: str
    value: str
    language: str | None = None
    namespace: str = CORE


class CPIMMessage(NamedTuple):
    """The body of a Message/CPIM entity: message headers and one encapsulated MIME entity."""

    headers: tuple[Header, ...]
    content: bytes

    def all(self, name: str) -> tuple[Header, ...]:
        """Return the core headers of that name."""
        return tuple(each for each in self.headers if each.namespace == CORE and each.name == name)

    def one(self, name: str) -> str | None:
        """Return the value of a core header that may stand once; raise `MalformedError` (ERRATA C10)."""
        found = self.all(name)
        if len(found) > 1:
            raise MalformedError(f"more than one {name} header")
        return found[0].value if found else None


def write(headers: Iterable[Header], content: bytes) -> bytes:
    """Return a Message/CPIM entity (MIME header included) around the MIME entity `content`.

    Raises `ValueError` for a language tag that is none. Only core headers are written.
    """
    lines = []
    for header in headers:
        if header.language is not None and not is_language(header.language):
            raise ValueError("a malformed language tag")
        language = f";lang={header.language}" if header.language else ""
        lines.append(f"{header.name}:{language} {escape(header.value)}")
    body = "\r\n".join((*lines, "", "")).encode() + content
    fields = ["Content-type: Message/CPIM"]
    if not body.isascii():  # RFC 3923 6.4, ERRATA E08
        fields.append("Content-Transfer-Encoding: 8bit")
    return "\r\n".join((*fields, "", "")).encode() + body


def parse(data: bytes) -> CPIMMessage:
    """Read the body of a Message/CPIM entity.

    Raises `MalformedError`, and `RefusedError` where a Require header names what we don't understand
    (RFC 3862 4.7). Nothing about addresses or times is checked.
    """
    lines, content = _header_lines(data)
    default, prefixes = CORE, dict[str, str]()
    headers = []
    for line in lines:
        header = _HEADER.fullmatch(line)
        if header is None:
            raise MalformedError("a line that is no message header")
        prefix, dot, name = header[1].rpartition(".")
        namespace = prefixes.get(prefix) if dot else default
        value = (header[3] or "").rstrip(" ")  # ERRATA C13
        if namespace == CORE and name == "NS":
            declared = _NAMESPACE.fullmatch(value)
            if declared is None:
                raise MalformedError("a malformed NS header")
            uri = CORE if declared[2] == _CORE_MISSPELT else declared[2]
            if declared[1]:
                prefixes[declared[1]] = uri
            else:
                default = uri  # ERRATA C06: from here on a "From" is another From
        elif namespace == CORE and name == "Require":
            _require(value, default, prefixes)
        elif namespace is not None:
            headers.append(Header(name, unescape(value), _language(header[2]), namespace))
    return CPIMMessage(tuple(headers), content)


def _header_lines(data: bytes) -> tuple[Sequence[str], bytes]:
    line_break = b"\r\n" if b"\r\n" in data[:_MAX_HEADER_OCTETS] else b"\n"
    end = data.find(line_break * 2)
    if not 0 < end <= _MAX_HEADER_OCTETS:
        raise MalformedError("message headers without an end, or too long")
    try:
        lines = data[:end].decode("utf-8").split(line_break.decode())
    except UnicodeDecodeError:
        raise MalformedError("message headers that are not UTF-8") from None
    if len(lines) > _MAX_HEADERS:
        raise MalformedError("too many message headers")
    if any(_CONTROL.search(line) for line in lines):  # 2.2, 2.3
        raise MalformedError("control characters in a message header")
    return lines, data[end + 2 * len(line_break) :]


def _require(value: str, default: str, prefixes: dict[str, str]) -> None:
    for feature in value.split(","):
        prefix, dot, name = feature.strip().rpartition(".")
        namespace = prefixes.get(prefix) if dot else default
        if namespace != CORE or name not in _UNDERSTOOD:
            raise RefusedError("a feature is required that is not understood", reason="unsupported")


def _language(parameters: str) -> str | None:
    for parameter in parameters.split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name == "lang" and is_language(value):
            return value
    return None


def uri(value: str) -> str:
    """Return the URI of a From, To or cc value: what stands in its angle brackets (ERRATA C03).

    A value without brackets is taken whole. Raises `MalformedError` where it is not clear.
    """
    if "<" not in value and ">" not in value:
        return value
    found = _URI.fullmatch(value)
    if found is None:
        raise MalformedError("an address with stray angle brackets")
    return found[2]


def escape(value: str) -> str:
    """Return a header value with what RFC 3862 2.3.1 wants escaped, and nothing else."""
    return _SPECIAL_OR_CONTROL.sub(lambda found: _SPECIAL.get(found[0]) or f"\\u{ord(found[0]):04x}", value)


def unescape(value: str) -> str:
    """Undo the escapes of a header value; what makes no sense is taken as RFC 3862 2.3.1 says."""
    if "\\" not in value:
        return value
    text = _ESCAPE.sub(_unescaped, value)
    # \uD83D\uDE00 is one character; half of one is none (ERRATA C05)
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _unescaped(found: re.Match[str]) -> str:
    if found[1]:
        return chr(int(found[1], 16))
    return _SPECIAL_READ.get(found[2], found[2]) if found[2] else ""

"""What happened as lines for people: at most 80 columns, each piece of them with a style, or none.

The styles are named in the words of `rich`; nothing here depends on it.
"""

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from cryptography.x509.oid import NameOID

from slixmpp_e2e.cli.demo.acts import Act, Attack, Exchange, Finale, failures, is_ok
from slixmpp_e2e.cli.demo.certificates import AUTHORITY, AUTHORITY_KEYS, TALKER_KEYS
from slixmpp_e2e.cli.demo.stage import JULIET, MALLORY, ROMEO
from slixmpp_e2e.report import SecurityReport, Trust

WIDTH: Final = 80
_MARGIN: Final = 4
_LABELS: Final = 18
_TEXT: Final = WIDTH - _MARGIN - _LABELS

#: How many lines of a protected stanza are shown: before its base64, and of it.
_LINES_BEFORE: Final = 4
_LINES_OF_BASE64: Final = 2

_BASE64: Final = re.compile(r"\n\n([A-Za-z0-9+/=\n]+)</")

_TITLE: Final = "bold"
_LABEL: Final = "cyan"
_DIM: Final = "dim"
_GOOD: Final = "green"
_BAD: Final = "bold red"
_ATTACK: Final = "magenta"
_NO_STYLE: Final = ""

_UNBREAKABLE: Final = "\N{NO-BREAK SPACE}"
#: White space to textwrap, and in no XML.
_BREAKABLE: Final = "\v"

#: A text and its style; some of them are a line.
Piece = tuple[str, str]
Line = tuple[Piece, ...]

_EMPTY: Final[Line] = ()


def prologue(server: str) -> list[Line]:
    """Say who is there."""
    return [
        (("slixmpp-e2e demo", _TITLE), ("   end-to-end security over XMPP, RFC 3923", _DIM)),
        _EMPTY,
        *_labelled("server", [server]),
        *_labelled("authority", [f"{AUTHORITY} ({AUTHORITY_KEYS})"]),
        *_labelled("two clients", [ROMEO, JULIET, f"{TALKER_KEYS}, each with a certificate of this CA"]),
        *_labelled("a stranger", [f"{MALLORY}, on Romeo's wire, with one as well"]),
        _EMPTY,
    ]


def scene(number: int, act: Exchange | Attack) -> list[Line]:
    """Tell one exchange or attack; `number` stands in its heading."""
    if isinstance(act, Exchange):
        subject, style, told = (
            f"{_localpart(act.sender)} → {_localpart(act.recipient)}",
            _LABEL,
            _exchange(act),
        )
    else:
        subject, style, told = "attack", _ATTACK, _attack(act)
    counted = f"{number:>2}  "
    gap = " " * (WIDTH - len(counted) - len(act.title) - len(subject))
    heading: Line = ((counted, _DIM), (act.title, _TITLE), (gap, _NO_STYLE), (subject, style))
    return [heading, _EMPTY, *told, *_verdict(act), _EMPTY]


def epilogue(acts: Sequence[Act], *, seconds: float) -> list[Line]:
    """Say how it ended; every expectation that was not met is named."""
    lines: list[Line] = [((f"{'':>4}All in all", _TITLE),), _EMPTY]
    octets = 0
    for act in acts:
        if isinstance(act, Finale):
            octets = act.wire_octets
            lines += [
                line for each in act.expectations for line in _mark(each.text, each.instead, met=each.met)
            ]
    lines.append(_EMPTY)
    failed = failures(acts)
    if failed:
        return lines + [line for each in failed for line in _wrapped(f"FAILED: {each}", _BAD)]
    arrived = sum(isinstance(act, Exchange) for act in acts)
    attacks = sum(isinstance(act, Attack) for act in acts)
    text = (
        f"Everything ended as it should: {arrived} stanzas arrived, with proof of who sent them; "
        f"{attacks} attacks were refused. {octets:,} octets on the wire, {seconds:.1f} seconds."
    )
    return lines + _wrapped(text, _GOOD)


# --------------------------------------------------------------------------- exchanges


def _exchange(act: Exchange) -> Iterator[Line]:
    yield from _labelled("the program sent", _flowing(act.sent or "nothing"))
    yield from _labelled("on the wire", _cut(act.wire), _DIM)
    refused = f"nothing; refused: {act.refused}" if act.refused else "nothing"
    yield from _labelled("arrived", _flowing(act.received or refused))
    yield from _labelled("proven", _proven(act.report) if act.report else ["nothing"])


def _proven(report: SecurityReport) -> list[str]:
    """Say what a report says, a line for each thing."""
    lines = []
    if report.signed:
        lines += [f"signed by {report.signer}, {report.signature_algorithm}", *_flowing(_trust(report))]
    if report.encrypted:
        lines.append(f"encrypted, {report.encryption_algorithm}, key under {report.key_management_algorithm}")
    if report.timestamp is not None:
        lines.append(f"sent {report.timestamp:%Y-%m-%d %H:%M:%S.%f} UTC")
    if report.skew is not None and report.timestamp_state == "ok":
        lines.append(f"opened {-report.skew * 1000:.1f} ms later, and never seen before")
    elif report.timestamp_state != "ok":
        lines.append(f"the timestamp is {report.timestamp_state}")
    return lines


def _trust(report: SecurityReport) -> str:
    if report.trust is Trust.PKIX and report.certificate is not None:
        names = report.certificate.issuer.get_attributes_for_oid(NameOID.COMMON_NAME)
        issuer = names[0].value if names else report.certificate.issuer.rfc4514_string()
        return f"trusted: a certificate path to {issuer!s}"
    return f"trust in the certificate: {report.trust}"


# --------------------------------------------------------------------------- attacks


def _attack(act: Attack) -> Iterator[Line]:
    yield from _labelled("what happens", _flowing(act.story))
    yield from _labelled("on the wire", _flowing_all(act.detail) if act.detail else _cut(act.wire), _DIM)
    told = [f"e2e_error: {act.reason}", *_flowing(f"({act.diagnostics})")] if act.reason else []
    got = [line for each in act.delivered for line in _flowing(each)]
    yield from _labelled("the program got", [*(got or ["no stanza"]), *told])
    answers = [line for each in act.answers for line in _flowing(each.decode(errors="replace"))]
    yield from _labelled("went back", answers or ["nothing"])


# --------------------------------------------------------------------------- parts


def _verdict(act: Act) -> Iterator[Line]:
    if is_ok(act):
        yield from _mark("as it should be")
    for each in act.expectations:
        if not each.met:
            yield from _mark(each.text, each.instead, met=False)


def _mark(text: str, instead: str = "", *, met: bool = True) -> Iterator[Line]:
    if met:
        yield ((" " * _MARGIN, _NO_STYLE), ("✓ ", _GOOD), (text, _NO_STYLE))
        return
    for line in _flowing(f"expected that {text}, but: {instead}", WIDTH - _MARGIN - 2):
        yield ((" " * _MARGIN, _NO_STYLE), ("✗ ", _BAD), (line, _BAD))


def _wrapped(text: str, style: str) -> list[Line]:
    return [((" " * _MARGIN, _NO_STYLE), (line, style)) for line in _flowing(text, WIDTH - _MARGIN)]


def _labelled(label: str, lines: Iterable[str], style: str = _NO_STYLE) -> Iterator[Line]:
    for line in lines:
        yield ((" " * _MARGIN, _NO_STYLE), (f"{label:<{_LABELS}}", _LABEL), (line, style))
        label = ""


def _flowing(text: str, width: int = _TEXT) -> list[str]:
    """Break text into lines: between words and between tags, but not before the end of a tag."""
    marked = text.replace("\n", " ").replace(" />", f"{_UNBREAKABLE}/>").replace("><", f">{_BREAKABLE}<")
    lines = textwrap.wrap(marked, width, break_on_hyphens=False, replace_whitespace=False, expand_tabs=False)
    return [line.replace(f"{_UNBREAKABLE}/>", " />").replace(_BREAKABLE, "") for line in lines]


def _flowing_all(texts: Iterable[str]) -> list[str]:
    return [line for text in texts for line in _flowing(text)]


def _cut(octets: bytes | None) -> list[str]:
    """Return the beginning of a protected stanza, of its base64, and how much there is of it."""
    if octets is None:
        return ["nothing"]
    text = octets.decode(errors="replace")
    found = _BASE64.search(text)
    begin, base64 = (text[: found.start()], found.group(1)) if found else (text, "")
    before = _flowing(begin)
    shown = before[:_LINES_BEFORE]
    if len(before) > len(shown):
        shown[-1] = f"{shown[-1][: _TEXT - 2]} …"
    letters = base64.replace("\n", "")
    rows = [letters[start : start + _TEXT] for start in range(0, _TEXT * _LINES_OF_BASE64, _TEXT)]
    return [*shown, *filter(None, rows), f"… {len(octets):,} octets in all"]


def _localpart(jid: str) -> str:
    return jid.partition("@")[0]

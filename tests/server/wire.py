"""The recorded wire as stanzas: what a proxy has seen, read again."""

import re
from itertools import pairwise
from typing import Final
from xml.etree.ElementTree import Element, ParseError, XMLPullParser, tostring

from slixmpp_e2e.cli.loopback import WireRecord
from slixmpp_e2e.namespaces import CLIENT, DELAY, EME, HINTS
from slixmpp_e2e.outer import PAYLOADS

from .proxy import RecordingProxy

#: After SASL the stream begins anew on the same connection.
_STREAM: Final = re.compile(rb"(?:<\?xml[^>]*\?>\s*)?<stream:stream\b")
_STANZAS: Final = frozenset(f"{{{CLIENT}}}{kind}" for kind in ("message", "presence", "iq"))
#: What may stand beside `<e2e/>`: hints of ours, and what servers add.
_BESIDE: Final = {
    f"{{{CLIENT}}}message": frozenset(
        {
            f"{{{EME}}}encryption",
            f"{{{HINTS}}}store",
            f"{{{HINTS}}}no-store",
            f"{{{DELAY}}}delay",
            "{urn:xmpp:sid:0}stanza-id",
            "{urn:xmpp:mam:tmp}archived",  # ejabberd's, from before there were stanza ids
        }
    ),
    f"{{{CLIENT}}}presence": frozenset({f"{{{DELAY}}}delay"}),
    f"{{{CLIENT}}}iq": frozenset(),
}
#: Beside our payload: ejabberd says why it dates a stanza.
_WORDY: Final = frozenset({*PAYLOADS, f"{{{DELAY}}}delay"})


def stanzas(record: WireRecord) -> list[Element]:
    """Return all whole stanzas of a record, in order; what a cut has torn is left out."""
    found = []
    for connection in record.connections:
        starts = [match.start() for match in _STREAM.finditer(connection)]
        for start, end in pairwise([*starts, len(connection)]):
            found += _whole_children(bytes(connection[start:end]))
    return [element for element in found if element.tag in _STANZAS]


def exchanged(proxy: RecordingProxy, peer: str) -> list[Element]:
    """Return the stanzas that a client behind a proxy sent to a bare JID, then those that came from it."""
    sent = [each for each in stanzas(proxy.recorded_from_clients) if _bare(each.get("to")) == peer]
    came = [each for each in stanzas(proxy.recorded_to_clients) if _bare(each.get("from")) == peer]
    return sent + came


def answers(proxy: RecordingProxy, peer: str) -> list[Element]:
    """Return the error stanzas that a client behind a proxy sent to a bare JID."""
    sent = (each for each in stanzas(proxy.recorded_from_clients) if each.get("type") == "error")
    return [each for each in sent if _bare(each.get("to")) == peer]


def check_opaque(proxy: RecordingProxy, peer: str, *words: str) -> int:
    """Assert that all that was exchanged with a bare JID is `<e2e/>`, without any of the words; return how many.

    Words are searched for in these stanzas alone: namespaces may stand in clear in what a client exchanges
    with its own server.
    """
    found = exchanged(proxy, peer)
    assert found, f"nothing was exchanged with {peer}"
    for stanza in found:
        tags = [child.tag for child in stanza]
        assert sum(map(tags.count, PAYLOADS)) == 1, tostring(stanza)
        beside = set(tags) - PAYLOADS
        if stanza.get("type") == "error":
            (error,) = stanza.iterfind(f"{{{CLIENT}}}error")
            assert [child.tag.rpartition("}")[2] for child in error] == ["undefined-condition"]
            beside.discard(error.tag)
        assert beside <= _BESIDE[stanza.tag], tostring(stanza)
        assert not any(child.text for child in stanza if child.tag not in _WORDY), tostring(stanza)
    octets = b"".join(tostring(stanza, "utf-8") for stanza in found)
    for word in words:
        assert word.encode() not in octets, word
    return len(found)


def _whole_children(stream: bytes) -> list[Element]:
    parser = XMLPullParser(["start", "end"])
    try:
        parser.feed(stream)
    except ParseError:
        if (
            b"</stream:stream>" not in stream
        ):  # something may follow the end of a stream, and counts for nothing
            raise
    depth, found = 0, []
    for event, element in parser.read_events():
        depth += 1 if event == "start" else -1
        if event == "end" and depth == 1:
            found.append(element)
    return found


def _bare(jid: str | None) -> str:
    return (jid or "").partition("/")[0]

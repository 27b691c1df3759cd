"""Whatever happens to a protected stanza on its way: it is refused, or it says what it said, and by whom."""

import base64
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from xml.etree.ElementTree import Element, fromstring

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slixmpp_e2e.arriving import Unprotected
from slixmpp_e2e.cms.algorithms import AES128_CBC, AES256_GCM
from slixmpp_e2e.endpoint import Endpoint
from slixmpp_e2e.errors import RemoteError
from slixmpp_e2e.formats import objenc, objenc_signed
from slixmpp_e2e.freshness import from_datetime
from slixmpp_e2e.media import mime
from slixmpp_e2e.outer import kind_of
from slixmpp_e2e.policy import Level, Policy, read_policy
from slixmpp_e2e.report import SecurityReport
from tests.accounts import Clock, account
from tests.elements import same, stanza
from tests.formats.objects import JULIET, ROMEO, enveloped, opaque, signer
from tests.pki import MOMENT, PKI, Entity
from tests.protection.drawn import NOTHING, taught, written, xml_text
from tests.written import BARE_OBJENC, RFC3923, SIGNED_INSIDE, Written

HERE = "from='juliet@example.com/balcony' to='romeo@example.net/orchard'"
#: Long enough that many changes fall into it.
WORDS = "Wherefore art thou,\nRomeo &amp; who else? " * 9
STANZAS = {
    "text": f"<message {HERE} type='chat' id='m1'><subject>O</subject><body>{WORDS}</body></message>",
    "extended": f"<message {HERE} id='m2'><body>]]&gt;\U0001f600{WORDS}</body><x xmlns='urn:x' a='&#13;'/></message>",
    "presence": f"<presence {HERE}><show>away</show><status xml:lang='de'>{WORDS}</status></presence>",
    "iq": f"<iq {HERE} type='set' id='i1'><query xmlns='urn:x'>{WORDS}</query></iq>",
}
WAYS = {
    "signed": (Level.SIGN, AES128_CBC, RFC3923),
    "CBC": (Level.REQUIRED, AES128_CBC, RFC3923),
    "GCM": (Level.REQUIRED, AES256_GCM, RFC3923),
    "objenc-signed": (Level.REQUIRED, AES128_CBC, SIGNED_INSIDE),
    "objenc": (Level.ENCRYPT_UNSIGNED, AES128_CBC, BARE_OBJENC),
}
#: In lines, or in one to the end.
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/=]{2,76}\n)+|^[A-Za-z0-9+/=]+$")


@dataclass
class Captured:
    """A protected stanza that somebody got hold of, and what was in it."""

    original: Element
    outer: str
    report: SecurityReport
    format: Written
    receiver: Callable[[], Endpoint]

    @property
    def text(self) -> str:
        """What stands in `<e2e/>`, or in its `<data/>`."""
        return self.format.encrypted_part(fromstring(self.outer)).text

    def with_text(self, text: str) -> str:
        """Return the stanza with something else there."""
        outer = fromstring(self.outer)
        self.format.encrypted_part(outer).text = text
        return written(outer)

    def in_base64(self) -> re.Match[str]:
        """Return where the last base64 in the text is: the object, or the signature over what stands above it."""
        *_, found = _BASE64.finditer(self.text)
        return found

    def check(
        self, outer: str, *, encrypted: bool | None = None, among: Sequence["Captured"] | None = None
    ) -> bool:
        """Give a stanza to romeo, who has seen none before. Return whether he took it, as what it was.

        Or as what one of several was, and encrypted where somebody else has done it.
        """
        receiver = self.receiver()
        try:
            found = receiver.unprotect(outer)
        except RemoteError:
            assert taught(receiver) == NOTHING
            return False
        assert (
            found.report.authenticated is self.report.signed
        )  # nothing is delivered with less than there was
        assert any(each.is_what_came(found, encrypted) for each in among or [self])
        return True

    def is_what_came(self, found: Unprotected, encrypted: bool | None) -> bool:
        """Tell whether it is this one that came out."""
        wanted = self.report if encrypted is None else replace(self.report, encrypted=encrypted)
        same_report = all(
            getattr(found.report, name) == getattr(wanted, name)
            for name in ("signer", "certificate", "trust", "timestamp", "encrypted", "legacy")
        )
        return same_report and same(said(found.stanza), said(self.original))


def said(element: Element) -> Element:
    """What the object vouches for: all but the type and the resources, which are the outer stanza's."""
    found = Element(
        element.tag, {key: value for key, value in element.items() if key not in {"type", "from", "to"}}
    )
    found.text = element.text
    found.extend(element)
    return found


@pytest.fixture(scope="module")
def captured(pki: PKI) -> dict[tuple[str, str], Captured]:
    clock = Clock()
    found = {}
    for way, (level, cipher, format_) in WAYS.items():
        policy = read_policy(format_.policy())
        for name, xml in STANZAS.items():
            clock.pass_seconds(1)
            by = Endpoint.over(account(pki, pki["juliet"], clock, peers=[pki["romeo"]], cipher=cipher))
            asked = level if level is Level.SIGN else format_.level(kind_of(stanza(xml)))
            outer = by.protect(xml, level=asked, written_as=format_.format)

            def receiver(policy: Policy = policy) -> Endpoint:
                return Endpoint.over(account(pki, pki["romeo"], clock), policy=policy)

            report = receiver().unprotect(outer).report
            found[way, name] = Captured(stanza(xml), outer, report, format_, receiver)
    return found


BY_WAY = pytest.mark.parametrize("way", WAYS)
NAMES = st.sampled_from(sorted(STANZAS))


@st.composite
def changes(draw: st.DrawFn, original: str | bytes) -> str | bytes:
    """The text or the octets with one change: some put in, taken out, replaced, swapped, or repeated.

    Half of the changes are near the beginning, where the headers and what was said stand: most of an object
    is certificates.
    """
    size = len(original)
    start = draw(st.integers(0, size - 1) | st.integers(0, min(size, 900) - 1))
    end = draw(st.integers(start + 1, min(size, start + draw(st.sampled_from([1, 1, 16, 80])))))
    other = draw(st.integers(end, size))
    last = min(size, other + end - start)
    if isinstance(original, bytes):
        new = draw(st.binary(min_size=1, max_size=3) | st.just(original[start:end]))
    else:
        drawn = st.text(
            st.sampled_from("AZaz09+/= \t\n\r-:;,\"'<>&\\]é\u2028\U0001f600"), min_size=1, max_size=3
        )
        new = draw(
            drawn
            | st.sampled_from(["<!---->", "<![CDATA[", "]]>", "&#13;", "<a/>", "--", original[start:end]])
        )
    kind = draw(st.sampled_from(["put", "take", "replace", "swap", "repeat"]))
    return {
        "put": original[:start] + new + original[start:],
        "take": original[:start] + original[end:],
        "replace": original[:start] + new + original[end:],
        "swap": original[:start] + original[other:last] + original[end:other] + original[start:end] + original[last:],
        "repeat": original[:end] + original[start:],
    }[kind]  # fmt: skip


def test_without_a_change_all_are_taken(captured):
    for case in captured.values():
        kind = case.original.tag.rpartition("}")[2]
        assert case.report.authenticated is case.report.signed is case.format.signs(kind)
        assert case.check(case.outer)


@pytest.mark.requirement("3923-2-9", "3863-6-1")
@BY_WAY
@given(name=NAMES, data=st.data())
def test_no_change_of_the_text_changes_what_was_said(captured, way, name, data):
    """Of MIME headers, clear text, and base64."""
    case = captured[way, name]
    case.check(case.with_text(xml_text(data.draw(changes(case.text)))))


@BY_WAY
@given(name=NAMES, data=st.data())
@pytest.mark.requirement("reqs-4-2")
def test_no_change_of_the_stanza_as_it_is_written_changes_what_was_said(captured, way, name, data):
    """Of escapes, tags, attributes, and addresses: what the object can't vouch for is the outer stanza's."""
    case = captured[way, name]
    case.check(data.draw(changes(case.outer)))


@pytest.mark.requirement("3923-2-9")
@BY_WAY
@given(name=NAMES, data=st.data())
def test_no_change_of_the_cms_object_changes_what_was_said(captured, way, name, data):
    """And none of the data of the draft."""
    case = captured[way, name]
    found = case.in_base64()
    der = data.draw(changes(base64.b64decode(found[0])))
    text = base64.encodebytes(der).decode()
    case.check(case.with_text(case.text[: found.start()] + text + case.text[found.end() :]))


@pytest.mark.requirement("3923-2-9")
@pytest.mark.parametrize("how", ["multipart", "opaque", "objenc"])
@given(data=st.data())
def test_no_change_inside_an_envelope_that_anybody_can_make_changes_what_was_said(pki, captured, how, data):
    """A recipient may put what he was sent into a new envelope, as anybody may who reads what is only signed."""
    case = captured["signed", "text"]
    if how == "objenc":
        changed = xml_text(data.draw(changes(case.text)))
        case.check(in_objenc(case, changed, pki["romeo"]), encrypted=True)
        return
    entity = mime.canonical_line_breaks(case.text.encode())
    if how == "opaque":
        content = mime.split_signed(mime.parse_entity(entity)).content
        entity = opaque(content, signer(pki["juliet"], pki.intermediate))
    case.check(case.with_text(enveloped(data.draw(changes(entity)), pki["romeo"])), encrypted=True)


def in_objenc(case: Captured, text: str, romeo: Entity) -> str:
    """Return what is only signed, as anybody may encrypt it to romeo once more."""
    outer = fromstring(case.outer)
    carrier = objenc_signed.wrap_signed(case.original, text)
    outer[:] = [
        objenc.protect(
            carrier,
            objenc.Sealing(romeo.parsed),
            sender=JULIET,
            recipient=ROMEO,
            moment=from_datetime(MOMENT),
        )
    ]
    return written(outer)


def test_what_was_signed_may_be_encrypted_by_anybody_and_is_the_same(pki, captured):
    case = captured["signed", "text"]
    assert case.check(in_objenc(case, case.text, pki["romeo"]), encrypted=True)


@BY_WAY
@given(name=NAMES, data=st.data())
def test_two_stanzas_cut_together_say_what_one_of_them_said(captured, way, name, data):
    case = captured[way, name]
    other = captured[data.draw(st.sampled_from(sorted(captured.keys() - {(way, name)})))].text
    cut, of_other = data.draw(st.integers(0, len(case.text))), data.draw(st.integers(0, len(other)))
    case.check(case.with_text(case.text[:cut] + other[of_other:]), among=tuple(captured.values()))

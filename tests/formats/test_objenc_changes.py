"""Objects of draft-miller-3923bis-02: any stanza comes back, any change is refused, any text is refused calmly."""

from dataclasses import dataclass, replace
from time import thread_time
from xml.etree.ElementTree import Element, ParseError, fromstring, tostring

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slixmpp_e2e.cms.algorithms import AES128_CBC, AES192_CBC, AES256_CBC
from slixmpp_e2e.cms.recipients import DecryptionKeys
from slixmpp_e2e.errors import DECRYPTION_FAILED, RemoteError
from slixmpp_e2e.formats.objenc import Opened, Opener, Sealing, protect, read_content
from slixmpp_e2e.freshness import format_date_time, from_datetime
from slixmpp_e2e.stanza import Outer, stanza_type
from tests.elements import TEXT, TREES, elements, same
from tests.formats.objects import JULIET, ROMEO, outer
from tests.formats.objenc_parts import NAMESPACE, STANZA, Parts, plain
from tests.pki import MOMENT, PKI, Entity
from tests.protection.drawn import normal, over_a_server, stanzas, written

NOW = from_datetime(MOMENT)
CIPHERS = st.sampled_from([AES128_CBC, AES192_CBC, AES256_CBC])
#: Seconds that anything as large as a stanza may take, on a busy machine.
BOUND = 1.0


def require_uniform(error: RemoteError) -> None:
    """Assert that the network hears what it hears of every failure."""
    assert (error.answer, error.concealed) == (DECRYPTION_FAILED, True)


class Keys(DecryptionKeys):
    """Romeo's, who uses his private key once for each encrypted key, as it takes so long."""

    def __init__(self, romeo: Entity) -> None:
        super().__init__([(romeo.key, romeo.parsed)])
        self.found = {}

    def unwrap(self, info, key, fallback):
        name = info.encrypted_key, info.transport, len(fallback)
        if name not in self.found:
            self.found[name] = super().unwrap(info, key, fallback)
        return self.found[name]


@dataclass
class Captured:
    """An object that somebody got hold of."""

    parts: Parts
    xml: str
    opener: Opener

    def open(self, xml: str) -> Opened | None:
        """Open what has become of it; None if it was refused, always with the same words to the network."""
        try:
            return self.opener.open_object(fromstring(xml))
        except RemoteError as error:
            require_uniform(error)
            return None

    def refuse(self, romeo: Entity, **change: bytes) -> str:
        """Say why a change of its octets is refused."""
        with pytest.raises(RemoteError) as caught:
            self.opener.open_object(replace(self.parts, **change).element(romeo))
        require_uniform(caught.value)
        return caught.value.reason


@pytest.fixture(scope="module")
def romeo(pki: PKI) -> Entity:
    return pki["romeo"]


@pytest.fixture(scope="module")
def keys(romeo: Entity) -> Keys:
    return Keys(romeo)


@pytest.fixture(scope="module")
def captured(romeo: Entity, keys: Keys) -> Captured:
    parts = Parts().octets(romeo)
    found = Captured(parts, parts.xml(romeo), Opener(keys, lambda *_: True))
    assert found.open(found.xml).content == STANZA
    return found


@pytest.mark.requirement("bis-3-1", "bis-3-5")
@given(element=stanzas(), cipher=CIPHERS)
def test_any_stanza_comes_back_as_it_was(romeo, keys, element, cipher):
    if len(element.get("id", "")) > 1024:
        return
    sealed = protect(element, Sealing(romeo.parsed, cipher), sender=JULIET, recipient=ROMEO, moment=NOW)
    opened = Opener(keys, lambda *_: True).open_object(fromstring(over_a_server(written(sealed))))
    kind = element.tag.rpartition("}")[2]
    around = Outer(kind, stanza_type(element), "outer-1", JULIET, ROMEO)
    content = read_content(opened, around)
    assert content.timestamp == NOW
    assert same(normal(content.stanza), normal(element))


@given(moment=st.integers(0, 4_000_000_000_000_000_000))
def test_any_moment_comes_back_to_the_microsecond(romeo, keys, moment):
    parts = Parts(plain(timestamp=format_date_time(moment)), encrypted_key=b"", key=bytes(16))
    assert (
        0
        <= moment - Opener(keys, lambda *_: True).open_object(with_cached_key(parts, keys, romeo)).timestamp
        < 1000
    )


def with_cached_key(parts: Parts, keys: Keys, romeo: Entity) -> Element:
    """Return an object whose key was encrypted before: a new one takes a millisecond."""
    if not hasattr(keys, "cached"):
        keys.cached = Parts(key=bytes(16)).octets(romeo).encrypted_key
    return replace(parts, encrypted_key=keys.cached).element(romeo)


FIELDS = ("encrypted_key", "data", "mac")


@pytest.mark.requirement("bis-3-10", "bis-5-5")
@pytest.mark.parametrize("name", FIELDS)
def test_every_object_that_differs_in_one_bit_is_refused(captured, romeo, name):
    octets = getattr(captured.parts, name)
    reasons = set()
    for bit in range(len(octets) * 8):
        flipped = (int.from_bytes(octets) ^ 1 << bit).to_bytes(len(octets))
        reasons.add(captured.refuse(romeo, **{name: flipped}))
    assert reasons == {"decryption-failed"}


@st.composite
def changes(draw: st.DrawFn, original: str | bytes) -> str | bytes:
    """The text or the octets with one change."""
    size = len(original)
    start = draw(st.integers(0, size - 1))
    end = draw(st.integers(start + 1, min(size, start + draw(st.sampled_from([1, 16, 80])))))
    if isinstance(original, bytes):
        new = draw(st.binary(max_size=17) | st.just(original[start:end]))
    else:
        drawn = st.text(st.sampled_from("AZaz09+/= \t\n\r-<>&'\"é\u2028"), max_size=3)
        new = draw(
            drawn | st.sampled_from(["<!---->", "<![CDATA[", "]]>", "&#13;", "<a/>", original[start:end]])
        )
    kept = draw(st.sampled_from([original[start:end], original[:0]]))
    return original[:start] + kept + new + original[end:]


@pytest.mark.requirement("bis-3-10")
@pytest.mark.parametrize("name", FIELDS)
@given(data=st.data())
def test_any_change_of_the_octets_is_refused(captured, romeo, name, data):
    octets = getattr(captured.parts, name)
    found = data.draw(changes(octets).filter(lambda each: each != octets))
    assert captured.refuse(romeo, **{name: found}) in {"malformed", "decryption-failed", "not-for-us"}


@given(data=st.data())
def test_any_change_of_the_text_is_refused_or_changes_nothing(captured, data):
    """Names of algorithms are not covered by the MAC: another spelling of them is read."""
    xml = data.draw(changes(captured.xml))
    try:
        found = captured.open(xml)
    except ParseError:
        return  # no stream survives it
    assert found is None or (found.content, found.timestamp) == (STANZA, NOW)


@given(data=st.data())
def test_two_objects_cut_together_say_what_one_of_them_said(captured, romeo, data):
    other = Parts(plain(STANZA.replace(b"Romeo", b"Tybalt")), key=bytes(16)).octets(romeo)
    names = data.draw(st.sets(st.sampled_from([*FIELDS, "cipher_name"]), min_size=1, max_size=3))
    mixed = replace(captured.parts, **{name: getattr(other, name) for name in names})
    found = captured.open(mixed.xml(romeo))
    if found is not None:
        assert names & set(FIELDS) in (set(), set(FIELDS))  # nothing is mixed but names
        assert (b"Tybalt" in found.content) == bool(names & set(FIELDS))


DOCUMENTS = st.one_of(
    st.binary(min_size=65, max_size=400),
    TEXT.map(lambda text: text.encode().ljust(65)),
    st.binary(max_size=100).map(plain),
    changes(plain()),
    changes(STANZA).map(plain),
    TREES.map(lambda element: plain(tostring(element))),
)


@given(document=DOCUMENTS)
def test_whatever_its_maker_puts_in_it_is_read_or_refused(romeo, keys, document):
    parts = Parts(document, key=bytes(16), encrypted_key=b"")
    opener = Opener(keys, lambda *_: True)
    try:
        found = read_content(opener.open_object(with_cached_key(parts, keys, romeo)), outer()).stanza
    except RemoteError as error:
        require_uniform(error)
    else:
        assert (found.get("from"), found.get("to")) == (JULIET.full, ROMEO.full)


@given(
    tree=elements(),
    attributes=st.dictionaries(st.sampled_from(["cipher-algo", "mac-algo", "mac-hash"]), TEXT),
)
def test_any_element_is_refused(keys, tree, attributes):
    element = Element(f"{{{NAMESPACE}}}e2e")
    for name in ("key", "data"):
        child = Element(f"{{{NAMESPACE}}}{name}", attributes)
        child.text, child.tail = tree.text, tree.tail
        child.extend(tree)
        element.append(child)
    for each in (element, tree):
        with pytest.raises(RemoteError) as caught:
            Opener(keys, lambda *_: True).open_object(each)
        assert caught.value.reason == "malformed"


@pytest.mark.parametrize("unit", ["A", " ", "=", "A ", "\u2028", "<", "<plain>", "\r\n"])
@pytest.mark.parametrize("where", ["text", "mac", "document", "stanza"])
def test_the_time_that_anything_takes_is_bounded(romeo, keys, unit, where):
    text = unit * (390_000 // len(unit.encode()))
    parts = Parts(key=bytes(16), encrypted_key=b"")
    if where == "document":
        parts = replace(parts, document=text.encode())
    elif where == "stanza":
        parts = replace(parts, document=plain(text.encode()))
    element = with_cached_key(parts, keys, romeo)
    if where == "text":
        element[1].text = text
    elif where == "mac":
        element[1].set("mac-hash", text)
    before = thread_time()
    with pytest.raises(RemoteError):
        read_content(Opener(keys, lambda *_: True).open_object(element), outer())
    assert thread_time() - before < BOUND

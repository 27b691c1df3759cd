"""draft-miller-3923bis-02: what is read of what others may write, and how everything else is refused."""

import asyncio
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from xml.etree.ElementTree import Element, fromstring

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from slixmpp_e2e.cms.recipients import DecryptionKeys
from slixmpp_e2e.errors import (
    DECRYPTION_FAILED,
    MalformedError,
    RefusedError,
    RemoteError,
    SignatureError,
    TimestampError,
    UndecryptableError,
)
from slixmpp_e2e.formats.claims import ClaimedKeys, Claims
from slixmpp_e2e.formats.objenc import MAX_KEYS, Opened, Opener, read_content
from slixmpp_e2e.freshness import from_datetime
from slixmpp_e2e.outer import find_payload
from slixmpp_e2e.waiting import NotYet, patiently
from tests.elements import stanza
from tests.formats.objects import JULIET, outer
from tests.formats.objenc_parts import (
    NAMESPACE,
    OAEP_MASK_SHA1,
    OAEP_SHA256,
    PKCS1,
    STANZA,
    Parts,
    base64_of,
    pkcs7,
    plain,
    usual,
)
from tests.pki import MOMENT, PKI, Entity

NOW = from_datetime(MOMENT)
SHA1 = hashes.SHA1()


@dataclass
class Keys(DecryptionKeys):
    """Counts how often a private key is used, and notes what would be gone on with."""

    who: tuple[Entity, ...]
    fallbacks: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__((each.key, each.parsed) for each in self.who)

    def unwrap(self, info, key, fallback):
        self.fallbacks.append(fallback)
        return super().unwrap(info, key, fallback)


@dataclass
class Receiver:
    """Somebody with private keys, to whom nothing has come yet."""

    keys: Keys
    claimed: list[bytes] = field(default_factory=list)

    def claim(self, what: bytes, _object: bytes) -> bool:
        self.claimed.append(what)
        return self.claimed.count(what) == 1

    def open(self, element: Element | str, **options) -> Opened:
        element = fromstring(element) if isinstance(element, str) else element
        return Opener(self.keys, self.claim, **options).open_object(element)

    def refuse(self, element: Element | str, **options) -> RemoteError:
        with pytest.raises(RemoteError) as caught:
            self.open(element, **options)
        assert (caught.value.answer, caught.value.concealed) == (DECRYPTION_FAILED, True)
        return caught.value


@pytest.fixture
def receiver(romeo: Entity) -> Receiver:
    return Receiver(Keys((romeo,)))


class TestWhatIsRead:
    @pytest.mark.requirement("bis-3-10", "bis-3-11", "bis-3-13", "bis-3-14", "bis-7-1", "bis-7-3")
    @pytest.mark.parametrize(
        "parts",
        [
            pytest.param(Parts(), id="the draft to the letter"),
            pytest.param(Parts(make_mac=usual), id="the usual order of arguments"),
            pytest.param(Parts(transport=OAEP_MASK_SHA1), id="SHA-1 in the mask"),
            pytest.param(Parts(transport=("rsaes-oaep-sha-256-mgf1", OAEP_SHA256[1])), id="the name spelt right"),
            pytest.param(
                Parts(transport=("RSAES-OAEP-SHA-1-MGF1", padding.OAEP(padding.MGF1(SHA1), SHA1, None))),
                id="OAEP with SHA-1",
            ),
            pytest.param(
                Parts(
                    transport=(
                        "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p",
                        padding.OAEP(padding.MGF1(SHA1), SHA1, None),
                    )
                ),
                id="XML Encryption",
            ),
            pytest.param(
                Parts(key=bytes(24), cipher_name="aes-192-cbc-pkcs5-with-iv"), id="AES-192, in small letters"
            ),
            pytest.param(Parts(key=bytes(32), cipher_name="AES-256-CBC-PKCS5-WITH-IV"), id="AES-256"),
            pytest.param(Parts(mac_name="HMAC-SHA-256"), id="another name of the MAC"),
            pytest.param(Parts(mac_name="HmacSHA256"), id="and another"),
        ],
    )  # fmt: skip
    def test_what_the_errata_accept(self, receiver, romeo, parts):
        opened = receiver.open(parts.element(romeo))
        assert (opened.content, opened.timestamp, opened.signer) == (STANZA, NOW, None)

    @pytest.mark.requirement("bis-3-7", "bis-3-14")
    @pytest.mark.parametrize(
        ("found", "instead"),
        [
            ("mac-hash=", "mac-data="),
            (r'mac-hash=("[^"]*")', r"mac-hash=\1 mac-data=\1"),
            (r">([A-Za-z0-9+/]{20})", "> \r\n\t\\1 \n "),
            ("<key", '\n <key other="x"'),
            ("</key>", "</key>\n"),
            ("</data>", "</data>\t"),
            ("<e2e ", "<e2e version='1' "),
        ],
    )
    def test_white_space_and_what_the_draft_does_not_know_are_read_over(
        self, receiver, romeo, found, instead
    ):
        xml, count = re.subn(found, instead, Parts().xml(romeo))
        assert count
        assert receiver.open(xml).content == STANZA

    @pytest.mark.parametrize(
        "document",
        [
            plain().replace(b'">', b'">\n  ').replace(b"</", b"\n</"),
            b"<?xml version='1.0' encoding='UTF-8'?>\n" + plain() + b"\n",
            plain().replace(b"<plain xmlns", b"<p:plain xmlns:p").replace(b"</plain", b"</p:plain"),
            plain().replace(b"<plain", b"<plain other='x'"),
            plain().replace(b".000Z", b".000+00:00"),
            plain().replace(b"08:30:15.000Z", b"09:30:15+01:00"),
        ],
    )
    def test_the_envelope_may_be_written_in_other_ways(self, receiver, romeo, document):
        opened = receiver.open(Parts(document).element(romeo))
        assert (opened.content, opened.timestamp) == (STANZA, NOW)

    def test_pkcs1_where_it_is_allowed(self, receiver, romeo):
        element = Parts(transport=PKCS1).element(romeo)
        assert receiver.refuse(element).reason == "malformed"
        assert receiver.keys.fallbacks == []
        opened = receiver.open(element, allow_pkcs1=True)
        assert (opened.content, opened.decrypted.key_management) == (STANZA, "rsa-pkcs1")

    def test_an_iv_behind_the_key_where_somebody_wants_to_see_it(self, receiver, romeo):
        with_iv = Parts(key=bytes(range(16)))
        data = with_iv.octets(romeo).data[16:]
        parts = replace(with_iv, key=with_iv.key + with_iv.iv, data=data)
        assert receiver.refuse(parts.element(romeo)).reason == "decryption-failed"
        receiver.claimed.clear()
        assert receiver.open(parts.element(romeo), iv_in_key=True).content == STANZA
        assert receiver.refuse(Parts().element(romeo), iv_in_key=True).reason == "decryption-failed"

    def test_it_is_known_by_its_data_however_its_key_is_encrypted(self, receiver, romeo):
        first = Parts().octets(romeo)
        opened = receiver.open(first.element(romeo))
        assert opened.digest == hashlib.sha256(first.data).digest()


class TestWhatEverybodySees:
    @pytest.mark.requirement("bis-A-1", "bis-5-5", "bis-5-6")
    @pytest.mark.parametrize(
        ("found", "instead"),
        [
            ("<key.*</key>", ""),
            ("<data.*</data>", ""),
            ("(<key.*</key>)", r"\1\1"),
            ("(<data.*</data>)", r"\1\1"),
            ("(<key.*</key>)(<data.*</data>)", r"\2\1"),
            ("<key ", "x<key "),
            ("</key>", "</key>x"),
            ("</data>", "</data>x"),
            ("</key>", "<x/></key>"),
            ("</data>", "<x/></data>"),
            ("<e2e xmlns=[^>]*>", "<e2e xmlns='urn:x'>"),
            ("<(/?)e2e", r"<\1E2E"),
            ("<key ", "<key xmlns='urn:x' "),
            ("RSAES-OAEP-SHA-256-MFG1", ""),
            ("RSAES-OAEP-SHA-256-MFG1", "RSAES-OAEP-MD5-MFG1"),
            (' cipher-algo="AES[^"]*"', ""),
            ("AES-128-CBC-PKCS5-WITH-IV", "AES-128-CBC-PKCS5"),
            ("AES-128-CBC-PKCS5-WITH-IV", "AES-128-GCM-WITH-IV"),
            (' mac-algo="[^"]*"', ""),
            ("HMACSHA256", "NONE"),
            ("HMACSHA256", "HMACSHA1"),
            (' mac-hash="[^"]*"', ""),
            ('mac-hash="[^"]*"', 'mac-hash=""'),
            ('mac-hash="[^"]*"', f'mac-hash="{base64_of(bytes(31))}"'),
            ('mac-hash="[^"]*"', f'mac-hash="{base64_of(bytes(33))}"'),
            ("mac-hash=", f'mac-data="{base64_of(bytes(32))}" mac-hash='),
            (r"<key ([^>]*)>[^<]*", r"<key \1>"),
            (r"<key ([^>]*)>[^<]*", rf"<key \1>{base64_of(bytes(1025))}"),
            (r"<data ([^>]*)>[^<]*", r"<data \1>"),
            (r"<data ([^>]*)>[^<]*", rf"<data \1>{base64_of(bytes(64))}"),
            (r"<data ([^>]*)>[^<]*", rf"<data \1>{base64_of(bytes(97))}"),
            (r"<data ([^>]*)>[^<]*", rf"<data \1>{'A' * 524_352}"),
            ("</data>", "=</data>"),
            ("</data>", "AAAA</data>"),
            ("</data>", "\N{NO-BREAK SPACE}</data>"),
            ("</data>", "-_</data>"),
            ("=</key>", "</key>"),
        ],
    )
    def test_it_is_malformed_and_no_private_key_is_used(self, receiver, romeo, found, instead):
        xml, count = re.subn(found, instead, Parts().xml(romeo), flags=re.DOTALL)
        assert count
        error = receiver.refuse(xml)
        assert (type(error), error.reason) == (MalformedError, "malformed")
        assert receiver.keys.fallbacks == receiver.claimed == []

    @pytest.mark.requirement("bis-3-7")
    def test_bits_that_stand_for_nothing_are_zero(self, receiver, romeo):
        key = base64_of(Parts().octets(romeo).encrypted_key)
        assert key.endswith("==")  # 256 octets
        more = key[:-3] + chr(ord(key[-3]) + 1) + "=="
        xml = re.sub("(<key [^>]*>)[^<]*", rf"\g<1>{more}", Parts().xml(romeo))
        assert receiver.refuse(xml).reason == "malformed"

    @pytest.mark.requirement("bis-3-10")
    def test_data_that_the_mac_could_not_tell_from_other_data_are_none(self, receiver, romeo):
        """HMAC pads short keys with zeros and hashes long ones: so both have the MAC of the captured object."""
        captured = Parts().octets(romeo)
        digest = hashlib.sha256(captured.data).digest()
        for data in (digest, digest + bytes(16), digest + bytes(32)):
            forged = replace(captured, data=data)
            assert captured.make_mac(data, captured.key) == captured.mac
            assert receiver.refuse(forged.element(romeo)).reason == "malformed"

    def test_an_object_for_keys_of_another_kind_or_size_is_not_for_us(self, pki: PKI, romeo):
        for name in ("p-256", "x25519", "rsa-3072"):
            receiver = Receiver(Keys((pki[name],)))
            error = receiver.refuse(Parts().element(romeo))
            assert (type(error), error.reason) == (UndecryptableError, "not-for-us")
            assert receiver.keys.fallbacks == receiver.claimed == []


def changed(data: bytes, at: int) -> bytes:
    return data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]


class TestWhatDependsOnAKey:
    @pytest.mark.requirement("bis-5-5", "bis-5-6", "bis-5-7", "bis-3-11")
    @pytest.mark.parametrize(
        "change",
        [
            pytest.param(lambda it: {"encrypted_key": changed(it.encrypted_key, 255)}, id="another key"),
            pytest.param(lambda it: {"encrypted_key": bytes(256)}, id="a key of zeros"),
            pytest.param(lambda it: {"encrypted_key": b"\xff" * 256}, id="a number above the modulus"),
            pytest.param(lambda it: {"mac": changed(it.mac, 0)}, id="another MAC"),
            pytest.param(lambda it: {"mac": bytes(32)}, id="a MAC of zeros"),
            pytest.param(lambda it: {"mac": hashlib.sha256(it.data).digest()}, id="a MAC without a key"),
            pytest.param(lambda it: {"data": changed(it.data, 0)}, id="another IV"),
            pytest.param(lambda it: {"data": changed(it.data, 40)}, id="other data"),
            pytest.param(lambda it: {"data": it.data[:-16]}, id="a block is missing"),
            pytest.param(lambda it: {"data": it.data + it.data[-16:]}, id="a block too many"),
            pytest.param(
                lambda it: {"mac": it.make_mac(it.data[16:], it.key)}, id="a MAC that leaves the IV out"
            ),
            pytest.param(
                lambda it: {"cipher_name": "AES-256-CBC-PKCS5-WITH-IV"}, id="a key of another length"
            ),
            pytest.param(lambda it: {"transport": PKCS1}, id="another scheme"),
        ],
    )
    def test_it_is_one_and_the_same_failure(self, receiver, romeo, change):
        captured = Parts().octets(romeo)
        error = receiver.refuse(replace(captured, **change(captured)).element(romeo), allow_pkcs1=True)
        assert (type(error), error.reason) == (UndecryptableError, "decryption-failed")
        assert str(error) == "it is not encrypted to any of our keys, or was changed on the way"
        assert len(receiver.claimed) == 1  # the key, and never data that no MAC speaks for

    @pytest.mark.requirement("bis-3-3")
    @pytest.mark.parametrize("size", [0, 1, 15, 17, 24, 32, 64])
    def test_a_key_that_is_not_as_long_as_the_cipher_says_is_none(self, receiver, romeo, size):
        """Though everything else goes with it."""
        data = bytes(range(112))
        captured = Parts(key=bytes(size), data=data, mac=Parts().make_mac(data, bytes(size)))
        assert receiver.refuse(captured.element(romeo)).reason == "decryption-failed"

    def test_what_cannot_be_unwrapped_goes_on_as_a_random_key_that_was_drawn_before(self, receiver, romeo):
        drawn = iter((b"r" * 16, b"s" * 16))
        parts = Parts(encrypted_key=bytes(256), key=b"s" * 16)
        opened = receiver.open(parts.element(romeo), random=lambda _: next(drawn))
        assert opened.content == STANZA  # nobody can know it, and whoever knew it could have made the object

    def test_a_pkcs1_key_of_another_length_is_a_random_one_too(self, receiver, romeo):
        parts = Parts(key=bytes(24), cipher_name="AES-192-CBC-PKCS5-WITH-IV", transport=PKCS1)
        named = replace(parts.octets(romeo), cipher_name="AES-128-CBC-PKCS5-WITH-IV")
        error = receiver.refuse(named.element(romeo), allow_pkcs1=True)
        assert (type(error), error.reason) == (UndecryptableError, "decryption-failed")

    def test_a_label_is_not_read(self, receiver, romeo):
        labelled = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), b"label")
        parts = Parts(transport=(OAEP_SHA256[0], labelled))
        assert receiver.refuse(parts.element(romeo)).reason == "decryption-failed"

    @pytest.mark.parametrize(
        "padded", [bytes(112), b"\x11" * 112, b"x" * 111 + b"\2", b"x" * 98 + b"\x0f" * 14]
    )
    def test_bad_padding_is_a_failure_as_well(self, receiver, romeo, padded):
        error = receiver.refuse(Parts(padded, padded=True).element(romeo))
        assert (type(error), error.reason) == (UndecryptableError, "decryption-failed")


class TestOurKeys:
    def test_each_of_them_is_tried(self, pki, romeo, juliet):
        receiver = Receiver(Keys((juliet, romeo, pki["rsa-3072"], pki["p-256"])))
        for number, to in enumerate((juliet, romeo)):
            opened = receiver.open(Parts(iv=bytes((number,)) * 16).element(to))
            assert opened.decrypted.certificate.fingerprint == to.parsed.fingerprint
        receiver.keys.fallbacks.clear()
        receiver.refuse(Parts(mac=bytes(32)).element(romeo))
        assert len(receiver.keys.fallbacks) == 4  # two keys, two masks
        assert len(set(receiver.keys.fallbacks)) == 4

    def test_no_more_than_some_are_tried(self, juliet, romeo):
        keys = Keys((juliet,))
        keys._keys = {bytes((number,)): (juliet.key, juliet.parsed) for number in range(3)}
        assert len(list(keys)) == 1  # one certificate is one key

        class Many(Keys):
            def __iter__(self):
                return iter([(juliet.key, juliet.parsed)] * MAX_KEYS + [(romeo.key, romeo.parsed)])

        receiver = Receiver(Many((romeo,)))
        receiver.refuse(Parts().element(romeo))
        assert len(receiver.keys.fallbacks) == 2 * MAX_KEYS

    def test_a_slow_key_is_waited_for(self, romeo):
        class Slow(Keys):
            def unwrap(self, info, key, fallback):
                async def wait():
                    self.found = info.unwrap(key, fallback)

                if not hasattr(self, "found"):
                    raise NotYet(wait)
                return self.found

        keys, claimed = Slow((romeo,)), ClaimedKeys()
        element = Parts().element(romeo)

        def step() -> Opened:
            claims = Claims(claimed)
            with claims:
                return Opener(keys, claims.claim).open_object(element)

        assert asyncio.run(patiently(step)).content == STANZA
        assert len(claimed) == 2


class TestWhatCameBefore:
    def seen(self, receiver: Receiver, element: Element) -> bool:
        with pytest.raises(TimestampError) as caught:
            receiver.open(element)
        return (caught.value.reason, caught.value.concealed) == ("seen", False)

    def test_the_same_object_is_not_opened_again(self, receiver, romeo):
        element = Parts().element(romeo)
        receiver.open(element)
        receiver.keys.fallbacks.clear()
        assert self.seen(receiver, element)
        assert receiver.keys.fallbacks == []

    def test_nor_is_another_one_with_its_key(self, receiver, romeo):
        captured = Parts().octets(romeo)
        receiver.open(captured.element(romeo))
        other = replace(captured, data=None, mac=None, document=plain(timestamp="2026-11-20T08:30:16Z"))
        assert self.seen(receiver, other.element(romeo))

    def test_nor_are_the_same_data_with_their_key_encrypted_once_more(self, receiver, romeo):
        captured = Parts().octets(romeo)
        receiver.open(captured.element(romeo))
        assert self.seen(receiver, replace(captured, encrypted_key=None).element(romeo))

    def test_data_that_no_mac_speaks_for_keep_nobody_out(self, receiver, romeo):
        captured = Parts().octets(romeo)
        receiver.refuse(replace(captured, encrypted_key=None, mac=bytes(32)).element(romeo))
        receiver.refuse(replace(captured, encrypted_key=bytes(256)).element(romeo))
        assert receiver.open(captured.element(romeo)).content == STANZA

    def test_from_an_archive_the_very_same_object_is_read_again_and_no_other(self, romeo):
        claimed, keys = ClaimedKeys(), Keys((romeo,))
        captured = Parts().octets(romeo)
        for _ in range(2):
            opener = Opener(keys, Claims(claimed, archived=True).claim)
            assert opener.open_object(captured.element(romeo)).content == STANZA
        again = replace(captured, encrypted_key=None)
        with pytest.raises(TimestampError):
            Opener(keys, Claims(claimed, archived=True).claim).open_object(again.element(romeo))


class TestTheEnvelopeInside:
    """Whoever makes an object may put anything in it."""

    @pytest.mark.requirement("bis-3-6", "bis-3-7", "bis-5-5")
    @pytest.mark.parametrize(
        "document",
        [
            b"x" * 80,
            b" " * 80,
            plain().replace(NAMESPACE.encode(), b"urn:ietf:params:xml:ns:xmpp-objenc:1"),
            plain().replace(b"plain", b"plane"),
            plain() + plain(),
            plain().replace(b"</", b"<x/></"),
            plain().replace(b"</", b"<!-- x --></"),
            b"<!DOCTYPE plain [<!ENTITY a 'b'>]>" + plain(),
            plain().decode().encode("utf-16"),
            plain().replace(b"</", b"=</"),
            plain().replace(b"</", b"-</"),
            plain(b"x").replace(b"eA==", b"eB=="),
            plain().replace(b"</", b"\0</"),
            plain()[:-1],
        ],
    )
    def test_what_is_no_envelope_is_malformed(self, receiver, romeo, document):
        error = receiver.refuse(Parts(document).element(romeo))
        assert (type(error), error.reason) == (MalformedError, "malformed")

    @pytest.mark.requirement("bis-6-1", "bis-6-2")
    @pytest.mark.parametrize(
        "timestamp", [None, "", "yesterday", "2026-11-20T08:30:15", "2026-13-20T08:30:15Z"]
    )
    def test_without_a_time_it_is_refused(self, receiver, romeo, timestamp):
        error = receiver.refuse(Parts(plain(timestamp=timestamp)).element(romeo))
        assert (type(error), error.reason) == (TimestampError, "missing")


class TestContent:
    def read(self, receiver: Receiver, romeo: Entity, xml: str | bytes, around=None) -> Element:
        data = xml if isinstance(xml, bytes) else xml.encode()
        opened = receiver.open(Parts(plain(data)).element(romeo))
        return read_content(opened, around or outer()).stanza

    @pytest.mark.requirement("bis-3-15", "bis-3-16", "bis-3-17")
    @pytest.mark.parametrize(
        "attributes",
        [
            "xmlns='jabber:client'",
            "xmlns='jabber:server'",
            "",
            "xmlns='jabber:client' from='JULIET@example.com/tomb'",
            "xmlns='jabber:client' to='romeo@example.net'",
        ],
    )
    def test_the_addresses_are_those_that_the_servers_vouch_for(self, receiver, romeo, attributes):
        found = self.read(receiver, romeo, f"<message {attributes} type='chat'><body>x</body></message>")
        assert (found.get("from"), found.get("to")) == (JULIET.full, "romeo@example.net/orchard")
        assert found.tag == "{jabber:client}message"
        assert [(each.tag, each.text) for each in found] == [("{jabber:client}body", "x")]

    @pytest.mark.requirement("bis-3-15", "bis-3-16", "bis-3-17", "bis-5-5")
    @pytest.mark.parametrize(
        ("xml", "error"),
        [
            ("", MalformedError),
            ("x", MalformedError),
            (b"\xff", MalformedError),
            ("<message xmlns='jabber:client'/><message xmlns='jabber:client'/>", MalformedError),
            ("<query xmlns='jabber:client'/>", MalformedError),
            ("<iq xmlns='jabber:iq' type='result' id='1'/>", MalformedError),
            ("<message xmlns='jabber:client' type='chat'>" + "<x>" * 64 + "</x>" * 64 + "</message>", MalformedError),
            ("<!DOCTYPE x><message xmlns='jabber:client' type='chat'/>", MalformedError),
            (f"<message xmlns='jabber:client' type='chat' id='{'x' * 1025}'/>", MalformedError),
            ("<message xmlns='jabber:client'/>", SignatureError),
            ("<message xmlns='jabber:client' type='groupchat'/>", SignatureError),
            ("<iq xmlns='jabber:client' type='set' id='1'/>", SignatureError),
            ("<message xmlns='jabber:client' type='chat' from='iago@example.com'/>", SignatureError),
            ("<message xmlns='jabber:client' type='chat' from='romeo@example.net'/>", SignatureError),
            ("<message xmlns='jabber:client' type='chat' to='benvolio@example.net'/>", SignatureError),
        ],
    )  # fmt: skip
    def test_what_is_not_the_stanza_that_was_announced_is_refused(self, receiver, romeo, xml, error):
        with pytest.raises(error) as caught:
            self.read(receiver, romeo, xml)
        assert (caught.value.answer, caught.value.concealed) == (DECRYPTION_FAILED, True)

    @pytest.mark.requirement("bis-4-1")
    def test_undirected_presence_is_refused(self, receiver, romeo):
        with pytest.raises(RefusedError) as caught:
            self.read(receiver, romeo, "<presence xmlns='jabber:client'/>", outer("presence", "available"))
        assert caught.value.concealed

    @pytest.mark.requirement("bis-3-18")
    def test_equal_ids_are_read(self, receiver, romeo):
        found = self.read(receiver, romeo, "<message type='chat' id='outer-1'><body>x</body></message>")
        assert found.get("id") == "outer-1"


class TestPayload:
    ONE = f"<e2e xmlns='{NAMESPACE}'/>"
    S_MIME = "<e2e xmlns='urn:ietf:params:xml:ns:xmpp-e2e'/>"

    def test_it_is_the_one_element(self):
        element = stanza(f"<message><body>x</body>{self.ONE}</message>")
        assert find_payload(element) is element[1]

    def test_of_rfc_3923_it_is_the_text(self):
        assert find_payload(stanza(f"<message>{self.S_MIME}</message>")) == ""

    @pytest.mark.parametrize(
        ("inside", "error"),
        [
            ("", RefusedError),
            (ONE + ONE, MalformedError),
            (ONE + S_MIME, MalformedError),
        ],
    )
    def test_it_is_the_only_one(self, inside, error):
        with pytest.raises(error):
            find_payload(stanza(f"<message>{inside}</message>"))


def test_parts_are_made_as_the_draft_says(romeo: Entity):
    """So that what is refused above is refused for what was changed."""
    parts = Parts().octets(romeo)
    unwrapped: Callable = romeo.key.decrypt
    assert unwrapped(parts.encrypted_key, OAEP_SHA256[1]) == parts.key
    assert len(parts.data) == 16 + len(pkcs7(plain()))

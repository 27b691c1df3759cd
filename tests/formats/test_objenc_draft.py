"""What draft-miller-3923bis-02 prints, and objects of which every octet is known, but for the encrypted key."""

import base64
import hashlib
import re
from dataclasses import replace
from xml.etree.ElementTree import fromstring

import pytest
from slixmpp.jid import JID

from slixmpp_e2e.cms.recipients import DecryptionKeys
from slixmpp_e2e.errors import MalformedError, RemoteError, UndecryptableError
from slixmpp_e2e.formats.objenc import Opener, read_content
from slixmpp_e2e.formats.objenc_envelope import make_mac, read_envelope
from slixmpp_e2e.freshness import parse_date_time
from tests.formats.objects import outer
from tests.formats.objenc_parts import NAMESPACE, Parts, literal, usual
from tests.pki import Entity

#: Section 3.1 and 3.2: <plain/>, with the digest of what is in it.
PLAIN = {
    "7e0d306fb90a5e8cd1292480a9e3993ffefeddb862dcfe9fd1ee5a7412d7cda2": """\
<plain  xmlns="urn:ietf:params:xml:ns:xmpp-objenc:0"
        timestamp="2010-06-29T02:15:21.012Z">
  PG1lc3NhZ2UgeG1sbnM9ImphYmJlcjpjbGllbnQiIGZyb209Imp1bGlldEBjYXB
  1bGV0Lm5ldC9iYWxjb255IiB0bz0icm9tZW9AbW9udGVndWUubmV0IiB0eXBlPS
  JjaGF0Ij48dGhyZWFkPmM2MzczODI0LWEzMDctNDBkZC04ZmUwLWJhZDZlNzI5O
  WFkMDwvdGhyZWFkPjxib2R5PldoZXJlZm9yZSBhcnQgdGhvdSwgUm9tZW8/PC9i
  b2R5PjwvbWVzc2FnZT4=
</plain>""",
    "64802c1331c11c739317b1031ea9690a53ad5bcaa2df8801fc4365cd9a029bcb": """\
<plain  xmlns="urn:ietf:params:xml:ns:xmpp-objenc:0"
        timestamp="2010-06-29T02:15:21.012Z">
  PGlxIHhtbG5zPSJqYWJiZXI6aXEiIGZyb209Imp1bGlldEBjYXB1bGV0Lm5ldC9
  jcnlwdCIgaWQ9ImE1NDNiYzNlZSIgdG89InJvbWVvQG1vbnRlZ3VlLm5ldC9jcn
  lwdCIgdHlwZT0icmVzdWx0Ij48bW9vZCB4bWxucz0iaHR0cDovL2phYmJlci5vc
  mcvcHJvdG9jb2wvbW9vZCI+PGRlamVjdGVkIC8+PHRleHQ+Um9tZW8sIHdoYXQn
  cyBoZXJlPyBQb2lzb24/IERydW5rIGFsbCwgYW5kIGxlZnQgbm8gZnJlbmRseSB
  kcm9wIHRvIGhlbHAgbWUgYWZ0ZXI/PC90ZXh0PjwvbW9vZD48L2lxPg==
</plain>""",
}
#: Section 3.1: the first object.
FIRST = """\
<e2e   xmlns="urn:ietf:params:xml:ns:xmpp-objenc:0">
  <key    cipher-algo="RSAES-OAEP-SHA-256-MFG1">
    OPfr4zudqiEeLcOQazZJIB6B9gx3zrVbyHKTU8a/aDb0wiZevztxxCi8hto0+Qw
    Foyhcupj547WbFZJNlB2dsAPhlJzeH9SuGLJShjhbkOyKjmqZLLCZr3OQtJjcTU
    sAVj7IZZsOOPDmwsb4Dxv5sz+icsDpi5l+5APfthDaoHbcrvz2pA1CJ5IFQoob4
    a0i0WevcAFyB+vWXsRqQCxjn5sHdb6G4vjQ/m1lzTWahzKvi56pNUm7ll18oI8L
    mPi1VWUEqH3aayGLVlJ9fhBDSSpW4jTQ/ts1nzPJwVlKdTqdgNBusFEhrRMhJD5
    1JdLOhxx+Ov2Xbs22++XQ1tS8/A==
  </key>
  <data   cipher-algo="AES-256-CBC-PKCS5-WITH-IV"
          mac-algo="HMACSHA256"
          mac-data="HSGmwUFd4sESB+O12S32xsXVvMnO4gjRPaQITIrjWbs=">
    a8zpjgRcO1VHZ9CoqU19/jB7nn58Gzu5/sQm8YQe4F9zz+YKUfqTS9LaHcqdAwa
    z8BG1a24Z72VYb5Ptjh7nQ19f5QQdA/P4lZ3oqeTJTsA4DkhvJaSUhrjYib/NOk
    3lkMoatR/OSbfvhPdqXQ/dutLuRFjkilXGVwNWkgLm3iSnKUiYSdUzWvj88RgR3
    ldVHFeyrdgufU9qu/FyO6MZXjfEtD80O+3ZBbESqllzmYFXnfkzBrhfi14iCba6
    /b5Io5zhFUyWaq5e6qq2z72a+1bjeWkG8F9XBiMkyaxkB64wAS0o6aDpWdir5Oi
    +Rnms4LV/wxL4Is/oe8Fo9xR3UmrdlAiaehdGBh+EnJGqprKa9eccOKqSu7/lJQ
    ObAdJGEOeAVs8JEkQkxw+qR8edkEDuv6ZXN7JCWQx9LNaiiwsfAzApJJbqfrtDx
    koQ3JaBbxQ+8FE3TM0E4Tbr9V8NDZC8abgBramlpUBfgknJvLYMTzx1lnsiCUxo
    6ezC0xqV
  </data>
</e2e>"""
#: Section 3.2: the second one, whose data have lost a character.
SECOND = """\
<e2e xmlns="urn:ietf:params:xml:ns:xmpp-objenc:0">
  <key    cipher-algo="RSAES-OAEP-SHA-256-MFG1">
    hOU+BRkEcCY0+eKTX9hzCbP30Ij0q5zZ9buFgkOWu4LsVkI92OiH65SvYL/XCB6
    12sb9fhjkiAIeR0AySGiid+AeS7KZDzpcZ+ORg8j9CkEX/LeTYszBfZFiHzDFkh
    qtwu3s7QMAR0Bzxj9NVE7W8fSdleusvyOOP5c0scrpRkXDMVO2Z3/rTjC0xInx3
    XQUP+RlqFE7g1HCr01BjoPjI4p3N+fONVv0U9mwtt1I5tJ4EXgTofUM0GMNGX1i
    NoNNjPDb9XsihpLvDIjMblXVHvYAIyPwCs2ZdDv7L5kmZ6U+35b7Qx8TdWUN2I4
    5fBbxczvkFN6+cx2h5uapOTxBkw==
  </key>
  <data   cipher-algo="AES-256-CBC-PKCS5-WITH-IV"
          mac-algo="HMACSHA256"
          mac-data="iKuTGRZNHe3PbZNdfxkFzwClXLMQlhx0Y8BuYawbaho=">
    ksCAkoJeoymtf3ygzBJkrJYQV+g04CkAs5oSmej60GU89mRN3rKSX5FVfWo558W
    Bcn8mVUxFxWhSdNBrsW5GQS1EyygDT+yfJe6OqzLTCqZn4iqaCyIPWM7XB/PolA
    fvELw7y3hf8JrEAM4JXIfxrcOYDqewr7zmamwuuos4B6qzgiNN9ZW2AfTyKL3+l
    twcmFvF/nWF1YN8CquGmBm83WFn7Ik9R+Nqq54+QNCABjSFPT25ZYquEhxk/RIS
    CDAIXFOaFBozGjC20M3UDqnuwLsUF+P4ucjybysxhHQlqLOffX0Vhb1YesWaZac
    pvsj8Ovfpv+ESrWGptXr+8GMK1og69GHRrd2k2TonPFp1KwS5MkbEpP2tS7R+nT
    b9oGFojr6waNKhhhVmP/9FWRMi7C2KfLCHggAatLWDjBG8k7yd5DWdSqY7LwkwB
    hT6+iErRfhdvk1EVxn2TVqjfhsFh33XDqkRT4BhPJUjJPkwLZkQ03PVgHKluMsE
    JoUBS0OxD7gE5q808hy3qA+r5PDowy6nQ9zbUaCu4JbvKV2moql7fgHUy8MZLIe
    DFVJ5A5z8Te6K4pFaQGAzxEOouS2A+BmvPAFczFeL+QGy58RSNMiXJ9ZMpb+N2C
    1iDzPD8OL
  </data>
</e2e>"""

#: The first envelope in one line under a known key and IV: SHA-256 of it, and by cipher SHA-256 of T and both MACs.
DOCUMENT = "c6358119af2cd94ebfa0fd4898de2283133c087bbd114b2e4b2834e5a59925ae"
KNOWN = {
    "AES-256-CBC-PKCS5-WITH-IV": (
        32,
        "60b769f25916c103c500c83ad3aca202cbad21710a133b0dc6a6ccdc3e87a518",
        "MfqDb88OAJi/YYNyqrzSXgoS1i5aIP2fgAyPb349CsQ=",
        "Ro5Oy6j+ip4+e8mw8DblYDr/1hLnEi2x1XhUcwaXbWE=",
    ),
    "AES-128-CBC-PKCS5-WITH-IV": (
        16,
        "b76f05e21cd4c074f7872968fb108af53b4a489e1f16bbe0c3cb9b1ecacbce36",
        "8xQL25JmBvqSyQyGI+Q3mEI9Nk+4gr1yyD6GpS2ZYwM=",
        "Zht59zltJBerwz9ulgxByrKoNlq6XVAkY8ehDFu8zzs=",
    ),
}
JULIET, ROMEO = JID("juliet@capulet.net/balcony"), JID("romeo@montegue.net")
BY_CIPHER = pytest.mark.parametrize("cipher", KNOWN)


def in_one_line(xml: str) -> bytes:
    """Return the first envelope as the writer of the known objects has it."""
    text = "".join(fromstring(xml).text.split())
    return f'<plain xmlns="{NAMESPACE}" timestamp="2010-06-29T02:15:21.012Z">{text}</plain>'.encode()


def known(cipher: str, romeo: Entity) -> Parts:
    """Return the parts of a known object, by primitives alone."""
    key = bytes(range(KNOWN[cipher][0]))
    document = in_one_line(next(iter(PLAIN.values())))
    return Parts(document, key, bytes(range(0xA0, 0xB0)), cipher_name=cipher).octets(romeo)


@pytest.fixture
def opener(romeo: Entity) -> Opener:
    return Opener(DecryptionKeys([(romeo.key, romeo.parsed)]), lambda *_: True)


@pytest.mark.requirement("bis-3-6", "bis-3-7", "bis-6-1")
@pytest.mark.parametrize("digest", PLAIN)
@pytest.mark.parametrize("write", [str.encode, in_one_line], ids=["as printed", "in one line"])
def test_the_envelopes_of_the_draft_are_read(opener, romeo, digest, write):
    opened = opener.open_object(Parts(write(PLAIN[digest])).element(romeo))
    assert hashlib.sha256(opened.content).hexdigest() == digest
    assert opened.timestamp == parse_date_time("2010-06-29T02:15:21.012Z")


def test_the_first_stanza_is_delivered_under_its_addresses_and_the_second_is_of_no_known_kind(opener, romeo):
    first, second = (opener.open_object(Parts(each.encode()).element(romeo)) for each in PLAIN.values())
    around = outer(sender=JULIET, recipient=ROMEO)
    content = read_content(first, around)
    assert content.stanza.findtext("{jabber:client}body") == "Wherefore art thou, Romeo?"
    with pytest.raises(MalformedError, match="no stanza"):  # jabber:iq
        read_content(second, around)


@pytest.mark.requirement("bis-3-8", "bis-3-9", "bis-3-10", "bis-7-2", "bis-7-3")
@BY_CIPHER
def test_a_known_object_has_the_octets_that_others_have_computed(cipher, romeo):
    _, data, mac, swapped = KNOWN[cipher]
    parts = known(cipher, romeo)
    assert hashlib.sha256(parts.document).hexdigest() == DOCUMENT
    assert hashlib.sha256(parts.data).hexdigest() == data
    assert base64.b64encode(make_mac(parts.data, parts.key)).decode() == mac
    envelope = read_envelope(parts.element(romeo))
    assert envelope.is_authentic(parts.key)
    assert replace(envelope, mac=base64.b64decode(swapped)).is_authentic(parts.key)
    for key, made in ((parts.key[::-1], parts.mac), (parts.key, bytes(32)), (parts.key, parts.mac[::-1])):
        assert not replace(envelope, mac=made).is_authentic(key)


@BY_CIPHER
@pytest.mark.parametrize("make_mac", [literal, usual])
def test_a_known_object_is_read_with_either_mac(opener, romeo, cipher, make_mac):
    parts = replace(known(cipher, romeo), mac=None, make_mac=make_mac)
    opened = opener.open_object(parts.element(romeo))
    assert hashlib.sha256(opened.content).hexdigest() == next(iter(PLAIN))


@pytest.mark.requirement("bis-3-13", "bis-3-14")
def test_the_first_object_is_well_formed_and_for_somebody_else(opener):
    """Its printed attributes, indented base64 and mac-data; 384 octets leave no room for an IV (ERRATA B05)."""
    envelope = read_envelope(fromstring(FIRST))
    assert (len(envelope.encrypted_key), len(envelope.data), len(envelope.mac)) == (256, 384, 32)
    assert envelope.cipher.name == "aes256-cbc"
    with pytest.raises(UndecryptableError) as caught:
        opener.open_object(fromstring(FIRST))
    assert caught.value.reason == "decryption-failed"


def test_the_second_object_is_no_base64(opener):
    text = "".join(fromstring(SECOND)[1].text.split())
    assert len(text) == 639
    with pytest.raises(RemoteError) as caught:
        opener.open_object(fromstring(SECOND))
    assert (caught.value.reason, str(caught.value)) == ("malformed", "not base64")
    mended = re.sub(r"1iDzPD8OL", "1iDzPD8OLA", SECOND)
    assert len(read_envelope(fromstring(mended)).data) == 480

"""The elements of XEP-0189 0.9: what is written, what is read, and how much of it."""

from base64 import b64encode
from xml.etree.ElementTree import Element, SubElement, fromstring, tostring

import pytest

from slixmpp_e2e.namespaces import PUBKEY
from slixmpp_e2e.plugin.pubkeys import (
    LARGEST,
    bounded,
    item_id,
    own_certificates,
    read_keyinfo,
    write_keyinfo,
)
from tests.accounts import Clock, account
from tests.pki import PKI, Entity

#: XEP-0189 0.9, 2.1. Its fingerprint stands in 2.3, as that of the issuer.
EXAMPLE = """\
<keyinfo xmlns='urn:xmpp:pubkey:0'>
  <x509cert>
    MIICCTCCAXKgAwIBAgIJALhU0Id6xxwQMA0GCSqGSIb3DQEBBQUAMA4xDDAKBgNV
    BAMTA2ZvbzAeFw0wNzEyMjgyMDA1MTRaFw0wODEyMjcyMDA1MTRaMA4xDDAKBgNV
    BAMTA2ZvbzCBnzANBgkqhkiG9w0BAQEFAAOBjQAwgYkCgYEA0DPcfeJzKWLGE22p
    RMINLKr+CxqozF14DqkXkLUwGzTqYRi49yK6aebZ9ssFspTTjqa2uNpw1U32748t
    qU6bpACWHbcC+eZ/hm5KymXBhL3Vjfb/dW0xrtxjI9JRFgrgWAyxndlNZUpN2s3D
    hKDfVgpPSx/Zp8d/ubbARxqZZZkCAwEAAaNvMG0wHQYDVR0OBBYEFJWwFqmSRGcx
    YXmQfdF+XBWkeML4MD4GA1UdIwQ3MDWAFJWwFqmSRGcxYXmQfdF+XBWkeML4oRKk
    EDAOMQwwCgYDVQQDEwNmb2+CCQC4VNCHesccEDAMBgNVHRMEBTADAQH/MA0GCSqG
    SIb3DQEBBQUAA4GBAIhlUeGZ0d0msNVxYWAXg2lRsJt9INHJQTCJMmoUeTtaRjyp
    ffJtuopguNNBDn+MjrEp2/+zLNMahDYLXaTVmBf6zvY0hzB9Ih0kNTh23Fb5j+yK
    QChPXQUo0EGCaODWhfhKRNdseUozfNWOz9iTgMGw8eYNLllQRL//iAOfOr/8
  </x509cert>
</keyinfo>
"""
FINGERPRINT = "428b1358a286430f628da23fb33ddaf6e474f5c5"


def keyinfo(*texts: str) -> Element:
    """Return an element with these texts as certificates."""
    made = Element(f"{{{PUBKEY}}}keyinfo")
    for text in texts:
        SubElement(made, f"{{{PUBKEY}}}x509cert").text = text
    return made


def test_the_example_is_read_and_has_the_fingerprint_that_the_text_gives_it():
    found = read_keyinfo(fromstring(EXAMPLE))
    assert found is not None
    assert item_id(found) == FINGERPRINT


def test_what_is_written_is_read_again(juliet: Entity):
    der = juliet.parsed.der
    assert read_keyinfo(fromstring(tostring(write_keyinfo(der)))) == der


@pytest.mark.parametrize(
    "texts",
    [
        [],
        [""],
        ["  \n"],
        ["AAAA", "AAAA"],
        ["AAA"],
        ["A==="],
        ["AAAA=AAA"],
        ["=AAA"],
        ["AA\u00e9A"],
        ["AA_-"],
    ],
)
def test_anything_else_is_none(texts):
    assert read_keyinfo(keyinfo(*texts)) is None


def test_a_certificate_deeper_down_is_none():
    within = keyinfo("AAAA")
    SubElement(within[0], "more")
    assert read_keyinfo(within) is None


def test_what_is_too_large_is_not_decoded():
    assert read_keyinfo(keyinfo(b64encode(bytes(LARGEST)).decode())) == bytes(LARGEST)
    assert read_keyinfo(keyinfo("A" * (2 * LARGEST + 4))) is None


class TestBounds:
    def test_sixteen_are_looked_at(self):
        certificates = [bytes([number]) for number in range(20)]
        assert bounded(certificates) == certificates[:16]

    def test_the_same_one_counts_once(self):
        assert bounded([b"a"] * 20 + [b"b"]) == [b"a", b"b"]

    def test_one_that_is_too_large_does_not_keep_others_out(self):
        assert bounded([bytes(LARGEST + 1), b"a"]) == [b"a"]

    def test_together_they_are_bounded_too(self):
        large = [bytes([number]) * LARGEST for number in range(5)]
        assert bounded([*large, b"a"]) == large[:4]

    def test_no_more_is_taken_than_is_needed(self):
        def endless():
            number = 0
            while True:
                yield str(number).encode()
                number += 1

        assert len(bounded(endless())) == 16


def test_ours_are_all_that_others_need_but_the_root(pki: PKI, juliet: Entity):
    found = own_certificates(account(pki, juliet, Clock()).identity)
    assert [each.der for each in found] == [juliet.parsed.der, pki.intermediate.parsed.der]

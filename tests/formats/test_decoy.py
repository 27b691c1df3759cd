"""Work in vain: what was left out is done, and nothing else; how long it takes is measured by `make oracle`."""

import hashlib

import pytest

from slixmpp_e2e.cms.signatures import SignatureScheme
from slixmpp_e2e.cms.signed_data import Signer, parse_signed_data
from slixmpp_e2e.errors import SignatureError
from slixmpp_e2e.formats import decoy as module
from slixmpp_e2e.formats.decoy import Decoy
from slixmpp_e2e.media import mime
from tests.pki import MOMENT


@pytest.fixture
def decoy(juliet) -> Decoy:
    return Decoy(Signer(juliet.key, juliet.parsed), MOMENT)


@pytest.mark.parametrize(
    ("missed", "done"),
    [
        ("header", ["header", "whole", "verification", "digest", "signature"]),
        ("half", ["header", "half", "verification", "digest", "signature"]),
        ("object", ["line", "whole", "verification", "digest", "signature"]),
        ("digest", ["digest", "signature"]),
        ("signature", ["signature"]),
    ],
)
def test_what_was_left_out_is_done(decoy, monkeypatch, missed, done):
    calls: list[str] = []
    parse_entity, verify, verify_signature = mime.parse_entity, Decoy.verify, SignatureScheme.verify
    names, sha256 = {decoy._whole: "whole", decoy._half: "half"}, hashlib.sha256

    def header(data):
        calls.append({module._HEADER: "header", module._LINE: "line"}[data])
        return parse_entity(data)

    def read(data, *, secret):
        assert secret  # as what was decrypted is read
        calls.append(names[data])
        return parse_signed_data(data, secret=secret)

    def verification(self, data):
        calls.append("verification")
        assert data == b"refused"
        verify(self, data)

    def digest(data):
        if data == b"refused":
            calls.append("digest")
        return sha256(data)

    def signature(self, *arguments):
        calls.append("signature")
        verify_signature(self, *arguments)

    monkeypatch.setattr(hashlib, "sha256", digest)
    monkeypatch.setattr(SignatureScheme, "verify", signature)
    monkeypatch.setattr(mime, "parse_entity", header)
    monkeypatch.setattr(module, "parse_signed_data", read)
    monkeypatch.setattr(Decoy, "verify", verification)
    decoy(b"refused", missed)
    assert calls == done


def test_the_verification_fails_as_one_of_a_bad_signature(decoy):
    with pytest.raises(SignatureError, match="the signature is not over this content") as caught:
        decoy.verify(b"refused")
    assert caught.value.reason == "invalid"


def test_the_sample_is_as_small_as_what_peers_send(decoy):
    sample = parse_signed_data(decoy._whole)
    assert (sample.content, sample.certificates) == (None, ())

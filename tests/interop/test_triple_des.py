"""Triple-DES, which S/MIME 3.1 has to write (RFC 3851 2.7), is read where a policy allows it."""

import pytest

from slixmpp_e2e.endpoint import Endpoint
from slixmpp_e2e.errors import DECRYPTION_FAILED, RemoteError
from slixmpp_e2e.gateway import wrap
from tests.accounts import Clock, account
from tests.elements import same, stanza
from tests.interop import documents
from tests.interop.openssl import OpenSSL
from tests.interop.peer import Envelope, Start
from tests.pki import PKI

pytestmark = pytest.mark.peer


@pytest.fixture
def wrapped(start: Start) -> str:
    """An iq of juliet's, signed, and encrypted with Triple-DES by OpenSSL."""
    openssl = start(OpenSSL)
    content = documents.crlf(documents.XMPP.format(documents.STANZAS["iq"]))
    signed = openssl.sign(content, ["juliet"], scheme="rsa-sha256", detached=False)
    inside = documents.pkcs7_mime(signed, "signed-data")
    entity = openssl.encrypt(inside, ["romeo"], Envelope(cipher="des-ede3-cbc"))
    return wrap(
        documents.pkcs7_mime(entity, "enveloped-data"),
        kind="iq",
        type="result",
        id="outer",
        sender="juliet@example.com/balcony",
        recipient="romeo@example.net/orchard",
    )


def test_a_policy_lets_it_through_as_legacy(pki: PKI, clock: Clock, wrapped: str):
    found = Endpoint.over(account(pki, pki["romeo"], clock, allow_3des=True)).unprotect(wrapped)
    assert same(found.stanza, stanza(documents.STANZAS["iq"]))
    report = found.report
    assert (report.encryption_algorithm, report.key_management_algorithm) == ("des-ede3-cbc", "rsa-pkcs1")
    assert (report.legacy, report.authenticated) == (True, True)


def test_without_it_it_is_refused_like_all_that_is_not_read(romeos: Endpoint, wrapped: str):
    with pytest.raises(RemoteError) as caught:
        romeos.unprotect(wrapped)
    assert (caught.value.reason, caught.value.answer) == ("malformed", DECRYPTION_FAILED)

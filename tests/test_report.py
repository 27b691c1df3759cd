"""What a report calls authenticated: all of it, or nothing."""

from dataclasses import FrozenInstanceError, fields, replace
from itertools import product

import pytest
from slixmpp.jid import JID

from slixmpp_e2e.report import SecurityReport, Trust

GOOD = SecurityReport(
    format="rfc3923",
    signed=True,
    encrypted=True,
    signer=JID("juliet@example.com"),
    certificate=None,
    chain=(),
    trust=Trust.PKIX,
    timestamp=None,
    timestamp_state="ok",
    skew=0.0,
    arrival="live",
    signature_algorithm="rsa-sha256",
    encryption_algorithm="aes128-cbc",
    key_management_algorithm="rsa-pkcs1",
    decrypted_with=bytes(32),
    legacy=False,
    checks=("decryption",),
    outer_id="1",
)
TRUSTED = {Trust.VERIFIED, Trust.PKIX, Trust.PINNED, Trust.TOFU}


@pytest.mark.parametrize(
    ("signed", "signer", "trust", "state"),
    list(
        product(
            (True, False),
            (JID("juliet@example.com"), None),
            list(Trust),
            ("ok", "decreasing", "old", "future", "seen"),
        )
    ),
)
def test_it_is_authenticated_if_all_of_it_is_there(signed, signer, trust, state):
    report = replace(GOOD, signed=signed, signer=signer, trust=trust, timestamp_state=state)
    expected = signed and signer is not None and trust in TRUSTED and state in {"ok", "decreasing"}
    assert report.authenticated is expected


@pytest.mark.parametrize(
    "change",
    [
        {"encrypted": False},
        {"legacy": True},
        {"arrival": "delayed"},
        {"skew": None},
        {"checks": ()},
        {"outer_id": ""},
    ],
)
def test_what_else_it_says_does_not_matter(change):
    assert replace(GOOD, **change).authenticated


def test_nobody_can_change_it():
    for name in (*(field.name for field in fields(SecurityReport)), "authenticated"):
        with pytest.raises((FrozenInstanceError, AttributeError, TypeError)):
            setattr(GOOD, name, None)

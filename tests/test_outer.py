"""How an outer stanza is written, and what never gets one, whatever is asked for (RFC 3923 2)."""

import pytest
from slixmpp.jid import JID

from slixmpp_e2e.errors import SignatureError
from slixmpp_e2e.outer import never_protected, read_outer, read_stanza, write_outer

TYPES = {
    "message": ["normal", "chat", "headline"],
    "presence": ["available", "unavailable"],
    "iq": ["get", "set", "result", "error"],
}
NEVER = [
    ("message", "groupchat"),
    ("message", "error"),
    ("presence", "error"),
    ("presence", "subscribe"),
    ("presence", "subscribed"),
    ("presence", "unsubscribe"),
    ("presence", "unsubscribed"),
    ("presence", "probe"),
]


@pytest.mark.parametrize(("kind", "type_"), [(kind, each) for kind, types in TYPES.items() for each in types])
def test_what_goes_to_somebody_may_be_protected(kind, type_):
    assert never_protected(kind, type_, JID("juliet@example.com/balcony")) is None
    assert never_protected(kind, type_, JID("")) is not None


@pytest.mark.parametrize(("kind", "type_"), NEVER)
def test_rooms_subscriptions_and_errors_are_never_protected(kind, type_):
    assert never_protected(kind, type_, JID("juliet@example.com")) is not None


@pytest.mark.parametrize(
    ("kind", "type_"), [("presence", "groupchat"), ("message", "probe"), ("iq", "subscribe")]
)
def test_a_type_of_another_kind_means_nothing_here(kind, type_):
    assert never_protected(kind, type_, JID("juliet@example.com")) is None


def test_text_is_escaped_and_in_a_cdata_section_where_that_is_asked_for():
    written = write_outer("message", {"to": "juliet@example.com"}, "a<b>]]>&")
    assert "a&lt;b&gt;]]&gt;&amp;" in written
    section = write_outer("message", {"to": "juliet@example.com"}, "a<b>]]>&", cdata=True)
    assert "<![CDATA[a<b>]]]]><![CDATA[>&]]>" in section


@pytest.mark.parametrize(
    ("addresses", "reason"),
    [
        ("to='nurse@example.com' from='romeo@example.net'", "other-recipient"),
        ("to='example.com' from='romeo@example.net'", "other-recipient"),
        ("to='juliet@ᴬ.example' from='romeo@example.net'", "other-recipient"),
        ("to='juliet@example.com' from='ᴬlice@example.net'", "name-mismatch"),
    ],
)
def test_what_is_for_somebody_else_or_from_nobody_is_refused(addresses, reason):
    stanza = read_stanza(f"<message {addresses}/>")
    with pytest.raises(SignatureError) as caught:
        read_outer(stanza, {"juliet@example.com"})
    assert caught.value.reason == reason


def test_without_addresses_it_is_between_us_and_our_account_where_that_is_one():
    stanza = read_stanza("<message/>")
    found = read_outer(stanza, {"juliet@example.com"})
    assert (found.sender, found.recipient) == (JID("juliet@example.com"), JID("juliet@example.com"))
    with pytest.raises(SignatureError):
        read_outer(stanza, {"juliet@example.com", "nurse@example.com"})

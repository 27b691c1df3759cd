"""How an outer stanza is written, and what never gets one, whatever is asked for (RFC 3923 2)."""

import pytest
from slixmpp.jid import JID

from slixmpp_e2e.outer import never_protected, write_outer

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

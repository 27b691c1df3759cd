"""The wire is read as it was: stream after stream, whole stanzas only; and what is clear in it is found."""

from xml.etree.ElementTree import tostring

import pytest

from slixmpp_e2e.cli.loopback import WireRecord

from .proxy import RecordingProxy
from .wire import check_opaque, exchanged, stanzas

HEADER = b"<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
E2E = b"<e2e xmlns='urn:ietf:params:xml:ns:xmpp-e2e'>AAAA</e2e>"
TO = b" to='juliet@localhost/j'"


def recorded(*connections: bytes) -> WireRecord:
    return WireRecord([bytearray(connection) for connection in connections])


def sent(*octets: bytes) -> RecordingProxy:
    proxy = RecordingProxy(0)
    proxy.recorded_from_clients.new_connection().extend(HEADER + b"".join(octets))
    return proxy


def test_stanzas_of_all_streams_and_connections_are_read_and_torn_ones_left_out():
    record = recorded(
        HEADER
        + b"<auth xmlns='urn:x'/>"
        + HEADER
        + b"<iq id='1'><a/></iq><r xmlns='urn:xmpp:sm:3'/><message id='2'/>",
        HEADER + b"<presence id='3'/><message id='4'><bo",
    )
    assert [stanza.get("id") for stanza in stanzas(record)] == ["1", "2", "3"]


def test_only_what_the_two_exchange_counts():
    proxy = sent(
        b"<message id='1' to='juliet@localhost/j'/><message id='2' to='romeo@localhost'/><iq id='3'/>"
    )
    proxy.recorded_to_clients.new_connection().extend(
        HEADER + b"<message id='4' from='juliet@localhost'/><message id='5' from='localhost'/>"
    )
    assert [stanza.get("id") for stanza in exchanged(proxy, "juliet@localhost")] == ["1", "4"]


def test_what_is_sealed_is_opaque():
    proxy = sent(
        b"<message" + TO + b">" + E2E + b"<encryption xmlns='urn:xmpp:eme:0' namespace='x'/></message>",
        b"<iq" + TO + b">" + E2E + b"</iq>",
    )
    assert check_opaque(proxy, "juliet@localhost", "body") == 2


@pytest.mark.parametrize(
    "stanza",
    [
        b"<message" + TO + b"><body>clear</body></message>",
        b"<message" + TO + b">" + E2E + b"<body>clear</body></message>",
        b"<message" + TO + b">" + E2E + b"<store xmlns='urn:xmpp:hints'>clear</store></message>",
        b"<iq" + TO + b"><ping xmlns='urn:xmpp:ping'/></iq>",
        b"<iq" + TO + b">" + E2E + b"<encryption xmlns='urn:xmpp:eme:0'/></iq>",
        b"<presence" + TO + b">" + E2E + b"<status>clear</status></presence>",
        b"<iq type='error'" + TO + b">" + E2E + b"<error><item-not-found xmlns='urn:x'/></error></iq>",
    ],
    ids=lambda octets: octets.decode(),
)
def test_what_is_clear_is_found(stanza):
    proxy = sent(stanza)
    assert b"".join(tostring(each) for each in exchanged(proxy, "juliet@localhost"))
    with pytest.raises(AssertionError):
        check_opaque(proxy, "juliet@localhost")


def test_words_are_found_wherever_they_stand():
    with pytest.raises(AssertionError, match="AAAA"):
        check_opaque(sent(b"<iq" + TO + b">" + E2E + b"</iq>"), "juliet@localhost", "AAAA")


def test_a_wire_on_which_nothing_happened_proves_nothing():
    with pytest.raises(AssertionError, match="nothing was exchanged"):
        check_opaque(sent(), "juliet@localhost")

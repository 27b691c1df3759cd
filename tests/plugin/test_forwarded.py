"""Carbons and archive results on a client that is not connected: which of them slixmpp may hand to a program."""

import copy
from xml.etree.ElementTree import fromstring, tostring

import pytest
import slixmpp

from tests.plugin.test_filters import Filtered
from tests.server.protected import PKI, make_pki

BARE = "juliet@localhost"
ROMEO = "romeo@localhost/r"
OURS = "juliet@localhost/other"
CARBONS = "urn:xmpp:carbons:2"
ARCHIVE = "urn:xmpp:mam:2"


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> PKI:
    return make_pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
async def juliet(pki) -> Filtered:
    """Juliet, who demands protection from everybody, and whose slixmpp knows what copies are."""
    return with_copies(Filtered(pki, "juliet", "romeo"))


@pytest.fixture
async def romeo(pki) -> Filtered:
    return Filtered(pki, "romeo", "juliet")


def with_copies(client: Filtered) -> Filtered:
    for name in ("xep_0280", "xep_0313"):
        client.xmpp.register_plugin(name)
    return client


def message(sender: str, recipient: str, *, kind: str = "chat", content: str = "<body>x</body>") -> str:
    return (
        f'<message xmlns="jabber:client" type="{kind}" from="{sender}" to="{recipient}">{content}</message>'
    )


def wrapper(
    client: Filtered,
    inside: str,
    *,
    by: str = BARE,
    around: str = "received",
    kind: str = "chat",
    namespace: str = CARBONS,
) -> slixmpp.Message:
    """What a server forwards."""
    forwarded = f'<forwarded xmlns="urn:xmpp:forward:0">{inside}</forwarded>'
    return slixmpp.Message(
        client.xmpp,
        xml=fromstring(
            message(by, OURS, kind=kind, content=f'<{around} xmlns="{namespace}">{forwarded}</{around}>')
        ),
        recv=True,
    )


def sealed(by: Filtered, to: str) -> str:
    """A message in its protection, as a server forwards it."""
    outer = by.seal(by.message(to, "SECRET"))
    outer.xml.set("from", by.xmpp.boundjid.full)
    return tostring(outer.xml, encoding="unicode")


@pytest.mark.parametrize("kind", ["normal", "chat", "groupchat", "no-such-type"])
@pytest.mark.parametrize("outside", ["chat", "error"])
async def test_a_clear_carbon_of_whatever_type_from_who_must_send_protected_is_not_shown(
    juliet, kind, outside
):
    assert juliet.unseal(wrapper(juliet, message(ROMEO, OURS, kind=kind), kind=outside)) is None
    assert juliet.failures.reasons == ["unprotected"]


async def test_the_carbon_of_an_error_is_shown(juliet):
    copied = wrapper(juliet, message(ROMEO, OURS, kind="error"), kind="error")
    assert juliet.unseal(copied) is copied


async def test_a_carbon_from_another_client_of_ours_is_none(juliet):
    """slixmpp would take it for the server's: it looks at the bare JID only."""
    forged = wrapper(juliet, message(ROMEO, OURS), by="juliet@localhost/evil")
    assert juliet.unseal(forged) is None
    assert juliet.failures.reasons == ["malformed"]


async def test_an_archive_result_from_another_client_of_ours_is_not_opened(juliet, romeo):
    forged = wrapper(
        juliet, sealed(romeo, BARE), by="juliet@localhost/evil", around="result", namespace=ARCHIVE
    )
    assert juliet.unseal(forged) is forged
    assert juliet.plugin.stats().get("opened_copies", 0) == 0


async def test_what_somebody_else_sent_is_no_copy_of_what_we_sent(juliet, romeo):
    for inside in (message(ROMEO, OURS), sealed(romeo, BARE)):
        assert juliet.unseal(wrapper(juliet, inside, around="sent")) is None
    assert juliet.failures.reasons == ["unprotected", "other-recipient"]


async def test_what_we_sent_in_clear_is_shown_whatever_others_must_do(juliet):
    copied = wrapper(juliet, message(OURS, ROMEO), around="sent")
    assert juliet.unseal(copied) is copied


async def test_a_carbon_of_a_protected_message_is_opened_once(juliet, romeo):
    inside = sealed(romeo, BARE)
    opened = juliet.unseal(wrapper(juliet, inside))
    assert opened["carbon_received"]["body"] == "SECRET"
    assert juliet.plugin.report(opened["carbon_received"]).authenticated
    assert juliet.plugin.report(opened) is None
    assert juliet.unseal(wrapper(juliet, inside)) is None
    assert juliet.sent == []  # a copy is never answered
    assert juliet.unseal(slixmpp.Message(juliet.xmpp, xml=fromstring(inside), recv=True)) is None
    assert juliet.failures.reasons == ["seen", "seen"]


@pytest.mark.parametrize(("around", "side"), [("received", "from"), ("sent", "to")])
@pytest.mark.parametrize("address", ["", "romeo@under_score..localhost", "romeo@" + "a" * 64 + ".example"])
async def test_a_copy_of_what_is_from_or_to_nobody_is_refused(juliet, romeo, around, side, address):
    inside = fromstring(sealed(romeo, BARE))
    inside.set("to" if side == "from" else "from", BARE)
    inside.set(side, address)
    shown = juliet.unseal(wrapper(juliet, tostring(inside, encoding="unicode"), around=around))
    assert shown is None or side == "to"  # as it is: we sent it
    assert juliet.failures.reasons == ["malformed"]


async def test_several_messages_in_one_wrapper_are_refused(juliet, romeo):
    inside = sealed(romeo, BARE)
    assert juliet.unseal(wrapper(juliet, inside + message(ROMEO, OURS))) is None
    two = f'{message(ROMEO, OURS)}</forwarded><forwarded xmlns="urn:xmpp:forward:0">{inside}'
    assert juliet.unseal(wrapper(juliet, two)) is None
    assert juliet.failures.reasons == ["malformed", "malformed"]


async def test_the_report_stands_beside_the_message_that_was_opened_and_no_other(juliet, romeo):
    """A look-alike in another namespace stands before it."""
    decoy = message(ROMEO, OURS, content="<body>EVIL</body>").replace("jabber:client", "jabber:server")
    opened = juliet.unseal(wrapper(juliet, decoy + sealed(romeo, BARE)))
    for stanza in (opened, copy.copy(opened)):
        inner = stanza["carbon_received"]
        assert inner["body"] == "SECRET"
        assert juliet.plugin.report(inner).authenticated


@pytest.mark.parametrize(("around", "namespace"), [("received", CARBONS), ("result", ARCHIVE)])
async def test_a_reply_to_what_was_opened_leaves_protected(pki, romeo, around, namespace):
    juliet = with_copies(Filtered(pki, "juliet", "romeo", policy={"*": "off"}))
    opened = juliet.unseal(wrapper(juliet, sealed(romeo, BARE), around=around, namespace=namespace))
    for stanza in (opened, copy.copy(opened)):
        carbon = around == "received"
        inner = stanza["carbon_received"] if carbon else stanza["mam_result"]["forwarded"]["stanza"]
        for each in (inner, copy.copy(inner)):
            assert juliet.plugin.report(each).signer_trusted
            assert b"SECRET" not in tostring(juliet.seal(each.reply(clear=False)).xml)

"""The plugin's filters on a client that is not connected: what would leave, and what would be delivered."""

from pathlib import Path
from typing import Any
from xml.etree.ElementTree import SubElement, fromstring, tostring

import pytest
import slixmpp
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from slixmpp_e2e.errors import UnprotectableError
from slixmpp_e2e.namespaces import E2E
from slixmpp_e2e.policy import Level
from tests.server.clients import new_client
from tests.server.protected import PKI, Failures, introduce, make_pki, protect

MINUTE = 60 * 1_000_000_000


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> PKI:
    return make_pki(tmp_path_factory.mktemp("pki"))


class Transport:
    """What slixmpp holds of its connection."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def pause_reading(self) -> None:
        self.told.append("pause")

    def resume_reading(self) -> None:
        self.told.append("resume")

    def abort(self) -> None:
        pass


class Filtered:
    """A client with the plugin, and its filters."""

    def __init__(self, pki: PKI, name: str, peer: str, **options: Any) -> None:
        self.xmpp = new_client(f"{name}@localhost/{name}")
        self.sent: list[Any] = []
        self.xmpp.send = self.sent.append
        self.failures: Failures = protect(
            self.xmpp, pki.options(name, **{"peer_certificates": introduce(pki, peer), **options})
        )
        self.plugin = self.xmpp.plugin["e2e"]
        self.seal = self.plugin._departures.seal
        self.unseal = self.plugin._arrivals.unseal

    def message(self, to: str, body: str, **more: Any) -> slixmpp.Message:
        return self.xmpp.make_message(to, body, mtype="chat", **more)


@pytest.fixture
async def romeo(pki) -> Filtered:
    return Filtered(pki, "romeo", "juliet")


@pytest.fixture
async def juliet(pki) -> Filtered:
    return Filtered(pki, "juliet", "romeo")


def carry(stanza: Any, sender: str, receiver: Filtered) -> Any:
    """Return an outer stanza as the receiver's stream builds it."""
    xml = fromstring(tostring(stanza.xml))
    xml.set("from", sender)
    return type(stanza)(receiver.xmpp, xml=xml, recv=True)


@pytest.mark.parametrize("sender", ["@@", "a@b@c/", "\u2126@example.com", "x@" + "y" * 2000])
async def test_an_address_that_is_none_is_dropped_and_does_not_raise(juliet, sender):
    xml = fromstring("<message xmlns='jabber:client' type='chat'><body>x</body></message>")
    xml.set("from", sender)
    juliet.unseal(slixmpp.Message(juliet.xmpp, xml=xml, recv=True))


async def test_an_e2e_element_of_the_programs_own_does_not_let_the_rest_pass(romeo):
    message = romeo.message("juliet@localhost", "SECRET")
    SubElement(message.xml, f"{{{E2E}}}e2e")
    assert b"SECRET" not in tostring(romeo.seal(message).xml)


async def test_what_was_protected_explicitly_passes_once_and_is_not_protected_again(romeo, juliet):
    message = romeo.message("juliet@localhost", "SECRET")
    outer = await romeo.plugin.protect(message, "sign")
    assert romeo.seal(outer) is outer
    assert b"SECRET" not in tostring(romeo.seal(message).xml)  # the policy still holds for the stanza itself
    inner = juliet.unseal(carry(outer, "romeo@localhost/romeo", juliet))
    assert juliet.plugin.report(inner).encrypted  # asking for less than the policy is of no use


@pytest.mark.parametrize(
    ("policy", "asked", "found"),
    [
        ("sign", "opportunistic", Level.SIGN),
        ("sign", "required", Level.REQUIRED),
        ("sign", "off", Level.OFF),
        ("required", "sign", Level.REQUIRED),
        ("required", "opportunistic", Level.REQUIRED),
        ("off", "sign", Level.SIGN),
        ("opportunistic", "sign", Level.REQUIRED),
        ("encrypt-unsigned", "sign", Level.ENCRYPT_UNSIGNED),
    ],
)
async def test_an_override_strengthens_the_policy_or_switches_it_off(pki, policy, asked, found):
    romeo = Filtered(pki, "romeo", "juliet", policy={"*": policy})
    message = romeo.message("juliet@localhost", "x")
    romeo.plugin.override(message, asked)
    assert romeo.plugin._outbound.level(message, Level(asked)) is found


async def test_the_program_hears_that_the_clock_was_set_back(pki):
    now = 10**18
    romeo = Filtered(pki, "romeo", "juliet", clock=lambda: now, policy={"*": "sign"})
    heard: list[float] = []
    romeo.xmpp.add_event_handler("e2e_clock_adjusted", heard.append)
    romeo.plugin.protection._clock.next()
    now -= 2 * MINUTE
    romeo.plugin.protection._clock.next()
    assert heard == [120.0]


async def test_an_error_that_a_handler_makes_of_a_protected_message_carries_nothing_of_it(romeo, juliet):
    outer = romeo.seal(romeo.message("juliet@localhost/juliet", "SECRET"))
    inner = juliet.unseal(carry(outer, "romeo@localhost/romeo", juliet))
    reply = inner.reply(clear=False)
    reply["type"], reply["id"] = "error", inner["id"]
    reply["error"]["condition"] = "undefined-condition"
    reply["error"]["text"] = "SECRET went wrong"
    error = juliet.seal(reply)
    assert b"SECRET" not in tostring(error.xml)
    assert (error["type"], error["id"]) == ("error", outer["id"])


@pytest.mark.requirement("3923-2-17")
async def test_a_room_is_joined_in_clear_and_never_protected_on_demand(romeo):
    join = romeo.xmpp.make_presence(pto="room@muc.localhost/romeo")
    SubElement(join.xml, "{http://jabber.org/protocol/muc}x")
    assert romeo.seal(join) is join
    spoken = romeo.xmpp.make_message("room@muc.localhost", "hello", mtype="groupchat")
    assert romeo.seal(spoken) is spoken
    romeo.plugin.override(spoken, "required")
    assert romeo.seal(spoken) is None
    assert [failure.error.code for failure in romeo.failures.sent] == ["unprotectable"]


@pytest.mark.requirement("3923-2-17")
@pytest.mark.parametrize("kind", ["subscribe", "subscribed", "unsubscribe", "unsubscribed"])
async def test_subscriptions_go_in_clear(romeo, kind):
    presence = romeo.xmpp.make_presence(pto="juliet@localhost", ptype=kind)
    assert romeo.seal(presence) is presence


@pytest.mark.requirement("3923-2-6", "3923-2-7")
async def test_directed_presence_is_protected(romeo, juliet):
    presence = romeo.xmpp.make_presence(pto="juliet@localhost/juliet", pstatus="SECRET")
    outer = romeo.seal(presence)
    assert b"SECRET" not in tostring(outer.xml)
    inner = juliet.unseal(carry(outer, "romeo@localhost/romeo", juliet))
    assert inner["status"] == "SECRET"
    assert juliet.plugin.report(inner).authenticated


async def test_a_copy_of_a_stanza_keeps_its_report_and_a_reply_does_not_inherit_it(romeo, juliet):
    import copy

    outer = romeo.seal(romeo.message("juliet@localhost/juliet", "hello"))
    inner = juliet.unseal(carry(outer, "romeo@localhost/romeo", juliet))
    assert juliet.plugin.report(copy.copy(inner)) is juliet.plugin.report(inner)
    assert juliet.plugin.report(inner.reply("x")) is None


async def test_what_is_too_large_is_not_sent(pki):
    romeo = Filtered(pki, "romeo", "juliet", max_stanza_size=20_000)
    assert romeo.seal(romeo.message("juliet@localhost", "x" * 20_000)) is None
    assert [failure.error.code for failure in romeo.failures.sent] == ["too-large"]


async def test_nothing_leaves_when_protecting_fails_in_a_way_nobody_foresaw(romeo, monkeypatch):
    def fail(*_: Any, **__: Any) -> str:
        raise ZeroDivisionError

    monkeypatch.setattr(type(romeo.plugin.protection), "plan", fail)
    assert romeo.seal(romeo.message("juliet@localhost", "SECRET")) is None
    assert [failure.error.code for failure in romeo.failures.sent] == ["local-error"]


def test_a_pin_file_that_names_nobody_is_an_error(pki: PKI, tmp_path: Path):
    from slixmpp_e2e import ConfigurationError
    from slixmpp_e2e.plugin.configuration import DEFAULTS, build_protection

    options = pki.options("romeo", pins=pki.anchors)
    del options["policy"]
    with pytest.raises(ConfigurationError, match="names no JID"):
        build_protection({**DEFAULTS, **options})


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("policy", "required"),
        ("window", "x"),
        ("cipher", ["x"]),
        ("trust_anchors", 5),
        ("clock", 5),
        ("sotre", 1),
    ],
)
def test_an_option_of_the_wrong_kind_is_named(pki: PKI, option, value):
    from slixmpp_e2e import ConfigurationError
    from slixmpp_e2e.plugin.configuration import DEFAULTS, build_protection

    with pytest.raises(ConfigurationError, match=option):
        build_protection({**DEFAULTS, **pki.options("romeo"), option: value})


def request(client: Filtered, to: str) -> slixmpp.Iq:
    iq = client.xmpp.make_iq_get("urn:example:x", ito=to)
    iq["id"] = "i1"
    return iq


def result(client: Filtered, iq: slixmpp.Iq, secret: str) -> slixmpp.Iq:
    answer = iq.reply()
    SubElement(answer.xml, "{urn:example:x}query").text = secret
    return answer


async def test_a_response_leaves_protected_or_not_at_all(romeo, juliet):
    outer = romeo.seal(request(romeo, "juliet@localhost/juliet"))
    iq = juliet.unseal(carry(outer, "romeo@localhost/romeo", juliet))
    sealed = juliet.seal(result(juliet, iq, "SECRET"))
    assert sealed["id"] == outer["id"]
    assert b"SECRET" not in tostring(sealed.xml)
    assert juliet.seal(result(juliet, iq, "SECRET again")) is None  # nothing is owed any more


async def test_a_response_that_was_too_large_is_replaced_by_an_error_and_nothing_follows_in_clear(pki, romeo):
    juliet = Filtered(pki, "juliet", "romeo", max_stanza_size=20_000)
    outer = romeo.seal(request(romeo, "juliet@localhost/juliet"))
    iq = juliet.unseal(carry(outer, "romeo@localhost/romeo", juliet))
    assert juliet.seal(result(juliet, iq, "SECRET" * 5000)) is None
    (error,) = juliet.sent
    assert (error["id"], error["type"], error["error"]["condition"]) == (
        outer["id"],
        "error",
        "internal-server-error",
    )
    assert juliet.seal(result(juliet, iq, "SECRET shorter")) is None


async def test_a_signed_request_is_answered_as_the_policy_demands(pki, juliet):
    romeo = Filtered(pki, "romeo", "juliet", policy={"*": "sign"})
    outer = romeo.seal(request(romeo, "juliet@localhost/juliet"))
    iq = juliet.unseal(carry(outer, "romeo@localhost/romeo", juliet))
    assert b"SECRET" not in tostring(juliet.seal(result(juliet, iq, "SECRET")).xml)


async def test_a_reply_to_a_signed_message_is_encrypted_where_that_is_possible(pki):
    romeo = Filtered(pki, "romeo", "juliet", policy={"*": "sign"})
    juliet = Filtered(pki, "juliet", "romeo", policy={"*": "opportunistic"})
    outer = romeo.seal(romeo.message("juliet@localhost/juliet", "hello"))
    inner = juliet.unseal(carry(outer, "romeo@localhost/romeo", juliet))
    assert b"SECRET" not in tostring(juliet.seal(inner.reply("SECRET")).xml)


async def test_what_only_calls_itself_groupchat_is_not_delivered_in_clear(juliet):
    stanza = slixmpp.Message(juliet.xmpp, stype="groupchat", sfrom="romeo@localhost/x", recv=True)
    stanza["body"] = "psst"
    assert juliet.unseal(stanza) is None
    join = juliet.xmpp.make_presence(pto="room@muc.localhost/juliet")
    SubElement(join.xml, "{http://jabber.org/protocol/muc}x")
    juliet.seal(join)
    spoken = slixmpp.Message(juliet.xmpp, stype="groupchat", sfrom="room@muc.localhost/romeo", recv=True)
    assert juliet.unseal(spoken) is spoken


async def test_a_certificate_for_two_is_learned_for_both(pki, tmp_path):
    """The one that is known already under another name is kept all the same."""
    from slixmpp_e2e.certificates.issue import certificate_request, issue_certificate
    from slixmpp_e2e.certificates.keys import generate_key
    from tests.server.protected import _NOW

    key = generate_key("rsa-2048")
    both = certificate_request(key, ["romeo@localhost", "mercutio@localhost"])
    chain = [issue_certificate(both, authority=pki.authority, now=_NOW), *pki.authority.intermediates]
    twin = PKI(tmp_path, pki.authority)
    (tmp_path / "root.pem").write_bytes(pki.anchors.read_bytes())
    for name in ("romeo", "mercutio"):
        (tmp_path / f"{name}.crt").write_bytes(b"".join(each.public_bytes(Encoding.PEM) for each in chain))
        (tmp_path / f"{name}.key").write_bytes(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )
    (tmp_path / "juliet.crt").write_bytes((pki.directory / "juliet.crt").read_bytes())
    juliet = Filtered(pki, "juliet", "juliet")
    for name in ("romeo", "mercutio"):
        sender = Filtered(twin, name, "juliet")
        outer = sender.seal(sender.message("juliet@localhost/juliet", "hello"))
        assert juliet.unseal(carry(outer, f"{name}@localhost/{name}", juliet)) is not None
        assert juliet.plugin.protection.can_encrypt_to(slixmpp.JID(f"{name}@localhost"))


async def test_what_has_no_recipient_leaves_as_it_is(romeo):
    for kind in ("chat", "groupchat", "error"):
        stanza = slixmpp.Message(romeo.xmpp, stype=kind)
        assert romeo.seal(stanza) is stanza
    assert not romeo.failures.sent


@pytest.mark.parametrize("kind", ["groupchat", "error"])
async def test_what_is_never_opened_is_not_protected_on_demand_either(romeo, kind):
    stanza = slixmpp.Message(romeo.xmpp, stype=kind, sto="juliet@localhost/x")
    with pytest.raises(UnprotectableError):
        await romeo.plugin.protect(stanza, level="required")

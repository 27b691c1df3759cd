"""Certificates that stand in an account are found without their owner being there (XEP-0189 over PEP)."""

import asyncio
import datetime as dt
from base64 import b64encode
from collections import Counter
from xml.etree.ElementTree import Element, SubElement

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from slixmpp import JID
from slixmpp.exceptions import IqError

from slixmpp_e2e import PublicationError
from slixmpp_e2e.certificates.issue import certificate_request, create_root, issue_certificate
from slixmpp_e2e.certificates.keys import generate_key
from slixmpp_e2e.cms.certificates import read_certificates
from slixmpp_e2e.namespaces import PUBKEY, PUBSUB, PUBSUB_OWNER
from slixmpp_e2e.plugin.pubkeys import ask, item_id, read_keyinfo, read_node, write_keyinfo
from slixmpp_e2e.plugin.publication import Publication

from .clients import Clients, Inbox, close, round_trip
from .protected import PKI, Failures, make_pki, protect

pytestmark = [pytest.mark.server, pytest.mark.parametrize("server", ["prosody"], indirect=True)]

JULIET = JID("juliet@localhost")
WAITING = {"certificate_wait": 5}
PUBLIC = {"publish_certificates": True}


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> PKI:
    made = make_pki(tmp_path_factory.mktemp("pki"))
    made.issue("phone", "juliet@localhost")
    return made


def certificates(pki: PKI, name: str) -> list[bytes]:
    """Return the certificates in somebody's file, in DER."""
    pem = (pki.directory / f"{name}.crt").read_bytes()
    return [each.public_bytes(Encoding.DER) for each in read_certificates(pem)]


def expired() -> bytes:
    """Return a certificate of juliet's that has expired."""
    long_ago = dt.datetime.now(dt.UTC) - dt.timedelta(days=4000)
    authority = create_root(generate_key("p-256"), "Old Verona CA", now=long_ago)
    request = certificate_request(generate_key("p-256"), ["juliet@localhost"])
    found = issue_certificate(request, authority=authority, now=long_ago)
    return found.public_bytes(Encoding.DER)


async def log_in(clients: Clients, pki: PKI, name: str, port: int | None = None, *, jid: str = "", **options):
    xmpp = await clients.log_in(jid or f"{name}@localhost/{name[0]}", port=port)
    protect(xmpp, pki.options(name, **options))
    return xmpp


async def published(xmpp, account: JID | None = None) -> dict[str, bytes | None]:
    """Return what is on the node of an account, by the names of the items."""
    return {item.get("id", ""): read_keyinfo(item[0]) for item in await read_node(xmpp, account)}


async def put(xmpp, payload: Element, name: str = "x") -> None:
    """Publish an item without the plugin, on a node that is as the server makes it."""
    pubsub = Element(f"{{{PUBSUB}}}pubsub")
    publish = SubElement(pubsub, f"{{{PUBSUB}}}publish", {"node": PUBKEY})
    SubElement(publish, f"{{{PUBSUB}}}item", {"id": name}).append(payload)
    await ask(xmpp, "set", None, pubsub)


async def has_published(xmpp) -> None:
    """Wait until what starts with the session is done."""
    await asyncio.wait_for(xmpp.plugin["e2e"]._publication._task, 5)
    assert "certificates_published" in xmpp.plugin["e2e"].stats()


class TestLookup:
    async def test_the_first_message_to_who_is_away_leaves_encrypted_and_is_read_later(
        self, server, clients, proxy, pki, tmp_path
    ):
        kept = {"store": f"sqlite:///{tmp_path / 'juliet.db'}"}
        juliet = await log_in(clients, pki, "juliet", **PUBLIC, **kept)
        await has_published(juliet)
        juliet.plugin.disable("e2e")
        await close(juliet)
        romeo = await log_in(clients, pki, "romeo", proxy.port, **WAITING)
        failures = Failures(romeo)
        for number in range(3):
            romeo.send_message("juliet@localhost", f"canary {number}", mtype="chat")
        await round_trip(romeo)
        await asyncio.gather(*of_ours())
        await round_trip(romeo)
        stats = romeo.plugin["e2e"].stats()
        assert (stats["certificates_looked_up"], stats["certificates_found"], stats["parked"]) == (1, 1, 0)
        assert "certificates_requested" not in stats
        assert not failures.sent
        back = await clients.log_in("juliet@localhost/back", available=False)
        protect(back, pki.options("juliet", **kept))
        inbox = Inbox(back)
        back.send_presence()
        messages = await inbox.take(3)
        assert [message["body"] for message in messages] == ["canary 0", "canary 1", "canary 2"]
        reports = [back.plugin["e2e"].report(message) for message in messages]
        assert all(report.authenticated and report.encrypted for report in reports)
        assert b"canary" not in proxy.recorded_from_clients

    async def test_all_devices_can_read_it(self, server, clients, pki):
        inboxes = []
        for name in ("juliet", "phone"):
            xmpp = await log_in(clients, pki, name, jid=f"juliet@localhost/{name}", **PUBLIC)
            await has_published(xmpp)
            inboxes.append((xmpp, Inbox(xmpp)))
        romeo = await log_in(clients, pki, "romeo", **WAITING)
        romeo.send_message("juliet@localhost", "to both", mtype="chat")
        for xmpp, inbox in inboxes:
            assert xmpp.plugin["e2e"].report(await inbox.next()).encrypted

    async def test_where_nothing_is_published_the_request_follows(self, server, clients, proxy, pki):
        romeo = await log_in(clients, pki, "romeo", proxy.port, **WAITING)
        juliet = await log_in(clients, pki, "juliet", proxy.port)
        inbox = Inbox(juliet)
        romeo.send_message("juliet@localhost", "canary", mtype="chat")
        assert juliet.plugin["e2e"].report(await inbox.next()).encrypted
        stats = romeo.plugin["e2e"].stats()
        assert (stats["certificates_looked_up"], stats["certificates_requested"]) == (1, 1)
        assert "certificates_found" not in stats
        assert b"canary" not in proxy.recorded_from_clients

    async def test_where_nobody_is_asked_either_it_fails_at_once(self, server, clients, pki):
        romeo = await log_in(clients, pki, "romeo", certificate_wait=60, request_certificates=False)
        lost = Inbox(romeo, "e2e_send_failed")
        romeo.send_message("mercutio@localhost", "one", mtype="chat")
        assert (await lost.next(seconds=2)).error.code == "no-certificate"
        romeo.send_message("mercutio@localhost", "two", mtype="chat")
        assert (await lost.next(seconds=2)).stanza["body"] == "two"
        assert romeo.plugin["e2e"].stats()["certificates_looked_up"] == 1

    async def test_under_first_use_it_decides_nothing(self, server, clients, pki):
        juliet = await log_in(clients, pki, "juliet", **PUBLIC)
        await has_published(juliet)
        await close(juliet)
        romeo = await log_in(clients, pki, "romeo", trust="tofu", trust_anchors=None, certificate_wait=1)
        lost = Inbox(romeo, "e2e_send_failed")
        romeo.send_message("juliet@localhost", "x", mtype="chat")
        assert (await lost.next()).error.code == "no-certificate"
        protection = romeo.plugin["e2e"].protection
        assert romeo.plugin["e2e"].stats()["certificates_requested"] == 1
        assert protection.store.certificates("juliet@localhost") == ()
        assert romeo.plugin["e2e"].decisions("juliet@localhost") == {}


class TestHostileItems:
    """What stands in an account was put there by whoever has it, or by its server."""

    @staticmethod
    def items(pki: PKI, strangers: PKI) -> dict[str, Element]:
        own = certificates(pki, "juliet")[0]
        text = b64encode(own).decode()

        def keyinfo(*texts: str) -> Element:
            made = Element(f"{{{PUBKEY}}}keyinfo")
            for each in texts:
                SubElement(made, f"{{{PUBKEY}}}x509cert").text = each
            return made

        within = keyinfo("")
        SubElement(within[0], f"{{{PUBKEY}}}x509cert").text = text
        elsewhere = Element("{urn:xmpp:pubkey:2}pubkey")
        SubElement(elsewhere, f"{{{PUBKEY}}}x509cert").text = text
        return {
            "another's": write_keyinfo(certificates(pki, "romeo")[0]),
            "of another CA": write_keyinfo(certificates(strangers, "juliet")[0]),
            "expired": write_keyinfo(expired()),
            "cut": write_keyinfo(own[:-1]),
            "longer": write_keyinfo(own + b"\0"),
            "too large": write_keyinfo(own + bytes(65 * 1024)),
            "not base64": keyinfo("=" + text),
            "not ASCII": keyinfo("\u00e9" + text),
            "two": keyinfo(text, text),
            "empty": keyinfo(""),
            "none": keyinfo(),
            "deeper": within,
            "of another namespace": elsewhere,
        }

    async def test_they_are_ignored_and_the_request_follows(self, server, clients, pki, tmp_path):
        items = self.items(pki, make_pki(tmp_path))
        juliet = await clients.log_in("juliet@localhost/j")
        romeo = await log_in(clients, pki, "romeo", request_certificates=True, certificate_wait=0.3)
        lost, plugin = Inbox(romeo, "e2e_send_failed"), romeo.plugin["e2e"]
        phone = await log_in(clients, pki, "phone", jid="juliet@localhost/phone", **PUBLIC)
        await has_published(phone)  # the node is open
        await close(phone)  # and nobody answers the request
        own = set(certificates(pki, "phone"))
        for name, payload in items.items():
            await put(juliet, payload, name)
        await retract_all(juliet, own)
        assert set(await published(juliet)) == set(items)
        romeo.send_message("juliet@localhost", "x", mtype="chat")
        assert (await lost.next()).error.code == "no-certificate"
        assert plugin.stats()["certificates_requested"] == 1
        assert plugin.protection.store.certificates("juliet@localhost") == ()
        assert not plugin.protection.can_encrypt_to(JULIET)

    async def test_they_don_t_hide_the_good_one(self, server, clients, pki, tmp_path):
        items = self.items(pki, make_pki(tmp_path))
        juliet = await log_in(clients, pki, "juliet", **PUBLIC)
        await has_published(juliet)
        for name, payload in items.items():
            await put(juliet, payload, name)
        romeo = await log_in(clients, pki, "romeo", **WAITING)
        inbox = Inbox(juliet)
        romeo.send_message("juliet@localhost", "x", mtype="chat")
        assert juliet.plugin["e2e"].report(await inbox.next()).encrypted
        assert "certificates_requested" not in romeo.plugin["e2e"].stats()
        kept = romeo.plugin["e2e"].protection.store.certificates("juliet@localhost")
        assert [chain[0] for chain in kept] == certificates(pki, "juliet")[:1]


async def retract_all(xmpp, certificates: set[bytes]) -> None:
    """Take certificates from the own node."""
    for der in certificates:
        pubsub = Element(f"{{{PUBSUB}}}pubsub")
        retract = SubElement(pubsub, f"{{{PUBSUB}}}retract", {"node": PUBKEY})
        SubElement(retract, f"{{{PUBSUB}}}item", {"id": item_id(der)})
        await ask(xmpp, "set", None, pubsub)


class TestPublishing:
    async def test_two_devices_at_the_same_time_keep_both(self, server, clients, pki):
        laptop = await log_in(clients, pki, "juliet")
        phone = await log_in(clients, pki, "phone", jid="juliet@localhost/phone")
        await asyncio.gather(*(each.plugin["e2e"].publish_certificates() for each in (laptop, phone)))
        everything = {*certificates(pki, "juliet"), *certificates(pki, "phone")}
        assert await published(laptop) == {item_id(der): der for der in everything}
        await laptop.plugin["e2e"].publish_certificates()
        assert await published(laptop) == {item_id(der): der for der in everything}
        assert laptop.plugin["e2e"].stats()["certificates_published"] == 2

    async def test_everybody_may_read_it(self, server, clients, pki):
        juliet = await log_in(clients, pki, "juliet", **PUBLIC)
        await has_published(juliet)
        stranger = await clients.log_in("mercutio@localhost/m")
        found = await published(stranger, JULIET)
        assert set(found.values()) == set(certificates(pki, "juliet"))
        assert PUBKEY in (await juliet.plugin["xep_0030"].get_info(local=True))["features"]

    async def test_by_default_nothing_is_published(self, server, clients, pki):
        juliet = await log_in(clients, pki, "juliet")
        await round_trip(juliet)
        with pytest.raises(IqError) as failure:
            await published(juliet)
        assert failure.value.condition == "item-not-found"

    async def test_a_node_that_keeps_one_item_for_contacts_is_made_to_keep_more_for_all(
        self, server, clients, pki
    ):
        juliet = await log_in(clients, pki, "juliet")
        other = certificates(pki, "phone")[0]
        await put(juliet, write_keyinfo(other), item_id(other))
        await juliet.plugin["e2e"].publish_certificates()
        everything = {other, *certificates(pki, "juliet")}
        assert set((await published(juliet)).values()) == everything
        stranger = await clients.log_in("mercutio@localhost/m")
        assert set((await published(stranger, JULIET)).values()) == everything

    async def test_what_has_expired_goes_and_what_is_no_certificate_stays(self, server, clients, pki):
        juliet = await log_in(clients, pki, "juliet")
        await juliet.plugin["e2e"].publish_certificates()
        old = expired()
        openpgp = Element(f"{{{PUBKEY}}}keyinfo")
        SubElement(openpgp, f"{{{PUBKEY}}}pgpdata").text = "mQGiBDsKPy8="
        await put(juliet, write_keyinfo(old), item_id(old))
        await put(juliet, openpgp, "0123")
        await juliet.plugin["e2e"].publish_certificates()
        own = {item_id(der) for der in certificates(pki, "juliet")}
        assert set(await published(juliet)) == {*own, "0123"}

    async def test_beyond_the_limit_nothing_is_written(self, server, clients, pki):
        phone = await log_in(clients, pki, "phone", jid="juliet@localhost/phone")
        await phone.plugin["e2e"].publish_certificates()
        for number in range(14):
            await put(phone, write_keyinfo(bytes([number])), f"number {number}")
        before = await published(phone)
        juliet = await log_in(clients, pki, "juliet")
        with pytest.raises(PublicationError, match="17 items"):
            await juliet.plugin["e2e"].publish_certificates()
        assert await published(phone) == before


class Undone(Publication):
    """Another device takes away what this one writes."""

    async def _write(self, name: str, der: bytes) -> None:
        await super()._write(name, der)
        await retract_all(self.xmpp, {der})


async def test_what_is_not_there_afterwards_was_not_published(server, clients, pki):
    juliet = await log_in(clients, pki, "juliet")
    publication = Undone(juliet, juliet.plugin["e2e"].protection, Counter())
    with pytest.raises(PublicationError, match="not there after publishing"):
        await publication.publish()
    assert publication.stats["certificates_published"] == 0


class TestComponents:
    async def test_a_component_finds_what_users_publish(self, server, clients, pki):
        juliet = await log_in(clients, pki, "juliet", **PUBLIC)
        await has_published(juliet)
        component = await clients.component()
        protect(component, pki.options("component", **WAITING))
        inbox = Inbox(juliet)
        component.send_message("juliet@localhost", "x", mfrom="component.localhost", mtype="chat")
        assert juliet.plugin["e2e"].report(await inbox.next()).encrypted
        assert component.plugin["e2e"].stats()["certificates_found"] == 1

    async def test_a_component_has_no_account_but_answers_who_asks(self, server, clients, pki):
        component = await clients.component()
        protect(component, pki.options("component", **PUBLIC))
        assert component.plugin["e2e"]._publication._task is None
        romeo = await clients.log_in("romeo@localhost/r")
        answer = await ask(romeo, "get", JID("component.localhost"), Element(f"{{{PUBKEY}}}pubkeys"))
        found = answer.findall(f"{{{PUBKEY}}}pubkeys/{{{PUBKEY}}}keyinfo")
        assert [read_keyinfo(each) for each in found] == certificates(pki, "component")


class TestAskingAClient:
    @pytest.mark.parametrize("public", [True, False])
    async def test_it_answers_only_if_it_publishes(self, server, clients, pki, public):
        juliet = await log_in(clients, pki, "juliet", publish_certificates=public)
        failures = Failures(juliet)
        romeo = await clients.log_in("romeo@localhost/r")
        question = ask(romeo, "get", juliet.boundjid, Element(f"{{{PUBKEY}}}pubkeys"))
        if public:
            found = (await question).findall(f"{{{PUBKEY}}}pubkeys/{{{PUBKEY}}}keyinfo")
            assert [read_keyinfo(each) for each in found] == certificates(pki, "juliet")
        else:
            with pytest.raises(IqError) as failure:
                await question
            assert failure.value.condition == "service-unavailable"
        assert not failures.received  # although she takes nothing else in clear

    async def test_it_is_asked_where_the_account_has_nothing(self, server, clients, pki):
        juliet = await log_in(clients, pki, "juliet", **PUBLIC)
        await has_published(juliet)
        pubsub = Element(f"{{{PUBSUB_OWNER}}}pubsub")
        SubElement(pubsub, f"{{{PUBSUB_OWNER}}}delete", {"node": PUBKEY})
        await ask(juliet, "set", None, pubsub)
        romeo = await log_in(clients, pki, "romeo", **WAITING)
        inbox = Inbox(juliet)
        romeo.send_message(juliet.boundjid, "x", mtype="chat")
        assert juliet.plugin["e2e"].report(await inbox.next()).encrypted
        stats = romeo.plugin["e2e"].stats()
        assert stats["certificates_found"] == 1
        assert "certificates_requested" not in stats


class Fixed:
    """A resolver that has something."""

    def __init__(self, *certificates: bytes) -> None:
        self.asked: list[JID] = []
        self._certificates = certificates

    async def find(self, jid: JID) -> tuple[bytes, ...]:
        self.asked.append(jid)
        return self._certificates


class Failing(Fixed):
    """A resolver that does not work."""

    async def find(self, jid: JID) -> tuple[bytes, ...]:
        await super().find(jid)
        raise RuntimeError("out of order")


class Hanging(Fixed):
    """A resolver that never answers."""

    async def find(self, jid: JID) -> tuple[bytes, ...]:
        await super().find(jid)
        await asyncio.get_running_loop().create_future()
        raise AssertionError


def of_ours() -> set[asyncio.Task]:
    """Return the tasks that run code of ours."""
    return {
        task
        for task in asyncio.all_tasks()
        if task.get_coro().cr_code.co_filename.replace("\\", "/").rpartition("/")[0].endswith("e2e/plugin")
    }


class TestResolvers:
    async def test_they_are_asked_in_order_until_one_helps(self, server, clients, pki):
        failing, empty = Failing(), Fixed(b"nonsense", *certificates(pki, "romeo"))
        helpful, never = Fixed(*certificates(pki, "juliet")), Fixed()
        romeo = await log_in(
            clients, pki, "romeo", resolvers=[failing, "pep", empty, helpful, never], **WAITING
        )
        inbox = Inbox(juliet := await log_in(clients, pki, "juliet"))
        romeo.send_message("juliet@localhost", "x", mtype="chat")
        assert juliet.plugin["e2e"].report(await inbox.next()).encrypted
        assert [each.asked for each in (failing, empty, helpful)] == [[JULIET]] * 3
        assert never.asked == []
        assert "certificates_requested" not in romeo.plugin["e2e"].stats()

    async def test_one_that_hangs_delays_the_request_and_nothing_else(self, server, clients, pki):
        romeo = await log_in(
            clients,
            pki,
            "romeo",
            resolvers=[Hanging()],
            policy={"*": "required", "mercutio@localhost": "off"},
            **WAITING,
        )
        romeo.plugin["e2e"]._search.patience = 0.2
        juliet = await log_in(clients, pki, "juliet", certificate_wait=0)
        mercutio = await clients.log_in("mercutio@localhost/m")
        his = Inbox(mercutio)
        hers = Inbox(juliet)
        romeo.send_message("juliet@localhost", "waits", mtype="chat")
        romeo.send_message("mercutio@localhost", "does not", mtype="chat")
        assert (await his.next())["body"] == "does not"
        assert hers.empty
        assert (await hers.next())["body"] == "waits"
        assert of_ours() == set()

    async def test_when_the_plugin_goes_its_tasks_go(self, server, clients, pki):
        hanging = Hanging()
        romeo = await log_in(clients, pki, "romeo", resolvers=[hanging], **PUBLIC, **WAITING)
        failures = Failures(romeo)
        romeo.send_message("juliet@localhost", "last words", mtype="chat")
        await round_trip(romeo)
        assert hanging.asked == [JULIET]
        assert of_ours()
        plugin = romeo.plugin["e2e"]
        romeo.plugin.disable("e2e")
        assert [each.stanza["body"] for each in failures.sent] == ["last words"]
        await plugin._closing
        assert of_ours() == set()

    async def test_a_question_that_is_given_up_leaves_nothing_behind(self, server, clients, pki):
        romeo = await clients.log_in("romeo@localhost/r")
        before = set(romeo.scheduled_events)
        task = asyncio.ensure_future(ask(romeo, "get", JULIET, Element(f"{{{PUBSUB}}}pubsub")))
        await asyncio.sleep(0)
        assert set(romeo.scheduled_events) != before
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert set(romeo.scheduled_events) == before

"""Copies of what we send can be read on our other devices, whose certificates stand in our own account."""

import asyncio
import json
from base64 import b64encode
from collections import Counter
from xml.etree.ElementTree import Element, SubElement

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from slixmpp_e2e import ConfigurationError
from slixmpp_e2e.cli.prosody import ThrowAwayProsody
from slixmpp_e2e.cms.certificates import read_certificates
from slixmpp_e2e.errors import StoreError
from slixmpp_e2e.namespaces import SASLCERT
from slixmpp_e2e.plugin.opening import Opening
from slixmpp_e2e.plugin.own_devices import OwnDevices, read_items

from .clients import Clients, Inbox, round_trip
from .protected import PKI, introduce, make_pki, protect

pytestmark = [
    pytest.mark.server,
    pytest.mark.prosody_modules,
    pytest.mark.parametrize("server", ["prosody"], indirect=True),
]

JULIET = "juliet@localhost"


@pytest.fixture
def prosody_configuration() -> str:
    """Prosody takes the last one of two settings with the same name."""
    modules = "roster saslauth disco ping pep carbons mam smacks offline blocklist client_certs"
    return f"modules_enabled = {{ {', '.join(map(json.dumps, modules.split()))} }}"


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> PKI:
    made = make_pki(tmp_path_factory.mktemp("pki"))
    made.issue("phone", JULIET)
    return made


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> PKI:
    """A PKI of the same names that nobody trusts."""
    return make_pki(tmp_path_factory.mktemp("strangers"))


def certificate(pki: PKI, name: str) -> bytes:
    pem = (pki.directory / f"{name}.crt").read_bytes()
    return read_certificates(pem)[0].public_bytes(Encoding.DER)


def put_down(server: ThrowAwayProsody, **certificates: bytes) -> None:
    """Write juliet's list as the module does; `util.x509` of Prosody 0.12 fails when it is asked to (Lua 5.4)."""
    directory = server._directory / "data" / "localhost" / "client_certs"
    directory.mkdir()
    items = (
        f'["{name}"] = {{ name = "{name}", x509cert = "{b64encode(der).decode()}" }};'
        for name, der in certificates.items()
    )
    (directory / "juliet.dat").write_text(f"return {{ {' '.join(items)} }};\n")


async def log_in(clients: Clients, pki: PKI, name: str, resource: str, **options):
    account = "juliet" if name == "phone" else name
    xmpp = await clients.log_in(f"{account}@localhost/{resource}", plugins=["xep_0280"], available=False)
    other = "romeo" if account == "juliet" else "juliet"
    intermediate = pki.directory / "intermediate.pem"
    intermediate.write_bytes(
        b"".join(each.public_bytes(Encoding.PEM) for each in pki.authority.intermediates)
    )
    known = {"peer_certificates": introduce(pki, other), "intermediates": intermediate}
    protect(xmpp, pki.options(name, **known, **options))
    await xmpp.plugin["xep_0280"].enable()
    xmpp.send_presence()
    await round_trip(xmpp)
    return xmpp


async def has_read(xmpp) -> None:
    await asyncio.wait_for(xmpp.plugin["e2e"]._own_devices._task, 5)


def learned(xmpp) -> list[bytes]:
    return [each[0] for each in xmpp.plugin["e2e"].protection.store.certificates(JULIET)]


@pytest.mark.parametrize("place", ["saslcert", "pep"])
async def test_the_other_device_reads_what_this_one_sent(server, clients, pki, place):
    phone = await log_in(clients, pki, "phone", "phone", publish_certificates=place == "pep")
    if place == "pep":
        await asyncio.wait_for(phone.plugin["e2e"]._publication._task, 5)
    else:
        put_down(server, phone=certificate(pki, "phone"))
    copies = Inbox(phone, "carbon_sent")
    juliet = await log_in(clients, pki, "juliet", "laptop", own_devices=place, publish_certificates=True)
    await has_read(juliet)
    await juliet.plugin["e2e"].publish_certificates()
    juliet.plugin["e2e"]._own_devices.start()  # and when her own one is there, too
    await has_read(juliet)
    assert learned(juliet) == [certificate(pki, "phone")]
    juliet.send_message("romeo@localhost", "canary", mtype="chat")
    copy = (await copies.next())["carbon_sent"]
    assert copy["body"] == "canary"
    assert phone.plugin["e2e"].report(copy).encrypted


async def test_without_the_option_it_can_t(server, clients, pki):
    put_down(server, phone=certificate(pki, "phone"))
    phone = await log_in(clients, pki, "phone", "phone")
    copies, juliet = Inbox(phone, "carbon_sent"), await log_in(clients, pki, "juliet", "laptop")
    assert juliet.plugin["e2e"]._own_devices._task is None
    juliet.send_message("romeo@localhost", "canary", mtype="chat")
    assert (await copies.next())["carbon_sent"]["body"] != "canary"


async def test_what_the_list_holds_must_be_trusted_and_ours(server, clients, pki, strangers):
    others = {"stranger": certificate(strangers, "juliet"), "romeo": certificate(pki, "romeo")}
    put_down(server, **others, nonsense=b"nonsense")
    juliet = await log_in(clients, pki, "juliet", "laptop", own_devices=["saslcert"])
    await has_read(juliet)
    assert juliet.plugin["e2e"].stats()["own_certificates_found"] == 3
    assert learned(juliet) == []


async def test_an_account_without_such_a_list_is_no_error(server, clients, pki, caplog):
    juliet = await log_in(clients, pki, "juliet", "laptop", own_devices=["pep", "saslcert"])
    await has_read(juliet)
    assert learned(juliet) == []
    assert [each for each in caplog.records if each.levelname in {"WARNING", "ERROR"}] == []


@pytest.mark.parametrize(("error", "said"), [(StoreError("full"), "can't be kept"), (KeyError(), "not read")])
async def test_what_fails_is_logged_and_the_next_place_is_read(
    server, clients, pki, caplog, monkeypatch, error, said
):
    put_down(server, phone=certificate(pki, "phone"))
    phone = await log_in(clients, pki, "phone", "phone", publish_certificates=True)
    await asyncio.wait_for(phone.plugin["e2e"]._publication._task, 5)
    juliet = await log_in(clients, pki, "juliet", "laptop")
    protection, asked = juliet.plugin["e2e"].protection, []

    def fails(found, jid, *, at_once):
        asked.append((found[0], jid.bare, at_once))
        raise error

    monkeypatch.setattr(type(protection), "take_certificates", staticmethod(fails))
    devices = OwnDevices(juliet, Opening(protection), ["saslcert", "pep"], Counter())
    devices.start()
    await asyncio.wait_for(devices._task, 5)
    assert asked == [(certificate(pki, "phone"), JULIET, 8)] * 2
    assert sum(said in each.getMessage() for each in caplog.records) == 2


async def test_who_does_not_encrypt_to_himself_reads_nothing(server, clients, pki):
    juliet = await log_in(clients, pki, "juliet", "l", own_devices=["saslcert"], encrypt_to_self=False)
    assert juliet.plugin["e2e"]._own_devices._task is None


@pytest.mark.parametrize("wrong", ["ldap", ["pep", "ldap"], [None], [["pep"]], {"pep"}])
async def test_unknown_places_are_an_error(server, clients, pki, wrong):
    juliet = await clients.log_in(f"{JULIET}/x")
    with pytest.raises(ConfigurationError, match="own_devices"):
        protect(juliet, pki.options("juliet", own_devices=wrong))


def test_items_that_are_none_are_left_out(server, pki):
    der = certificate(pki, "juliet")
    text = b64encode(der).decode()
    answer = Element("iq")
    items = SubElement(answer, f"{{{SASLCERT}}}items")
    for texts in ([text], [], [""], ["=" + text], [text, text], [text + "A" * 65 * 1024]):
        item = SubElement(items, f"{{{SASLCERT}}}item")
        for each in texts:
            SubElement(item, f"{{{SASLCERT}}}x509cert").text = each
    SubElement(items, "{other}item").append(items[0][0])
    assert read_items(answer) == [der]
    for _ in range(30):
        items.append(items[0])
    assert read_items(answer) == [der] * 11  # of the first sixteen

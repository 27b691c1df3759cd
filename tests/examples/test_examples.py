"""The examples are programs that work: each one is run against both servers."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from slixmpp_e2e import Metric
from tests.server.clients import Clients, Inbox, close, connect, round_trip, without_tls
from tests.server.conftest import clients, prosody_configuration, server  # noqa: F401 fixtures
from tests.server.protected import PKI, introduce, make_pki, protect

EXAMPLES = Path(__file__).parents[2] / "examples"


def load(name: str) -> ModuleType:
    specification = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> PKI:
    return make_pki(tmp_path_factory.mktemp("pki"))


async def log_in_talker(clients: Clients, pki: PKI, name: str, peer: str):  # noqa: F811
    talker = await clients.log_in(f"{name}@localhost/{name}")
    policy = {"*": "required", "jid:component.localhost": "required"}
    protect(talker, pki.options(name, peer_certificates=introduce(pki, peer), policy=policy))
    return talker, Inbox(talker)


def options(pki: PKI, name: str) -> dict:
    found = pki.options(name)
    del found["policy"]
    return found


async def test_the_echo_bot_answers_who_proves_who_he_is(server, clients, pki):  # noqa: F811
    bot = without_tls(load("echo_bot").EchoBot("juliet@localhost/bot", "secret", options(pki, "juliet")))
    try:
        await connect(bot, server.port)
        await round_trip(bot)
        romeo, inbox = await log_in_talker(clients, pki, "romeo", "juliet")
        stranger = await clients.log_in("mercutio@localhost/m")
        strange = Inbox(stranger)
        stranger.send_message("juliet@localhost/bot", "answer me", mtype="chat")
        romeo.send_message("juliet@localhost/bot", "Wherefore art thou?", mtype="chat")
        answer = await inbox.next()
        assert answer["body"] == "romeo@localhost said: Wherefore art thou?"
        assert romeo.plugin["e2e"].report(answer).encrypted
        await round_trip(stranger)
        assert strange.empty
    finally:
        await close(bot)


async def test_the_command_bot_obeys_the_list_of_signers_only(server, clients, pki):  # noqa: F811
    bot = load("command_bot").CommandBot(
        "juliet@localhost/bot", "secret", options(pki, "juliet"), operators=["romeo@localhost"]
    )
    without_tls(bot)
    try:
        await connect(bot, server.port)
        await round_trip(bot)
        romeo, his = await log_in_talker(clients, pki, "romeo", "juliet")
        mercutio, other = await log_in_talker(clients, pki, "mercutio", "juliet")
        romeo.send_message("juliet@localhost/bot", "deploy balcony-1.2", mtype="chat")
        assert (await his.next())["body"].startswith("Deployed balcony-1.2, ordered by romeo@localhost")
        mercutio.send_message("juliet@localhost/bot", "deploy plague", mtype="chat")
        assert (await other.next())["body"] == "mercutio@localhost may not give orders here."
        clear = await clients.log_in("romeo@localhost/elsewhere")
        clear.send_message("juliet@localhost/bot", "deploy in-clear", mtype="chat")
        await round_trip(clear)
        await round_trip(bot)
        assert bot.deployed == ["balcony-1.2"]
    finally:
        await close(bot)


async def test_the_component_answers_protected_questions(server, clients, pki):  # noqa: F811
    library = load("component").Library(
        "component.localhost", "secret", options(pki, "component"), shelves={"1": "Romeo and Juliet"}
    )
    try:
        await connect(library, server.component_port)
        romeo, inbox = await log_in_talker(clients, pki, "romeo", "component")
        romeo.send_message("component.localhost", "1", mtype="chat")
        answer = await inbox.next()
        assert answer["body"] == "Romeo and Juliet"
        assert romeo.plugin["e2e"].report(answer).signer == "component.localhost"
        stranger = await clients.log_in("mercutio@localhost/m")
        strange = Inbox(stranger)
        stranger.send_message("component.localhost", "1", mtype="chat")
        assert (await strange.next())["body"] == "Please sign and encrypt your question."
    finally:
        await close(library)


def test_prometheus_sees_the_counters_and_sizes_of_a_source():
    """The plugin is one (tests/plugin/test_metrics.py); what asks it is that of prometheus-client."""
    from prometheus_client import CollectorRegistry, generate_latest

    class Source:
        def metrics(self):
            return [Metric("refused_other-recipient", 2, "counter"), Metric("peers", 7, "gauge")]

    registry = CollectorRegistry()
    registry.register(load("metrics").E2ECollector(Source(), "juliet@localhost"))
    shown = generate_latest(registry).decode().splitlines()
    assert 'slixmpp_e2e_refused_other_recipient_total{account="juliet@localhost"} 2.0' in shown
    assert 'slixmpp_e2e_peers{account="juliet@localhost"} 7.0' in shown
    assert "# TYPE slixmpp_e2e_peers gauge" in shown

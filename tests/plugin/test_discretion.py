"""Logs show nothing of what was encrypted, unless somebody asks for it."""

import ast
import gc
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import SubElement

import pytest
import slixmpp
from slixmpp.exceptions import IqError, IqTimeout

import slixmpp_e2e
from slixmpp_e2e.errors import RefusedError
from slixmpp_e2e.plugin.discretion import _LOGGERS, where
from tests.plugin.test_filters import Filtered, carry
from tests.server.protected import PKI, make_pki

JULIET = "juliet@localhost/juliet"
ROMEO = "romeo@localhost/romeo"


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> PKI:
    return make_pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    caplog.set_level(logging.DEBUG)
    yield caplog
    caplog.clear()


def installed() -> int:
    return sum(len(logging.getLogger(name).filters) for name in _LOGGERS)


async def deliver(pki: PKI, **options: Any) -> Filtered:
    """Let romeo write, and juliet's stream deliver it to her program."""
    policy = {"*": options.pop("level", "required")}
    romeo, juliet = (
        Filtered(pki, "romeo", "juliet", policy=policy),
        Filtered(pki, "juliet", "romeo", **options),
    )
    outer = romeo.seal(romeo.message(JULIET, "SECRET"))
    bodies: list[str] = []
    juliet.xmpp.add_event_handler("message", lambda message: bodies.append(message["body"]))
    juliet.xmpp.recv_stanza(carry(outer, ROMEO, juliet))
    assert bodies == ["SECRET"]
    return juliet


async def test_what_was_decrypted_is_delivered_and_logged_as_an_outline(pki, log):
    await deliver(pki)
    assert "SECRET" not in log.text
    assert f"RECV: <message type='chat' from='{ROMEO}' to='{JULIET}'> (not shown)" in log.text


async def test_whoever_asks_for_it_sees_what_was_decrypted(pki, log):
    await deliver(pki, debug_plaintext=True)
    assert "<body>SECRET</body>" in log.text


async def test_what_everybody_could_read_is_logged(pki, log):
    await deliver(pki, level="sign")
    assert "<body>SECRET</body>" in log.text


async def test_what_came_in_clear_is_logged(pki, log):
    juliet = Filtered(pki, "juliet", "romeo", policy={"*": "off"})
    stanza = slixmpp.Message(juliet.xmpp, sfrom=ROMEO, sto=JULIET, stype="chat", recv=True)
    stanza["body"] = "in clear"
    juliet.xmpp.recv_stanza(stanza)
    assert "<body>in clear</body>" in log.text


@pytest.mark.parametrize(
    ("policy", "override", "shown"),
    [
        ("required", None, False),
        ("opportunistic", None, False),  # nobody knows yet
        ("off", None, True),
        ("off", "required", False),
        ("required", "off", True),
    ],
)
async def test_what_cannot_leave_yet_is_shown_only_if_it_will_leave_in_clear(
    pki, log, policy, override, shown
):
    romeo = Filtered(pki, "romeo", "juliet", policy={"*": policy})
    del romeo.xmpp.send  # slixmpp's own
    message = romeo.message("juliet@localhost", "SECRET")
    if override:
        romeo.plugin.override(message, override)
    message.send()
    assert "NOT SENT" in log.text
    assert ("SECRET" in log.text) is shown
    romeo.xmpp.waiting_queue.put_nowait((message, True))
    log.clear()
    romeo.xmpp._reset_sendq()
    assert "Discarded stanza" in log.text
    assert ("SECRET" in log.text) is shown


async def test_what_is_for_our_own_server_is_shown(pki, log):
    romeo = Filtered(pki, "romeo", "juliet")
    del romeo.xmpp.send
    romeo.xmpp.make_iq_get("urn:example:to-the-server", ito="localhost").send()
    assert "urn:example:to-the-server" in log.text


def request(client: Filtered) -> slixmpp.Iq:
    iq = client.xmpp.make_iq_set(ito=JULIET)
    SubElement(iq.xml, "{urn:example:x}query").text = "SECRET"
    return iq


def raise_in_handler(client: Filtered, error: Exception) -> None:
    def handler(_: Any) -> None:
        raise error

    client.xmpp.add_event_handler("something", handler)
    client.xmpp.event("something", {})


async def test_a_timeout_that_nobody_caught_does_not_show_the_request(pki, log):
    romeo = Filtered(pki, "romeo", "juliet")
    raise_in_handler(romeo, IqTimeout(request(romeo)))
    assert "Request timed out: <iq type='set'" in log.text
    assert "You should catch IqTimeout exceptions" in log.text
    assert "SECRET" not in log.text


async def test_an_error_that_nobody_caught_does_not_show_what_the_peer_said(pki, log):
    romeo, juliet = Filtered(pki, "romeo", "juliet"), Filtered(pki, "juliet", "romeo")
    iq = juliet.unseal(carry(romeo.seal(request(romeo)), ROMEO, juliet))
    answer = iq.reply()
    answer["type"] = "error"
    answer["error"]["condition"], answer["error"]["text"] = "forbidden", "SECRET"
    error = romeo.unseal(carry(juliet.seal(answer), JULIET, romeo))
    assert error["error"]["text"] == "SECRET"
    raise_in_handler(romeo, IqError(error))
    assert "forbidden: (not shown)" in log.text
    assert "You should catch IqError exceptions" in log.text
    assert "SECRET" not in log.text


async def test_stanzas_of_other_clients_are_none_of_our_business(pki, log):
    Filtered(pki, "romeo", "juliet")
    other = slixmpp.ClientXMPP("other@localhost", "")
    other.make_message("juliet@localhost", "of another client").send()
    assert "of another client" in log.text


async def test_it_is_gone_when_the_plugin_is_disabled_and_when_the_client_is_gone(pki):
    gc.collect()
    before = installed()
    juliet = Filtered(pki, "juliet", "romeo")
    assert installed() == before + len(_LOGGERS)
    juliet.xmpp.plugin.disable("e2e")
    assert installed() == before
    juliet = Filtered(pki, "juliet", "romeo")
    assert installed() == before + len(_LOGGERS)
    del juliet
    gc.collect()
    assert installed() == before


async def test_it_is_not_asked_where_debug_is_off(pki, monkeypatch, caplog):
    asked: list[logging.LogRecord] = []
    from slixmpp_e2e.plugin.discretion import Discretion

    monkeypatch.setattr(Discretion, "filter", lambda _self, record: asked.append(record) or True)
    caplog.set_level(logging.INFO)
    await deliver(pki)
    assert asked == []
    caplog.set_level(logging.DEBUG)
    await deliver(pki)
    assert asked


async def test_a_filter_that_fails_lets_nothing_pass(pki, log, monkeypatch):
    monkeypatch.setattr("slixmpp_e2e.plugin.discretion._outline", lambda _stanza: 1 / 0)
    await deliver(pki)
    assert "not logged: ZeroDivisionError at" in log.text
    assert "SECRET" not in log.text


def log_calls() -> Iterator[tuple[str, ast.Call]]:
    package = Path(slixmpp_e2e.__file__).parent
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("log."):
                yield path.relative_to(package).with_suffix("").as_posix(), node


#: Modules through whose hands stanzas go: an exception's text, or all that an error has to say, may quote them.
ON_THE_WAY = {
    f"plugin/{name}"
    for name in (
        "arrivals",
        "departures",
        "exchanges",
        "forwarded",
        "inbound",
        "lanes",
        "outbound",
        "resumption",
    )
}
#: What may never be an argument as it is.
SECRET = re.compile(
    r"(stanza|message|iq|presence|outer|inner|body|text|payload|password|pin|key|element)(\.xml)?"
)


def test_no_log_call_has_a_stanza_a_key_or_a_password_as_an_argument():
    calls = list(log_calls())
    assert len(calls) > 20
    for module, call in calls:
        arguments = [ast.unparse(each) for each in call.args[1:]]
        assert not [each for each in arguments if SECRET.fullmatch(each)], (module, ast.unparse(call))
        if module in ON_THE_WAY and call.func.attr != "debug":
            assert call.func.attr != "exception", (module, ast.unparse(call))
            assert not [each.arg for each in call.keywords if each.arg == "exc_info"], (
                module,
                ast.unparse(call),
            )
            assert not [each for each in arguments if "diagnostics" in each or each == "error"], module


async def test_what_a_peer_has_encrypted_is_not_quoted_in_the_log_but_to_the_program(pki, log):
    """A type of content, for instance: whoever moves blocks about could put something else in its place."""
    error = RefusedError("content of a type that is not read", reason="unsupported").quote(
        "application/secret"
    )
    juliet = Filtered(pki, "juliet", "romeo")
    stanza = slixmpp.Message(juliet.xmpp, sfrom=ROMEO, recv=True)
    juliet.plugin._inbound.tell(stanza, error)
    assert "content of a type that is not read" in log.text
    assert "application/secret" not in log.text
    assert "application/secret" in juliet.failures.received[0].error.diagnostics()


def test_an_exception_is_described_by_where_it_was_raised_and_not_by_its_text():
    def fail() -> None:
        raise ValueError("SECRET")

    try:
        fail()
    except ValueError as error:
        found = where(error)
    assert found.startswith("ValueError at test_discretion.py:")
    assert "in fail < test_discretion.py:" in found
    assert "SECRET" not in found
    assert where(KeyError("SECRET")) == "KeyError at an unknown place"

"""A report speaks of the words that came: what another plugin puts in their place was not signed by anybody."""

import copy
import logging
from xml.etree.ElementTree import SubElement

import pytest

from slixmpp_e2e.plugin.discretion import _LOGGERS
from tests.plugin.test_filters import Filtered, carry
from tests.server.protected import PKI, make_pki


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> PKI:
    return make_pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
async def juliet(pki) -> Filtered:
    return Filtered(pki, "juliet", "romeo")


@pytest.fixture
async def message(pki, juliet):
    """What arrived at juliet, as a handler gets it."""
    romeo = Filtered(pki, "romeo", "juliet")
    sent = romeo.message("juliet@localhost/juliet", "This message is encrypted.")
    SubElement(sent.xml, "{urn:example:other}encrypted").text = "..."
    return copy.copy(juliet.unseal(carry(romeo.seal(sent), "romeo@localhost/romeo", juliet)))


def set_body(message):
    message["body"] = "what was decrypted"


def drop_body(message):
    del message["body"]


def add_subject(message):
    message["subject"] = "what was decrypted"


def add_a_language(message):
    message["body|la"] = "quod occultum fuit"


@pytest.mark.parametrize("change", [set_body, drop_body, add_subject, add_a_language])
async def test_a_message_with_other_words_is_not_reported(juliet, message, change):
    twin = copy.copy(message)
    change(twin)
    assert juliet.plugin.report(message).authenticated
    assert juliet.plugin.report(twin) is None
    assert juliet.plugin.report(copy.copy(twin)) is None  # what is copied does not become true
    assert "e2e" not in str(twin)


async def test_the_words_put_back_are_those_that_came(juliet, message):
    body = message["body"]
    set_body(message)
    message["body"] = body
    assert juliet.plugin.report(message).authenticated


async def test_reading_changes_nothing(juliet, message):
    """slixmpp adds elements of plugins that it is asked for."""
    for plugin in ("xep_0085", "xep_0184", "xep_0203", "xep_0308", "xep_0359"):
        juliet.xmpp.register_plugin(plugin)
    before = len(message.xml)
    for name in ("delay", "replace", "stanza_id", "body", "subject", "thread", "chat_state", "type", "lang"):
        _ = message[name]
    assert len(message.xml) > before
    assert juliet.plugin.report(message).authenticated


async def test_an_answer_to_changed_words_is_protected_as_what_came_was(pki, message):
    set_body(message)
    juliet = Filtered(pki, "juliet", "romeo", policy={"*": "off"})
    outer = juliet.seal(message.reply("SECRET"))
    assert "SECRET" not in str(outer)


async def test_presence_that_shows_something_else_is_not_reported(pki, juliet):
    romeo = Filtered(pki, "romeo", "juliet")
    sent = romeo.xmpp.make_presence(pto="juliet@localhost/juliet", pshow="away", pstatus="gone to Mantua")
    presence = juliet.unseal(carry(romeo.seal(sent), "romeo@localhost/romeo", juliet))
    assert (presence["show"], presence["status"], presence["type"]) == ("away", "gone to Mantua", "away")
    assert juliet.plugin.report(presence).authenticated
    presence["show"] = "chat"
    assert juliet.plugin.report(presence) is None


async def test_a_log_does_not_show_what_was_made_of_a_protected_message(juliet, message, caplog):
    set_body(message)
    with caplog.at_level(logging.DEBUG):
        logging.getLogger(_LOGGERS[0]).debug("RECV: %s", message)
    assert "RECV" in caplog.text
    assert "what was decrypted" not in caplog.text

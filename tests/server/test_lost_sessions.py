"""A session that does not come back: what the server never confirmed is reported, and the next one starts clean."""

import pytest

from slixmpp_e2e.errors import UnconfirmedError

from .clients import Inbox, round_trip
from .conftest import EVERY_SERVER
from .couple import Party, couple
from .protected import PKI, make_pki


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> PKI:
    return make_pki(tmp_path_factory.mktemp("pki"))


def forget_session(romeo: Party) -> None:
    """The server will not know the session that he wants to resume."""
    romeo.plugin("xep_0198").sm_id = "forgotten"


def want_no_resumption(romeo: Party) -> None:
    """He does not ask for it: every connection is a session of its own."""
    romeo.plugin("xep_0198").allow_resume = False


async def lose(romeo: Party, *bodies: str) -> None:
    """Send messages that the server never gets, and come back with a new session."""
    started = Inbox(romeo.xmpp, "stream_negotiated")
    romeo.proxy.swallow("from_clients")
    for body in bodies:
        romeo.xmpp.send_message(romeo.peer, body, mtype="chat")
    await romeo.proxy.wait_for("from_clients", b"<message", seconds=5)
    romeo.proxy.cut()
    await started.next()


@pytest.mark.parametrize("server", EVERY_SERVER, indirect=True)
@pytest.mark.parametrize("how", [forget_session, want_no_resumption])
async def test_what_was_never_confirmed_is_reported_and_counted_from_nothing(server, pki, how):
    async with couple(server.port, pki, reconnect=True) as (romeo, juliet):
        inbox = Inbox(juliet.xmpp)
        for number in range(3):  # his counters are above zero
            romeo.xmpp.send_message(romeo.peer, f"before {number}", mtype="chat")
        await inbox.take(3)
        romeo.plugin("xep_0198").request_ack()
        await round_trip(romeo.xmpp)
        for times in (1, 2):
            how(romeo)
            romeo.proxy.forget_wire()
            await lose(romeo, *(f"lost {times}{letter}" for letter in "ab"))
            reported = [each.stanza["body"] for each in romeo.failures.sent]
            assert reported == [f"lost {each}{letter}" for each in range(1, times + 1) for letter in "ab"]
            assert all(isinstance(each.error, UnconfirmedError) for each in romeo.failures.sent)
            romeo.xmpp.send_message(romeo.peer, f"after {times}", mtype="chat")
            assert (await inbox.next())["body"] == f"after {times}"
            romeo.plugin("xep_0198").request_ack()
            await round_trip(romeo.xmpp)
            assert romeo.plugin("e2e").stats()["unacknowledged"] == 0
            management = romeo.plugin("xep_0198")
            assert management.seq - management.last_ack == len(management.unacked_queue)
        assert inbox.empty
        assert not juliet.failures.received

"""A client on a server that belongs to the attacker."""

from collections.abc import AsyncIterator

import pytest

from tests.security.hostile import CONTACTS, HostileServer, Insider
from tests.security.victim import EVENTS, JULIET, PLUGINS, Victim
from tests.server.clients import close, connect, new_client
from tests.server.protected import PKI, introduce, make_pki, protect


@pytest.fixture(scope="session")
def victims_pki(tmp_path_factory: pytest.TempPathFactory) -> PKI:
    """Certificates, also for the nurse."""
    made = make_pki(tmp_path_factory.mktemp("pki"))
    made.issue("nurse", "nurse@localhost")
    return made


@pytest.fixture
async def victim(victims_pki) -> AsyncIterator[Victim]:
    async with HostileServer(JULIET) as server:
        xmpp = new_client(JULIET, plugins=PLUGINS)
        try:
            failures = protect(
                xmpp, victims_pki.options("juliet", peer_certificates=introduce(victims_pki, "romeo"))
            )
            await connect(xmpp, server.port)
            await xmpp.get_roster()
            xmpp.send_presence()
            built = Victim(server, xmpp, failures, Insider(victims_pki, "romeo", "juliet"), victims_pki)
            xmpp.plugin["xep_0050"].add_command(
                node="poison",
                name="Poison",
                handler=lambda iq, session: built.executed.append(iq) or session,
            )
            for event in EVENTS:
                xmpp.add_event_handler(event, lambda _data, event=event: built.events.append(event))
            await built.calm()
            assert {jid: xmpp.client_roster[jid]["subscription"] for jid in CONTACTS} == CONTACTS
            yield built
        finally:
            await close(xmpp)

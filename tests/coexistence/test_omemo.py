"""slixmpp-omemo in the same client: what is asked of a message is asked of one of OMEMO's too.

For us its message is a message like any other. A policy that demands protection does not know what OMEMO is worth,
and what OMEMO proves is never said to be proven by a certificate.
"""

import pytest
from slixmpp import JID

from slixmpp_e2e import SecurityReport
from tests.server.clients import Inbox, round_trip
from tests.server.couple import Party
from tests.server.wire import exchanged

pytestmark = [pytest.mark.server, pytest.mark.omemo]

SECRET = "the canary of Verona"
ENCRYPTED = "{eu.siacs.conversations.axolotl}encrypted"
JULIET = "juliet@localhost"
#: Device lists and bundles stand in accounts (XEP-0163): their servers must be able to read the questions.
REQUIRED = {"*": {"message": "required", "presence": "required", "iq": "opportunistic"}}
ROOM = JID("hall@rooms.localhost")


def messages(party: Party) -> list[str]:
    """The elements of all messages that crossed a wire, those that servers sent by themselves left out."""
    found = exchanged(party.proxy, JID(party.peer).bare)
    return [
        child.tag
        for each in found
        if each.tag.endswith("}message")
        for child in each
        if each.get("type") == "chat"
    ]


async def converse(romeo: Party, juliet: Party) -> list[SecurityReport | None]:
    """Let romeo say something by OMEMO, and juliet answer; return what was proven about what came."""
    from tests.coexistence.omemo import decrypted, encrypted

    reports = []
    for here, there in ((romeo, juliet), (juliet, romeo)):
        inbox, tagged = Inbox(there.xmpp), Inbox(there.xmpp, "message_encryption")
        sent = await encrypted(here.xmpp, JID(here.peer).bare, SECRET)
        assert SECRET not in str(sent)
        sent.send()
        came = await inbox.next()
        assert (came["id"], came["body"]) == (sent["id"], sent["body"])
        assert came.xml.find(ENCRYPTED) is not None
        assert (await tagged.next())["eme"]["namespace"] == ENCRYPTED[1:-10]
        plain = await decrypted(there.xmpp, came)
        assert plain["body"] == SECRET
        assert there.report(plain) is None, "nobody has signed that"
        reports.append(there.report(came))
    return reports


@pytest.mark.parametrize(
    ("policy", "known", "protected"),
    [
        ({"*": "off"}, True, False),
        ({"*": "opportunistic"}, False, False),
        ({"*": "opportunistic"}, True, True),
        (REQUIRED, True, True),
    ],
    ids=["off", "opportunistic, nobody known", "opportunistic", "required"],
)
async def test_a_message_of_omemo_is_protected_as_any_other(log_in, policy, known, protected):
    options = {"policy": policy, "omemo": True, **({} if known else {"peer_certificates": ()})}
    romeo, juliet = await log_in("romeo", **options), await log_in("juliet", **options)
    reports = await converse(romeo, juliet)
    for party, report in zip((romeo, juliet), reports, strict=True):
        assert (report is not None and report.authenticated) == protected
        found = messages(party)
        assert (ENCRYPTED in found) != protected
        assert ("{urn:ietf:params:xml:ns:xmpp-e2e}e2e" in found) == protected
        assert SECRET.encode() not in party.proxy.recorded_from_clients
        assert not party.failures.sent
        assert set(party.failures.reasons) <= {"unprotected"}, "news of the device lists, under `required`"


async def test_omemo_alone_is_a_decision_for_each_message(log_in):
    """For somebody whose other devices have OMEMO and no certificate."""
    from tests.coexistence.omemo import decrypted, encrypted

    romeo = await log_in("romeo", omemo=True, policy=REQUIRED)
    juliet = await log_in("juliet", omemo=True, policy={"*": "opportunistic"})
    inbox = Inbox(juliet.xmpp)
    message = await encrypted(romeo.xmpp, JULIET, SECRET)
    romeo.plugin("e2e").override(message, "off")
    message.send()
    came = await inbox.next()
    assert juliet.report(came) is None
    assert (await decrypted(juliet.xmpp, came))["body"] == SECRET
    assert ENCRYPTED in messages(juliet)


async def test_omemo_alone_is_not_enough_where_protection_is_demanded(log_in):
    """And juliet's program does not see it: OMEMO knows nothing of our trust."""
    from tests.coexistence.omemo import encrypted

    romeo = await log_in("romeo", omemo=True, policy={"*": "off"})
    juliet = await log_in("juliet", omemo=True, policy=REQUIRED)
    inbox = Inbox(juliet.xmpp)
    (await encrypted(romeo.xmpp, JULIET, SECRET)).send()
    await round_trip(romeo.xmpp)
    await round_trip(juliet.xmpp)
    assert inbox.empty
    chats = [each.stanza for each in juliet.failures.received if each.stanza["type"] == "chat"]
    assert [each.xml.find(ENCRYPTED) is not None for each in chats] == [True]


async def test_omemo_can_ask_no_server_where_requests_must_be_protected(log_in):
    from tests.coexistence.omemo import encrypted

    romeo = await log_in("romeo", omemo=True, policy={"*": "required"})
    await log_in("juliet", omemo=True)
    with pytest.raises(Exception, match="juliet@localhost"):
        await encrypted(romeo.xmpp, JULIET, SECRET)
    failures = romeo.failures.sent
    assert failures
    assert {failure.error.code for failure in failures} == {"unprotectable"}
    assert {(each.stanza.name, each.stanza["to"].full) for each in failures} == {("iq", JULIET)}
    assert ENCRYPTED not in messages(romeo)

"""Two whose private keys are in tokens talk to each other: romeo's is RSA, juliet's on P-256."""

import threading
from typing import Any

import pkcs11
import pytest
from slixmpp.exceptions import IqError

from slixmpp_e2e.stores.pkcs11 import Token
from tests.softhsm import MODULE, PIN, SoftHSM

from .clients import Inbox
from .couple import couple
from .protected import PKI, make_pki
from .wire import exchanged

pytestmark = [pytest.mark.pkcs11, pytest.mark.parametrize("server", ["loopback"], indirect=True)]

SECRET = "the canary of Verona"


@pytest.fixture
def files(tmp_path, pki, softhsm: SoftHSM) -> PKI:
    """What the accounts have in files beside the tokens: the anchor, and each other's certificate."""
    found = make_pki(tmp_path)
    found.anchors.write_bytes(pki.root.pem)
    for name, entity in softhsm.server.items():
        (tmp_path / f"{name}.token.crt").write_bytes(entity.pem + pki.intermediate.pem)
    return found


def options(softhsm: SoftHSM, files: PKI, name: str, other: str):
    return {
        "certificate": None,
        "private_key": None,
        "pkcs11": softhsm.uri("server", name),
        "password": lambda: PIN,
        "peer_certificates": files.directory / f"{other}.token.crt",
    }


@pytest.fixture
def threads(monkeypatch) -> set[str]:
    """The threads in which tokens are used."""
    found: set[str] = set()
    use = Token.use

    def witnessed(token: Token, *arguments: Any) -> Any:
        found.add(threading.current_thread().name.partition("_")[0])
        return use(token, *arguments)

    monkeypatch.setattr(Token, "use", witnessed)
    return found


async def test_they_converse_though_a_token_is_pulled_out(server, softhsm, files, threads):
    his, hers = options(softhsm, files, "romeo", "juliet"), options(softhsm, files, "juliet", "romeo")
    async with couple(server.port, files, ["xep_0199"], romeo=his, juliet=hers) as (romeo, juliet):
        threads.clear()  # when they start, the tokens may be waited for
        from_her, from_him = Inbox(romeo.xmpp), Inbox(juliet.xmpp)
        for number in range(4):
            if number == 2:
                pkcs11.lib(str(MODULE)).reinitialize()  # every session is lost, as when cards are pulled out
            romeo.xmpp.send_message(romeo.peer, f"{SECRET} {number}", mtype="chat")
            juliet.xmpp.send_message(juliet.peer, f"{SECRET} {number}", mtype="chat")
            for party, inbox, name in ((juliet, from_him, "juliet"), (romeo, from_her, "romeo")):
                message = await inbox.next()
                assert message["body"] == f"{SECRET} {number}"
                assert party.trusts(message)
                own = softhsm.server[name].parsed.fingerprint
                assert party.report(message).decrypted_with == own
        pong = await romeo.plugin("xep_0199").send_ping(romeo.peer, timeout=5)
        assert romeo.trusts(pong)
        assert threads == {"e2e-key"}
        for party in (romeo, juliet):
            assert party.check_opaque(SECRET) == 10
            assert party.unhurt


async def test_a_token_that_is_gone_sends_nothing_in_clear_and_says_why(server, softhsm, files, monkeypatch):
    """The ping fails at once, as what can't be protected does."""
    his, hers = options(softhsm, files, "romeo", "juliet"), options(softhsm, files, "juliet", "romeo")
    async with couple(server.port, files, ["xep_0199"], romeo=his, juliet=hers) as (romeo, juliet):
        key = romeo.plugin("e2e").protection.identity.key
        token = key._token
        token._forget()
        monkeypatch.setattr(token, "_uri", type(token._uri)(str(MODULE), token="elsewhere"))
        romeo.xmpp.send_message(romeo.peer, SECRET, mtype="chat")
        with pytest.raises(IqError):
            await romeo.plugin("xep_0199").send_ping(romeo.peer, timeout=5)
        assert [failure.error.code for failure in romeo.failures.sent] == 2 * ["configuration"]
        assert "there is no token that is pkcs11:token=elsewhere" in str(romeo.failures.sent[0].error)
        assert not exchanged(romeo.proxy, "juliet@localhost")
        assert juliet.unhurt

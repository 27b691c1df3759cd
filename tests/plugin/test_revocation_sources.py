"""`revocation_http` and `revocation_sources`: who is asked, when, and what waits for the answer."""

import asyncio
import datetime as dt
import sys
from pathlib import Path
from typing import Any

import pytest
from slixmpp import JID

from slixmpp_e2e import ConfigurationError, Evidence, SignatureError
from slixmpp_e2e.certificates.ocsp import OCSPResponse
from slixmpp_e2e.certificates.revocation import RevocationSource
from slixmpp_e2e.plugin import revocation
from slixmpp_e2e.plugin.configuration import DEFAULTS, build_protection
from slixmpp_e2e.stores.http_revocation import HTTPRevocation
from tests.certificates import responses as answers
from tests.certificates.building import authority, end_entity
from tests.certificates.responses import response
from tests.pki import Entity
from tests.server.clients import new_client
from tests.server.protected import protect
from tests.stores.test_http_revocation import LOOPBACK, access
from tests.stores.web import Server, served

JULIET = JID("juliet@localhost/balcony")


@pytest.fixture(scope="module")
def root() -> Entity:
    return authority("Root")


class Files:
    """A CA and the files of its accounts."""

    def __init__(self, directory: Path, root: Entity, *extensions: Any) -> None:
        self.directory, self.root, self.accounts = directory, root, {}
        (directory / "root.pem").write_bytes(root.pem)
        for name in ("romeo", "juliet"):
            somebody = self.accounts[name] = end_entity(*extensions, issuer=root, jid=f"{name}@localhost")
            (directory / f"{name}.crt").write_bytes(somebody.pem)
            (directory / f"{name}.key").write_bytes(somebody.key_pem)

    def options(self, name: str, **more: Any) -> dict[str, Any]:
        """Return the plugin's options for an account."""
        return {
            "certificate": self.directory / f"{name}.crt",
            "private_key": self.directory / f"{name}.key",
            "trust_anchors": self.directory / "root.pem",
            "store": "memory",
            "policy": {"*": "required"},
            **more,
        }

    def says(self, name: str, state: Any = answers.GOOD) -> bytes:
        """Return what a responder says now of an account's certificate."""
        issued = dt.datetime.now(dt.UTC).replace(microsecond=0) - dt.timedelta(minutes=1)
        return response(self.root, self.accounts[name], state, issued=issued)


@pytest.fixture
def files(root, tmp_path) -> Files:
    return Files(tmp_path, root)


class Source:
    """A source that a test answers for."""

    def __init__(self) -> None:
        self.evidence, self.asked = Evidence(), 0
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def fetch(self, wanted, *, at):
        self.asked += 1
        await self.may_answer.wait()
        return self.evidence if wanted else Evidence()

    def brings(self, der: bytes) -> None:
        self.evidence = Evidence(responses=(OCSPResponse.from_der(der),))


async def until(condition) -> None:
    """Wait until something is so."""
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    pytest.fail("it never was so")


class TestOptions:
    def sources(self, files, **options):
        found = build_protection({**DEFAULTS, **files.options("romeo", **options)})
        return found.authority.revocation.sources

    def test_nobody_is_asked_unless_it_is_said(self, files):
        assert self.sources(files) == ()

    def test_what_a_program_brings_is_asked_and_then_http(self, files):
        source = Source()
        found = self.sources(files, revocation_sources=[source], revocation_http=True)
        assert found[0] is source
        assert isinstance(found[1], HTTPRevocation)
        assert len(found) == 2

    def test_with_either_hard_needs_no_files(self, files):
        assert len(self.sources(files, revocation="hard", revocation_http=True)) == 1
        assert len(self.sources(files, revocation="hard", revocation_sources=[Source()])) == 1

    @pytest.mark.parametrize("value", ["http", [object()], [None], [HTTPRevocation], [RevocationSource]])
    def test_what_is_no_source_is_an_error(self, files, value):
        with pytest.raises(ConfigurationError, match="revocation_sources"):
            self.sources(files, revocation_sources=value)

    def test_without_aiohttp_it_says_what_to_install(self, files, monkeypatch):
        for name in ("slixmpp_e2e.stores.http_revocation", "slixmpp_e2e.stores.bounded_http"):
            monkeypatch.delitem(sys.modules, name, raising=False)
        monkeypatch.setitem(sys.modules, "aiohttp", None)
        with pytest.raises(ConfigurationError, match=r"pip install 'slixmpp_e2e\[http\]'"):
            self.sources(files, revocation_http=True)


class TestOverHTTP:
    @pytest.fixture
    async def server(self):
        async with served() as found:
            yield found

    async def test_who_was_revoked_is_refused_after_the_round(
        self, root, tmp_path, server: Server, monkeypatch
    ):
        monkeypatch.setattr(revocation, "DELAY", 0.01)
        files = Files(tmp_path, root, access(server.url("/ocsp")))
        server.content["/ocsp"] = files.says("juliet", answers.REVOKED)
        romeo, juliet = (new_client(f"{name}@localhost/x") for name in ("romeo", "juliet"))
        protect(romeo, files.options("romeo", revocation_sources=[HTTPRevocation(LOOPBACK)]))
        protect(juliet, files.options("juliet", peer_certificates=tmp_path / "romeo.crt"))
        plugin = romeo.plugin["e2e"]
        plugin.session_bind(romeo.boundjid)

        async def arrives():
            message = juliet.make_message("romeo@localhost/x", "x", mtype="chat")
            outer = await juliet.plugin["e2e"].protect(message)
            outer["from"] = juliet.boundjid
            return plugin.report(await plugin.unprotect(outer))

        assert (await arrives()).revocation == "unknown"
        assert plugin.protection.can_encrypt_to(JULIET)
        await until(lambda: len(plugin.protection.authority.revocation.responses))
        with pytest.raises(SignatureError) as refused:
            await arrives()
        assert refused.value.reason == "revoked"
        assert not plugin.protection.can_encrypt_to(JULIET)
        for xmpp in (romeo, juliet):
            xmpp.plugin.disable("e2e")


class TestWaiting:
    """With `hard`, what leaves waits for the answer about a certificate that is there."""

    @pytest.fixture
    def source(self) -> Source:
        return Source()

    @pytest.fixture
    async def romeo(self, files, source):
        xmpp = new_client("romeo@localhost/x")
        xmpp._always_send_everything = True  # as if there were a stream
        xmpp.sent = []
        xmpp.send = xmpp.sent.append
        options = {
            "peer_certificates": files.directory / "juliet.crt",
            "revocation": "hard",
            "revocation_sources": [source],
            "resolvers": [],
            "request_certificates": False,
        }
        xmpp.failures = protect(xmpp, files.options("romeo", **options))
        yield xmpp
        if "e2e" in xmpp.plugin:
            xmpp.plugin.disable("e2e")

    @staticmethod
    def parks(xmpp) -> bool:
        return xmpp.plugin["e2e"]._outbound.parking.take(xmpp.make_message(JULIET, "x"))

    async def test_it_leaves_when_the_certificate_is_good(self, files, romeo, source):
        source.brings(files.says("juliet"))
        assert self.parks(romeo)
        assert self.parks(romeo)
        await until(lambda: romeo.sent)
        assert (len(romeo.sent), romeo.failures.sent, source.asked) == (2, [], 1)
        assert not romeo.plugin["e2e"]._revocation._waiting

    async def test_it_fails_at_once_when_it_was_revoked(self, files, romeo, source):
        source.brings(files.says("juliet", answers.REVOKED))
        assert self.parks(romeo)
        await until(lambda: romeo.failures.sent)
        assert romeo.failures.sent[0].error.code == "no-certificate"

    async def test_it_fails_at_once_when_nobody_knows_and_so_does_the_next(self, romeo, source):
        assert self.parks(romeo)
        await until(lambda: romeo.failures.sent)
        assert not self.parks(romeo)  # nobody is asked again within the minute
        assert source.asked == 1

    async def test_a_round_that_began_before_is_not_the_answer(self, files, romeo, source):
        plugin = romeo.plugin["e2e"]
        source.may_answer.clear()
        plugin._revocation._begin()
        await until(lambda: source.asked)
        source.brings(files.says("juliet"))
        assert self.parks(romeo)
        await asyncio.sleep(0)
        source.may_answer.set()
        await until(lambda: romeo.sent)
        assert source.asked == 2

    async def test_with_soft_nothing_waits(self, files, source):
        xmpp = new_client("romeo@localhost/x")
        xmpp._always_send_everything = True  # as if there were a stream
        options = {"peer_certificates": files.directory / "juliet.crt", "revocation_sources": [source]}
        protect(xmpp, files.options("romeo", **options))
        assert not self.parks(xmpp)
        assert source.asked == 0
        xmpp.plugin.disable("e2e")

    async def test_a_certificate_that_is_found_first_is_asked_about(self, files, source):
        class Shelf:
            async def find(self, jid):
                return [files.accounts["juliet"].der]

        xmpp = new_client("romeo@localhost/x")
        xmpp._always_send_everything = True  # as if there were a stream
        xmpp.sent = []
        xmpp.send = xmpp.sent.append
        source.brings(files.says("juliet"))
        options = {"revocation": "hard", "revocation_sources": [source], "resolvers": [Shelf()]}
        protect(xmpp, files.options("romeo", **options))
        assert self.parks(xmpp)
        await until(lambda: xmpp.sent)
        assert xmpp.plugin["e2e"].protection.can_encrypt_to(JULIET)
        assert source.asked == 1
        xmpp.plugin.disable("e2e")

    async def test_it_ends_with_the_plugin(self, romeo, source):
        source.may_answer.clear()
        assert self.parks(romeo)
        await until(lambda: source.asked)
        tasks = [*romeo.plugin["e2e"]._revocation._waiting.values(), romeo.plugin["e2e"]._revocation._running]
        romeo.plugin.disable("e2e")
        await asyncio.wait(tasks)
        assert all(each.cancelled() for each in tasks)
        assert len(romeo.failures.sent) == 1

    async def test_several_wait_for_one_round(self, files, romeo, source):
        plugin = romeo.plugin["e2e"]
        source.may_answer.clear()
        source.brings(files.says("juliet"))
        assert self.parks(romeo)
        assert plugin._revocation.find(JULIET)  # is under way already
        await until(lambda: source.asked)
        second = asyncio.create_task(plugin._revocation.settle(JULIET))
        await asyncio.sleep(0)
        source.may_answer.set()
        assert await second
        assert source.asked == 1
        assert not await plugin._revocation.settle(JULIET)

    async def test_what_goes_wrong_in_the_end_gives_up_what_waits(self, romeo, monkeypatch):
        plugin = romeo.plugin["e2e"]

        def fail(_):
            raise ZeroDivisionError

        assert self.parks(romeo)
        plugin._revocation.search = fail
        await until(lambda: romeo.failures.sent)
        assert romeo.sent == []


class TestSoon:
    async def test_it_is_not_long_until_what_is_wanted_is_asked_for(self, files, monkeypatch):
        monkeypatch.setattr(revocation, "DELAY", 0.02)
        source, xmpp = Source(), new_client("romeo@localhost/x")
        options = {"peer_certificates": files.directory / "juliet.crt", "revocation_sources": [source]}
        protect(xmpp, files.options("romeo", **options))
        plugin = xmpp.plugin["e2e"]
        assert plugin.protection.can_encrypt_to(JULIET)  # before there is a stream
        plugin.session_bind(xmpp.boundjid)
        source.may_answer.clear()
        await until(lambda: source.asked == 1)
        plugin._revocation._begin_soon()  # while a round is under way
        await asyncio.sleep(0.05)
        assert source.asked == 1
        source.may_answer.set()
        await until(lambda: source.asked == 2)
        plugin._revocation._begin_soon()
        xmpp.plugin.disable("e2e")
        assert plugin._revocation._soon is None
        await asyncio.sleep(0.05)
        assert source.asked == 2

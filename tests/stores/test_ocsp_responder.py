"""A responder of somebody else's: `openssl ocsp`."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from slixmpp_e2e.certificates.revocation import RevocationChecker
from slixmpp_e2e.certificates.revocation_status import RevocationState
from slixmpp_e2e.stores.http_revocation import HTTPRevocation
from tests.certificates.building import REVOKED_ON, authority, certificate, new_key
from tests.certificates.responses import responder
from tests.pki import Entity
from tests.stores.test_http_revocation import LOOPBACK, access

pytestmark = pytest.mark.peer


class Responder:
    """`openssl ocsp` with a throw-away CA, whose database is a file."""

    def __init__(self, directory: Path, *, delegated: bool) -> None:
        self._directory = directory
        self.root = authority("Root")
        signer = responder(self.root) if delegated else self.root
        for name, octets in (
            ("root.pem", self.root.pem),
            ("signer.pem", signer.pem),
            ("signer.key", signer.key_pem),
        ):
            (directory / name).write_bytes(octets)
        (directory / "index.txt").write_text("")
        self.port = 0

    def issue(self) -> Entity:
        """Return somebody whom the CA certifies."""
        key = new_key()
        url = access(f"http://127.0.0.1:{self.port}/")
        return Entity("somebody", key, certificate(key, (url,), issuer=self.root))

    def enter(self, entity: Entity, reason: str | None = None) -> None:
        """Enter a certificate into the database; with a reason, it was revoked."""
        found, revoked = entity.certificate, f"{REVOKED_ON:%y%m%d%H%M%SZ}"
        fields = (
            "V" if reason is None else "R",
            "491231000000Z",
            "" if reason is None else f"{revoked},{reason}",
            f"{found.serial_number:X}".zfill(40),
            "unknown",
            "/CN=somebody",
        )
        with (self._directory / "index.txt").open("a") as file:
            file.write("\t".join(fields) + "\n")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the program; it reads its database when it starts."""
        process = await asyncio.create_subprocess_exec(
            *("openssl", "ocsp", "-port", str(self.port), "-index", "index.txt", "-CA", "root.pem"),
            *("-rsigner", "signer.pem", "-rkey", "signer.key", "-rmd", "sha256", "-nmin", "60"),
            cwd=self._directory,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            assert process.stdout is not None
            said = b""
            while (found := re.search(rb"ACCEPT .*:(\d+)", said)) is None:
                line = await asyncio.wait_for(process.stdout.readline(), 10)
                assert line, said
                said += line
            self.port = int(found[1])
            yield
        finally:
            process.terminate()
            await process.communicate()


async def ask(responder: Responder, *entities: Entity) -> list[RevocationState]:
    checker = RevocationChecker(sources=[HTTPRevocation(LOOPBACK)])
    now = datetime.now(UTC)
    paths = [(each.certificate, responder.root.certificate) for each in entities]
    for path in paths:
        checker.check(path, at=now)
    await checker.refresh(at=now)
    return [checker.check(path, at=now).state for path in paths]


@pytest.mark.parametrize("delegated", [False, True])
async def test_what_it_says_is_understood(tmp_path, delegated):
    responder = Responder(tmp_path, delegated=delegated)
    async with responder.running():
        pass  # now its port is known, and can stand in certificates
    good, revoked, unknown = (responder.issue() for _ in range(3))
    responder.enter(good)
    responder.enter(revoked, "keyCompromise")
    async with responder.running():
        found = await ask(responder, good, revoked, unknown)
    assert found == [RevocationState.GOOD, RevocationState.REVOKED, RevocationState.UNKNOWN]


async def test_when_it_is_gone_nothing_is_known(tmp_path):
    responder = Responder(tmp_path, delegated=True)
    async with responder.running():
        pass
    assert await ask(responder, responder.issue()) == [RevocationState.UNKNOWN]

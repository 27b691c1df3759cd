"""A PostgreSQL server of our own, and its store as if it need not be waited for."""

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import Coroutine, Iterable, Mapping
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Final

from slixmpp_e2e.certificates.shared_store import Known, SharedStore
from slixmpp_e2e.certificates.store import Chain
from slixmpp_e2e.errors import StoreError
from slixmpp_e2e.freshness import Admission
from slixmpp_e2e.report import Trust
from tests.conftest import _PLACES as PLACES

#: initdb and postgres refuse to be run by root.
_OWNER: Final[dict[str, Any]] = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
OPTIONS: Final = "-c listen_addresses= -c max_connections=60"


class Server:
    """A server behind a Unix socket, with a data directory that goes with it."""

    def __init__(
        self, *, durable: bool = False, options: str = "", files: Mapping[str, bytes] | None = None
    ) -> None:
        self.directory = Path(mkdtemp(prefix="e2e-pg-"))  # short: the name of a socket is
        if _OWNER:
            shutil.chown(self.directory, **_OWNER)
        self.data = self.directory / "data"
        self._options = f"{OPTIONS} -k {self.directory} -c fsync={'on' if durable else 'off'} {options}"
        try:
            self._make(files or {})
            self.start()
        except BaseException:
            self.close()
            raise

    def _make(self, files: Mapping[str, bytes]) -> None:
        self._run(
            "initdb", "--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-locale", "--data-checksums",
            "--no-sync",
        )  # fmt: skip
        for name, octets in files.items():
            path = self.data / name
            path.write_bytes(octets)
            path.chmod(0o600)
            if _OWNER:
                shutil.chown(path, **_OWNER)

    def _run(self, program: str, *arguments: str) -> None:
        path = shutil.which(program, path=PLACES)
        assert path is not None, program
        # its children inherit the output, so it is a file: a pipe would stay open as long as the server runs
        with (self.directory / "log").open("ab") as log:
            subprocess.run(
                [path, "-D", str(self.data), *arguments],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=True, cwd=self.directory, **_OWNER,
            )  # fmt: skip

    def start(self) -> None:
        """Start, and wait until it answers."""
        self._run("pg_ctl", "start", "-w", "-o", self._options)

    def stop(self, mode: str = "fast") -> None:
        """Stop it: `immediate` is a crash."""
        self._run("pg_ctl", "stop", "-w", "-m", mode)

    def url(self, database: str = "postgres") -> str:
        """Return where it is."""
        return f"postgresql://postgres@/{database}?host={self.directory}"

    @property
    def pid(self) -> int:
        """The process that the others are children of."""
        return int((self.data / "postmaster.pid").read_text().splitlines()[0])

    def close(self) -> None:
        """Stop it and remove all of it."""
        try:
            if (self.data / "postmaster.pid").exists():
                os.kill(self.pid, signal.SIGCONT)  # a test may have stopped it; it kills the others itself
                self.stop("immediate")
        finally:
            shutil.rmtree(self.directory)


class Waiting:
    """A shared store that is waited for: what it is asked is answered when the call returns, as `Store` does."""

    def __init__(self, store: SharedStore) -> None:
        self.store = store
        self.loop = asyncio.new_event_loop()
        try:
            self.wait(store.open())
        except BaseException:
            self.loop.close()
            raise

    def wait(self, answer: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(answer)

    def execute(self, statement: str, *arguments: object) -> None:
        """Change something behind the back of the store."""
        self.value(statement, *arguments)

    def value(self, query: str, *arguments: object) -> Any:
        """Look into the tables."""

        async def ask() -> Any:
            async with self.store._connections.connection() as connection:
                return await connection.fetchval(query, *arguments)

        return self.wait(ask())

    def load(self, jid: str) -> Known:
        return self.wait(self.store.load(jid))

    def admit(
        self, signer: str, digest: bytes, timestamp: int, received: int, former: bytes | None = None
    ) -> Admission:
        return self.wait(self.store.admit(signer, digest, timestamp, received, former))

    def certificates(self, jid: str) -> tuple[Chain, ...]:
        return self.load(jid).certificates

    def all_certificates(self) -> Iterable[Chain]:
        return self.wait(self.store.all_certificates())

    def find_certificates(self, identifier: bytes) -> tuple[bytes, ...]:
        return self.wait(self.store.find_certificates(identifier))

    def add_certificate(self, jid: str, chain: Chain) -> bool:
        return self.wait(self.store.add_certificate(jid, chain))

    def announcements(self, jid: str) -> Mapping[bytes, bytes]:
        return self.load(jid).announcements

    def announce(self, jid: str, fingerprint: bytes, value: bytes) -> None:
        self.wait(self.store.announce(jid, fingerprint, value))

    def decisions(self, jid: str) -> Mapping[bytes, Trust]:
        return self.load(jid).decisions

    def all_decisions(self) -> Iterable[tuple[str, bytes, Trust]]:
        return self.wait(self.store.all_decisions())

    def decide(self, jid: str, fingerprint: bytes, trust: Trust) -> None:
        self.wait(self.store.decide(jid, fingerprint, trust))

    def decide_first_use(self, jid: str, fingerprint: bytes) -> bool:
        try:
            self.wait(self.store.decide_first_use(jid, fingerprint))
        except StoreError as error:
            if "something else has been decided" not in str(error):
                raise
            return False
        return True

    def decide_if_undecided(self, jid: str, fingerprint: bytes) -> None:
        self.wait(self.store.decide_if_undecided(jid, fingerprint))

    def undecide(self, jid: str, fingerprint: bytes) -> None:
        self.wait(self.store.undecide(jid, fingerprint))

    def add_revocation_list(self, key: bytes, der: bytes) -> None:
        self.wait(self.store.add_revocation_list(key, der))

    def revocation_lists(self) -> Iterable[bytes]:
        return self.wait(self.store.revocation_lists())

    def close(self) -> None:
        if not self.loop.is_closed():
            self.wait(self.store.close())
            self.loop.close()

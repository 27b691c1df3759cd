"""Who writes and who reads, with clocks that a test sets: real clients of slixmpp that are connected to nothing.

What arrives is handed to slixmpp's parser as octets on the wire, and goes through the plugin's filter to what stands
behind it. Each client has a store in a file if it is given one, so that it can be closed and started again.
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from xml.etree.ElementTree import Element, fromstring

from cryptography.hazmat.primitives.asymmetric import ec, rsa

import slixmpp_e2e
from slixmpp_e2e.certificates.store import MemoryStore, Store
from slixmpp_e2e.cms.signed_data import Signer, sign
from slixmpp_e2e.formats.claims import ClaimedKeys
from slixmpp_e2e.freshness import SECOND, MemoryReplayRecord
from slixmpp_e2e.media import mime
from slixmpp_e2e.outer import PAYLOADS
from slixmpp_e2e.plugin.plugin import E2EPlugin
from slixmpp_e2e.plugin.stanzas import ReceiveFailure, inner_report_of, report_of
from slixmpp_e2e.report import SecurityReport
from slixmpp_e2e.tables import SharedTable
from tests.accounts import Clock
from tests.pki import Entity, make_certificate
from tests.security.replay.wire import READER, date_time, stanza
from tests.server.clients import new_client

STREAM: Final = (
    "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>{}</stream:stream>"
)
#: Files that no disk is waited for: whether the disk keeps what it is told is another question (`docs/stores.md`).
_MEMORY: Final = Path("/dev/shm")
OTHER: Final = "mercutio@example.net"
#: Those who sign.
SIGNERS: Final = ("juliet@example.com", "nurse@example.com", "paris@example.org")


@dataclass(slots=True)
class Writer:
    """Somebody who signs with whatever timestamp he is told to."""

    jid: str
    signer: Signer

    def signed(self, text: str, moment: int, *, kind: str = "message", bare: bool = False) -> bytes:
        """Return the MIME entity of a signed object; with `bare` it is dated by the signature alone."""
        name, type_ = ("body", "chat") if kind == "message" else ("status", "")
        inner = stanza(kind, f"<{name}>{text}</{name}>", sender=f"{self.jid}/x", to=READER, type_=type_)
        fields = "Content-type: application/xmpp+xml; charset=utf-8"
        content = f'{fields}\r\n\r\n<xmpp xmlns="jabber:client">{inner}</xmpp>'
        if not bare:
            headers = f"From: <im:{self.jid}>\r\nTo: <im:{READER}>\r\nDateTime: {date_time(moment)}"
            content = f"Content-type: Message/CPIM\r\n\r\n{headers}\r\n\r\n{content}"
        signing_time = dt.datetime.fromtimestamp(moment // SECOND, dt.UTC)
        signed = sign(content.encode(), self.signer, signing_time=signing_time, certificates=False)
        return mime.pkcs7_mime(signed, "signed-data", binary=True)


@dataclass(frozen=True, slots=True)
class World:
    """A CA, and keys and certificates of everybody, in files."""

    directory: Path
    authority: Entity
    people: Mapping[str, Entity]
    writers: Mapping[str, Writer]

    def options(self, jid: str) -> dict[str, Any]:
        """Return the options of somebody who knows everybody else."""
        name = jid.partition("@")[0]
        return {
            "certificate": self.directory / f"{name}.crt",
            "private_key": self.directory / f"{name}.key",
            "trust_anchors": self.directory / "root.pem",
            "peer_certificates": self.directory / "peers",
            "send_errors": False,
        }


@contextmanager
def make_world(*, rsa_keys: bool = False) -> Iterator[World]:
    """Make it; it is gone at the end. With RSA keys other formats can be read, and starting takes longer."""
    key = ec.generate_private_key(ec.SECP256R1())
    authority = Entity("root", key, make_certificate(key, "Verona Root CA"))
    people = {}
    with TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as name:
        directory = Path(name)
        (directory / "root.pem").write_bytes(authority.pem)
        (directory / "peers").mkdir()
        for jid in (READER, OTHER, *SIGNERS):
            own: Any = ec.generate_private_key(ec.SECP256R1())
            if rsa_keys:
                own = rsa.generate_private_key(65537, 2048)
            short = jid.partition("@")[0]
            people[jid] = Entity(short, own, make_certificate(own, jid, issuer=authority, jid=jid))
            (directory / f"{short}.key").write_bytes(people[jid].key_pem)
            for path in (directory / f"{short}.crt", directory / "peers" / f"{short}.crt"):
                path.write_bytes(people[jid].pem)
        writers = {jid: Writer(jid, Signer(each.key, each.parsed)) for jid, each in people.items()}
        yield World(directory, authority, people, writers)


@dataclass(frozen=True, slots=True)
class Delivered:
    """What got through to the program's handlers, and what is said of it."""

    stanza: Any
    report: SecurityReport | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one stanza on the wire."""

    delivered: Sequence[Delivered]
    failures: Sequence[ReceiveFailure]

    @property
    def reports(self) -> list[SecurityReport]:
        """What is said of what came out of its protection."""
        return [each.report for each in self.delivered if each.report is not None]

    @property
    def reasons(self) -> list[str]:
        """Why something was refused."""
        return [failure.reason for failure in self.failures]


def is_taken(outcome: Outcome, secret: str) -> bool:
    """Tell whether something reached the program as if it had come just now, or without any mark."""
    for each in outcome.delivered:
        report = each.report
        if report is None:
            if _says(each.stanza.xml, secret):
                return True
        elif report.authenticated or report.arrival != "archived":
            return True
    return False


def _says(element: Element, secret: str) -> bool:
    """Tell whether a text stands in a stanza, other than in an object that is handed over as it came."""
    if element.tag in PAYLOADS:
        return False
    return secret in (element.text or "") or any(_says(child, secret) for child in element)


class Client:
    """A client of somebody's, whose stream is what a test hands to it."""

    def __init__(
        self, world: World, clock: Clock, store: Store, *, jid: str = READER, **options: Any
    ) -> None:
        self.store = store
        self.xmpp: Any = new_client(f"{jid}/orchard")
        self.xmpp.send = self._answers = _Ignored()
        config = {**world.options(jid), "policy": {"*": "sign"}, "clock": clock, "store": store, **options}
        self.xmpp.register_plugin("e2e", config, module=slixmpp_e2e)
        self.xmpp.add_filter("in", self._note)  # behind the plugin's
        self._passed: list[Any] = []
        self._failures: list[ReceiveFailure] = []
        self.xmpp.add_event_handler("e2e_error", self._note_failure)

    @property
    def plugin(self) -> E2EPlugin:
        """The plugin."""
        plugin: E2EPlugin = self.xmpp.plugin["e2e"]
        return plugin

    def _note(self, stanza: Any) -> Any:
        self._passed.append(stanza)
        return stanza

    def _note_failure(self, failure: ReceiveFailure) -> None:
        self._failures.append(failure)

    def receive(self, *stanzas: str) -> Outcome:
        """Let stanzas arrive, as they are on the wire."""
        self._passed, self._failures = [], []
        for element in list(fromstring(STREAM.format("".join(stanzas)))):
            self.xmpp._spawn_event(element)
        delivered = [Delivered(each, report_of(each) or inner_report_of(each)) for each in self._passed]
        return Outcome(delivered, self._failures)

    def forget(self) -> None:
        """Forget what came before, as if it had not come; only where the store is in memory."""
        arriving = self.plugin.protection._arriving
        arriving._claimed = ClaimedKeys()
        arriving._presence = SharedTable(1, 4096, lambda: 0)
        assert isinstance(self.store, MemoryStore)
        self.store._replay = MemoryReplayRecord(started=0)

    def close(self) -> None:
        """End it, as a program ends."""
        self.store.close()


class _Ignored:
    """Takes what a client sends, and keeps none of it."""

    def __call__(self, *_: Any, **__: Any) -> None:
        """Do nothing."""

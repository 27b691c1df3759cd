"""A conversation of some fifty stanzas a second each way, in which keys and certificates change.

Everything that is sent is accounted for: delivered, or its sender was told that it was not.
"""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from slixmpp_e2e.cms.enveloped_data import parse_enveloped_data
from slixmpp_e2e.outer import E2E_TAG
from tests.certificates.building import authority, end_entity, revocation_list
from tests.formats.objects import der_of
from tests.pki import VALID_UNTIL, Entity

from .clients import PATIENCE, Clients
from .protected import protect

#: Seconds between two stanzas of one side; fewer where it is late, so that there are fifty a second.
PAUSE: Final = 0.02
_LATE: Final = 0.002
NAMES: Final = ("romeo", "juliet")


@dataclass
class Office:
    """A CA that issues certificates into files, and revokes them."""

    directory: Path
    _root: Entity = field(default_factory=lambda: authority("Verona Root CA"))
    _revoked: list[Entity] = field(default_factory=list)
    _numbers: Any = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        (self.directory / "root.pem").write_bytes(self._root.pem)
        self.lists.mkdir()
        self.list_revoked()
        for name in NAMES:
            self.issue(name)
            peers = self.directory / f"known-to-{other(name)}"
            peers.mkdir()
            (peers / f"{name}.crt").write_bytes((self.directory / f"{name}.crt").read_bytes())

    @property
    def lists(self) -> Path:
        """The directory of the revocation lists."""
        return self.directory / "lists"

    def issue(self, name: str, *, until: datetime = VALID_UNTIL) -> Entity:
        """Write a new key and certificate where the old ones are."""
        found = end_entity(issuer=self._root, jid=f"{name}@localhost", valid_until=until)
        for suffix, data in ((".key", found.key_pem), (".crt", found.pem)):
            written = self.directory / f"{name}{suffix}.new"
            written.write_bytes(data)
            written.rename(self.directory / f"{name}{suffix}")
        return found

    def revoke(self, *entities: Entity) -> None:
        """Let a list appear in which they stand."""
        self._revoked += entities
        self.list_revoked()

    def list_revoked(self) -> None:
        """Write the newest list."""
        der = revocation_list(
            self._root,
            *self._revoked,
            number=next(self._numbers),
            issued=datetime.now(UTC) - timedelta(minutes=1),
        )
        written = self.lists / "verona.new"
        written.write_bytes(der)
        written.rename(self.lists / "verona.crl")

    def options(self, name: str) -> dict[str, Any]:
        """Return the options of the plugin for somebody."""
        return {
            "certificate": self.directory / f"{name}.crt",
            "private_key": self.directory / f"{name}.key",
            "trust_anchors": self.directory / "root.pem",
            "crls": self.lists,
            "peer_certificates": self.directory / f"known-to-{name}",
            "store": f"sqlite:///{self.directory / name}.db",
            "policy": {"*": "required"},
            "certificate_wait": 0,
        }


def other(name: str) -> str:
    """Return who talks with somebody."""
    return NAMES[1 - NAMES.index(name)]


@dataclass
class Side:
    """One of the two, and everything that became of what he sent."""

    name: str
    xmpp: Any
    sent: int = 0
    #: By the number of his message: how often the other one got it.
    delivered: Counter[int] = field(default_factory=Counter)
    #: What his program was told that did not leave, or was not taken.
    failed: dict[int, str] = field(default_factory=dict)
    rejected: set[int] = field(default_factory=set)
    #: What the other one's program was told, by reason.
    refused: Counter[str] = field(default_factory=Counter)
    #: The certificates that were signed with, in the order in which they were delivered, each with when.
    signed_with: list[tuple[int, float]] = field(default_factory=list)
    #: Whom his stanzas were encrypted to, as it stands in them, each with when it left.
    encrypted_to: list[tuple[tuple[bytes, ...], float]] = field(default_factory=list)

    @property
    def plugin(self) -> Any:
        """His plugin."""
        return self.xmpp.plugin["e2e"]

    def lost(self) -> set[int]:
        """Return what was not delivered, without a word to him."""
        return {*range(self.sent)} - {*self.delivered} - {*self.failed} - self.rejected

    def was_encrypted_to(self, entity: Entity, *, after: float) -> int:
        """Return how many stanzas that left after a moment were encrypted to a certificate."""
        return sum(
            moment > after and any(map(entity.parsed.answers_to, identifiers))
            for identifiers, moment in self.encrypted_to
        )

    def was_signed_with(self, entity: Entity, *, after: float) -> int:
        """Return how many of his stanzas were delivered after a moment although this certificate signed them."""
        serial = entity.certificate.serial_number
        return sum(moment > after and found == serial for found, moment in self.signed_with)

    def twice(self) -> set[int]:
        """Return what came more than once."""
        return {number for number, times in self.delivered.items() if times > 1}


class Conversation:
    """The two, who talk all the time."""

    def __init__(self, sides: dict[str, Side]) -> None:
        self.sides = sides
        #: How long they have talked.
        self.seconds = 0.0
        self._changed = asyncio.Event()
        for name, side in sides.items():
            self._listen(side, sides[other(name)])

    def _listen(self, side: Side, peer: Side) -> None:
        def deliver(message: Any) -> None:
            report = side.plugin.report(message)
            assert report.authenticated
            peer.delivered[int(message["body"])] += 1
            peer.signed_with.append((report.certificate.serial_number, now()))
            self._changed.set()

        def fail(failure: Any) -> None:
            side.failed[int(failure.stanza["body"])] = str(failure.error)
            self._changed.set()

        def reject(rejection: Any) -> None:
            side.rejected.add(int(rejection.stanza["id"].rpartition("-")[2]))
            self._changed.set()

        def refuse(failure: Any) -> None:
            peer.refused[failure.reason] += 1

        def look(stanza: Any) -> Any:
            text = stanza.xml.findtext(E2E_TAG)
            if text:
                infos = parse_enveloped_data(der_of(text)).recipient_infos
                side.encrypted_to.append((tuple(each.identifier for each in infos), now()))
            return stanza

        side.xmpp.add_filter("out_sync", look)  # behind the plugin's
        side.xmpp.add_event_handler("message", deliver)
        side.xmpp.add_event_handler("e2e_send_failed", fail)
        side.xmpp.add_event_handler("e2e_rejected", reject)
        side.xmpp.add_event_handler("e2e_error", refuse)

    async def _talk(self, side: Side) -> None:
        due = now()
        while True:
            message = side.xmpp.make_message(f"{other(side.name)}@localhost/x", str(side.sent), mtype="chat")
            message["id"] = f"{side.name}-{side.sent}"
            side.sent += 1
            message.send()
            due += PAUSE
            await asyncio.sleep(max(_LATE, due - now()))

    @asynccontextmanager
    async def going_on(self, *, patience: float = PATIENCE) -> AsyncIterator[None]:
        """Let them talk meanwhile; at the end, wait until all is accounted for, or nothing comes any more."""
        began = now()
        talking = [asyncio.ensure_future(self._talk(side)) for side in self.sides.values()]
        try:
            await asyncio.sleep(10 * PAUSE)
            yield
            await asyncio.sleep(10 * PAUSE)
        finally:
            self.seconds = now() - began
            for task in talking:
                task.cancel()
            await asyncio.gather(*talking, return_exceptions=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while any(side.lost() for side in self.sides.values()):
                    self._changed.clear()
                    await self._changed.wait()

    async def renew(self, name: str) -> None:
        """Let a program look at its files, as it does once a minute."""
        self.sides[name].plugin._renewal.check()

    async def look_up(self, name: str) -> float:
        """Let a program look at the revocation lists, as it does once a minute; return when it had done so."""
        await self.sides[name].plugin._revocation.refresh()
        return now()


def now() -> float:
    """Return the time of the loop, in seconds."""
    return asyncio.get_running_loop().time()


@asynccontextmanager
async def conversation(clients: Clients, office: Office) -> AsyncIterator[Conversation]:
    """Log both in, and let them be ready."""
    sides = {}
    for name in NAMES:
        xmpp = await clients.log_in(f"{name}@localhost/x", plugins=["xep_0198"])
        protect(xmpp, office.options(name))
        sides[name] = Side(name, xmpp)
    yield Conversation(sides)

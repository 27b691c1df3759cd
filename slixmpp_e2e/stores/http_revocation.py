"""Revocation over HTTP: OCSP responders and revocation lists where a CA says that they are (RFC 5280, RFC 6960).

Only paths to an anchor are wanted, so only CAs that we trust choose whom we ask, and for certificates that they
signed. Still, every round is bounded: in requests, altogether and to one host, in octets and in time; CAs take
turns, so that none uses up what another needs. What comes is verified before it is handed on: it must be of the CA
that it is asked for. What fails, fails for the CA that named it, whoever else names the same address.

It tells the CA, and everybody on the way to it, whose certificates are looked at and when.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from slixmpp_e2e.certificates import ocsp
from slixmpp_e2e.certificates.ocsp import OCSPResponse, build_request
from slixmpp_e2e.certificates.revocation import SOON, Evidence
from slixmpp_e2e.certificates.revocation_list import RevocationList
from slixmpp_e2e.certificates.revocation_status import Path, RevocationState
from slixmpp_e2e.certificates.revocation_urls import host_of, list_urls, responder_urls
from slixmpp_e2e.certificates.sharing import in_turns
from slixmpp_e2e.errors import ConfigurationError, E2EError, RevocationError
from slixmpp_e2e.stores.bounded_http import BoundedHTTP, read_networks
from slixmpp_e2e.tables import Recent

#: The largest list that is fetched, in octets.
MAX_LIST: Final = 10 << 20
#: Until an address is asked again that failed, or whose answer is as old as before.
PAUSE: Final = timedelta(minutes=5)
#: Seconds for one request, and for one round of them.
SECONDS: Final = 5.0
ROUND_SECONDS: Final = 30.0
_REQUESTS: Final = 64
#: After how many octets of lists nothing more is asked for in a round.
_OCTETS: Final = 64 << 20
_PER_HOST: Final = 16
_AT_ONCE: Final = 8
_REMEMBERED: Final = 4096
#: How much of what went wrong is told, in characters.
_LONGEST: Final = 300
_REQUEST_TYPE: Final = "application/ocsp-request"


_Key = tuple[tuple[str, ...], bytes | None, bytes]


@dataclass(frozen=True, slots=True)
class _Question:
    """Something to be asked for at any one of some addresses, in their order."""

    urls: tuple[str, ...]
    certificate: x509.Certificate
    #: What stands above the certificate in its path, its issuer first.
    above: Path
    #: An OCSP request; without one, it is about a revocation list.
    body: bytes | None

    @property
    def key(self) -> "_Key":
        """What is asked for, where, and whose answer counts; the same question is asked once."""
        return self.urls, *self.place

    @property
    def place(self) -> tuple[bytes | None, bytes]:
        """What is remembered of an address: another question may be asked there at any time."""
        return self.body, self.above[0].fingerprint(hashes.SHA256())

    async def ask(self, client: BoundedHTTP, url: str) -> OCSPResponse | RevocationList:
        """Return what is there, verified; raise an `E2EError`."""
        if self.body is None:
            octets = await client.get(url, limit=MAX_LIST)
            return await asyncio.to_thread(self._read_list, octets)  # a large one takes a second
        octets = await client.post(url, self.body, _REQUEST_TYPE, limit=ocsp.MAX_OCTETS)
        return self._read_response(octets)

    def _read_list(self, octets: bytes) -> RevocationList:
        found = RevocationList.from_der(octets)
        if not found.is_signed_by(self.above[0]):
            raise RevocationError("the list is not signed by the issuer of the certificate")
        if found.unusable is not None:
            raise RevocationError(f"the list can't be used: {found.unusable}")
        return found

    def _read_response(self, octets: bytes) -> OCSPResponse:
        found = OCSPResponse.from_der(octets)
        if not found.is_about(self.certificate, self.above[0]):
            raise RevocationError("the OCSP response is about another certificate")
        found.responder(self.above[0])
        return found


@dataclass(slots=True)
class _Round:
    """What was found in one round, and how much was asked."""

    at: datetime
    #: Questions that were not asked, because there was no room or time.
    left: set[_Key]
    #: With the path whose CA made them.
    lists: list[tuple[RevocationList, Path]] = field(default_factory=list)
    responses: list[OCSPResponse] = field(default_factory=list)
    problems: list[E2EError] = field(default_factory=list)
    hosts: Counter[str | None] = field(default_factory=Counter)

    def may_ask(self, url: str) -> bool:
        """Tell whether another request may be made, and count it."""
        host = host_of(url)
        if sum(each.octets for each, _ in self.lists) >= _OCTETS:
            return False
        if self.hosts.total() >= _REQUESTS or self.hosts[host] >= _PER_HOST:
            return False
        self.hosts[host] += 1
        return True


@dataclass(frozen=True, slots=True)
class _Asked:
    """That an address was asked."""

    at: datetime
    #: When it may be asked again.
    again: datetime
    found: bool


class HTTPRevocation:
    """A `RevocationSource`: asks OCSP responders, and fetches lists from distribution points.

    `networks` are those of the operator's own whose addresses may be connected to though they are not public, as in
    `10.0.0.0/8`. Raises `ConfigurationError` for what is no network.
    """

    def __init__(self, networks: Sequence[str] = ()) -> None:
        try:
            self._networks = read_networks(networks)
        except ValueError as error:
            raise ConfigurationError(f"networks: {error}") from error
        self._asked: Recent[tuple[str, bytes | None, bytes], _Asked] = Recent(_REMEMBERED)

    async def fetch(self, wanted: Sequence[Path], *, at: datetime) -> Evidence:
        """See `RevocationSource`. Whoever was asked lately, or has nothing newer yet, is not asked again."""
        entries = [(path, each) for path in wanted for each in _questions(path)]
        due = {each.key: each for _, each in entries if self._is_due(each, at)}
        found = _Round(at, set(due))
        if due:
            try:
                async with (
                    asyncio.timeout(ROUND_SECONDS),
                    BoundedHTTP(seconds=SECONDS, networks=self._networks) as client,
                ):
                    turns = asyncio.Semaphore(_AT_ONCE)
                    # whose turn it is, is that of the CA that wrote the addresses
                    ordered = in_turns([(each.above[::-1], each) for each in due.values()])
                    await asyncio.gather(*(self._ask(client, each, found, turns) for each in ordered))
            except TimeoutError:
                found.problems.append(RevocationError("asking about revocation took too long"))
        return Evidence(
            problems=tuple(found.problems),
            responses=tuple(found.responses),
            fetched=tuple(found.lists),
            left=frozenset(path for path, each in entries if each.key in found.left),
        )

    async def _ask(
        self, client: BoundedHTTP, question: _Question, found: _Round, turns: asyncio.Semaphore
    ) -> None:
        async with turns:
            found.left.discard(question.key)
            for url in question.urls:
                if not self._may_be_asked(url, question, found.at):
                    continue
                if not found.may_ask(url):
                    found.left.add(question.key)
                    continue
                self._note(url, question, _Asked(found.at, found.at + PAUSE, found=False))
                try:
                    answer = await question.ask(client, url)
                except E2EError as error:
                    found.problems.append(_problem(url, str(error)))
                    continue
                except Exception as error:  # noqa: BLE001 whatever the network brings, the others are asked
                    found.problems.append(_problem(url, type(error).__name__))
                    continue
                if isinstance(answer, OCSPResponse):
                    found.responses.append(answer)
                else:
                    found.lists.append((answer, (question.certificate, *question.above)))
                if why := _shortcoming(answer, found.at):
                    found.problems.append(_problem(url, why))
                    continue
                found.left.discard(question.key)
                again = max(found.at + PAUSE, _end(answer) - SOON)
                self._note(url, question, _Asked(found.at, again, found=True))
                return

    def _note(self, url: str, question: _Question, asked: _Asked) -> None:
        self._asked.put((url, *question.place), asked)

    def _may_be_asked(self, url: str, question: _Question, at: datetime) -> bool:
        asked = self._asked.get((url, *question.place))
        return asked is None or not asked.at <= at < asked.again

    def _is_due(self, question: _Question, at: datetime) -> bool:
        """Tell whether none of the addresses has answered so that it holds, and one of them may be asked."""
        due = False
        for url in question.urls:
            if self._may_be_asked(url, question, at):
                due = True
            elif (asked := self._asked.get((url, *question.place))) is not None and asked.found:
                return False
        return due


def _questions(path: Path) -> Iterator[_Question]:
    """Yield what there is to be asked about a path; of each certificate, responders come before lists."""
    for place, certificate in enumerate(path[:-1]):
        above = path[place + 1 :]
        if urls := responder_urls(certificate):
            yield _Question(urls, certificate, above, build_request(certificate, above[0]))
        for urls in list_urls(certificate):
            yield _Question(urls, certificate, above, None)


def _problem(url: str, why: str) -> RevocationError:
    """Return what is reported; servers have a hand in the words, which therefore stay on one line."""
    return RevocationError(f"{url}: {' '.join(why.split())[:_LONGEST]}")


def _end(answer: OCSPResponse | RevocationList) -> datetime:
    return answer.until if isinstance(answer, OCSPResponse) else answer.next_update


def _shortcoming(answer: OCSPResponse | RevocationList, at: datetime) -> str | None:
    """Return why there should be something better, at another address or soon."""
    if isinstance(answer, OCSPResponse) and answer.state is RevocationState.UNKNOWN:
        return "the responder does not know the certificate"
    if isinstance(answer, RevocationList) and answer.this_update > at:
        return "what is there does not count yet"
    return "what is there should have been replaced" if _end(answer) < at else None

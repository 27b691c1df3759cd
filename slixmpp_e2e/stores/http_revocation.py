"""Revocation over HTTP: OCSP responders and revocation lists where a CA says that they are (RFC 5280, RFC 6960).

Only paths to an anchor are wanted, so only CAs that we trust choose whom we ask, and for certificates that they
signed. Still, every round is bounded: in requests, altogether and to one host, in octets and in time. What comes is
verified before it is handed on: it must be of the CA that it is asked for.

It tells the CA, and everybody on the way to it, whose certificates are looked at and when.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509

from slixmpp_e2e.certificates import ocsp
from slixmpp_e2e.certificates.ocsp import OCSPResponse, build_request
from slixmpp_e2e.certificates.revocation import SOON, Evidence
from slixmpp_e2e.certificates.revocation_list import RevocationList
from slixmpp_e2e.certificates.revocation_status import Path, RevocationState
from slixmpp_e2e.certificates.revocation_urls import host_of, list_urls, responder_urls
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
_PER_HOST: Final = 16
_AT_ONCE: Final = 8
_REMEMBERED: Final = 4096
#: How much of what went wrong is told, in characters.
_LONGEST: Final = 300
_REQUEST_TYPE: Final = "application/ocsp-request"


@dataclass(frozen=True, slots=True)
class _Question:
    """Something to be asked for at any one of some addresses, in their order."""

    urls: tuple[str, ...]
    certificate: x509.Certificate
    #: What stands above the certificate in its path, its issuer first.
    above: Path
    #: An OCSP request; without one, it is about a revocation list.
    body: bytes | None

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
    lists: list[RevocationList] = field(default_factory=list)
    responses: list[OCSPResponse] = field(default_factory=list)
    problems: list[E2EError] = field(default_factory=list)
    hosts: Counter[str | None] = field(default_factory=Counter)

    def may_ask(self, url: str) -> bool:
        """Tell whether another request may be made, and count it."""
        host = host_of(url)
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
        self._asked: Recent[tuple[str, bytes | None], _Asked] = Recent(_REMEMBERED)

    async def fetch(self, wanted: Sequence[Path], *, at: datetime) -> Evidence:
        """See `RevocationSource`. Whoever was asked lately, or has nothing newer yet, is not asked again."""
        questions = [each for each in _questions(wanted) if self._is_due(each, at)]
        found = _Round(at)
        if questions:
            try:
                async with (
                    asyncio.timeout(ROUND_SECONDS),
                    BoundedHTTP(seconds=SECONDS, networks=self._networks) as client,
                ):
                    turns = asyncio.Semaphore(_AT_ONCE)
                    await asyncio.gather(*(self._ask(client, each, found, turns) for each in questions))
            except TimeoutError:
                found.problems.append(RevocationError("asking about revocation took too long"))
        return Evidence(tuple(found.lists), tuple(found.problems), tuple(found.responses))

    async def _ask(
        self, client: BoundedHTTP, question: _Question, found: _Round, turns: asyncio.Semaphore
    ) -> None:
        async with turns:
            for url in question.urls:
                if not self._may_be_asked(url, question.body, found.at) or not found.may_ask(url):
                    continue
                self._note(url, question.body, _Asked(found.at, found.at + PAUSE, found=False))
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
                    found.lists.append(answer)
                if why := _shortcoming(answer, found.at):
                    found.problems.append(_problem(url, why))
                    continue
                again = max(found.at + PAUSE, _end(answer) - SOON)
                self._note(url, question.body, _Asked(found.at, again, found=True))
                return

    def _note(self, url: str, body: bytes | None, asked: _Asked) -> None:
        self._asked.put((url, body), asked)

    def _may_be_asked(self, url: str, body: bytes | None, at: datetime) -> bool:
        asked = self._asked.get((url, body))
        return asked is None or not asked.at <= at < asked.again

    def _is_due(self, question: _Question, at: datetime) -> bool:
        """Tell whether none of the addresses has answered so that it holds, and one of them may be asked."""
        due = False
        for url in question.urls:
            if self._may_be_asked(url, question.body, at):
                due = True
            elif (asked := self._asked.get((url, question.body))) is not None and asked.found:
                return False
        return due


def _questions(wanted: Sequence[Path]) -> Iterator[_Question]:
    """Yield what there is to be asked about paths, each thing once; responders come before lists."""
    seen: set[tuple[tuple[str, ...], bytes | None]] = set()
    certificates = [
        (certificate, path[place + 1 :]) for path in wanted for place, certificate in enumerate(path[:-1])
    ]
    found = [
        *(_about_responders(certificate, above) for certificate, above in certificates),
        *(_about_lists(certificate, above) for certificate, above in certificates),
    ]
    for questions in found:
        for question in questions:
            if (question.urls, question.body) not in seen:
                seen.add((question.urls, question.body))
                yield question


def _problem(url: str, why: str) -> RevocationError:
    """Return what is reported; servers have a hand in the words, which therefore stay on one line."""
    return RevocationError(f"{url}: {' '.join(why.split())[:_LONGEST]}")


def _end(answer: OCSPResponse | RevocationList) -> datetime:
    return answer.until if isinstance(answer, OCSPResponse) else answer.next_update


def _shortcoming(answer: OCSPResponse | RevocationList, at: datetime) -> str | None:
    """Return why there should be something better, at another address or soon."""
    if isinstance(answer, OCSPResponse) and answer.state is RevocationState.UNKNOWN:
        return "the responder does not know the certificate"
    return "what is there should have been replaced" if _end(answer) < at else None


def _about_responders(certificate: x509.Certificate, above: Path) -> Iterator[_Question]:
    if urls := responder_urls(certificate):
        yield _Question(urls, certificate, above, build_request(certificate, above[0]))


def _about_lists(certificate: x509.Certificate, above: Path) -> Iterator[_Question]:
    return (_Question(urls, certificate, above, None) for urls in list_urls(certificate))

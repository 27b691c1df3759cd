"""The plugin as a program sees it."""

import asyncio
import logging
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sized
from dataclasses import replace
from typing import Any, ClassVar, Literal

from slixmpp import JID
from slixmpp.plugins.base import BasePlugin

from slixmpp_e2e.certificates.mirror import Mirror
from slixmpp_e2e.errors import UnprotectableError
from slixmpp_e2e.media.addresses import bare
from slixmpp_e2e.namespaces import E2E, OBJENC, PUBKEY
from slixmpp_e2e.plugin.announced_formats import FEATURES, AnnouncedFormats
from slixmpp_e2e.plugin.answers import Answers
from slixmpp_e2e.plugin.arrivals import Arrivals
from slixmpp_e2e.plugin.certificate_requests import CertificateRequests
from slixmpp_e2e.plugin.certificate_search import CertificateSearch
from slixmpp_e2e.plugin.configuration import DEFAULTS, build_protection, check_options
from slixmpp_e2e.plugin.decisions import Decisions
from slixmpp_e2e.plugin.departures import Departures
from slixmpp_e2e.plugin.discretion import Discretion
from slixmpp_e2e.plugin.downgrades import Downgrades
from slixmpp_e2e.plugin.exchanges import Exchanges
from slixmpp_e2e.plugin.format_choice import FormatChoice, read_choices, read_formats
from slixmpp_e2e.plugin.forwarded import Forwarded
from slixmpp_e2e.plugin.hosting import announce, check_hosted, check_own_jids, withdraw
from slixmpp_e2e.plugin.inbound import Inbound
from slixmpp_e2e.plugin.metrics import Metric, counters, gauges
from slixmpp_e2e.plugin.opening import Opening
from slixmpp_e2e.plugin.outbound import Outbound, OutboundOptions
from slixmpp_e2e.plugin.own_devices import OwnDevices
from slixmpp_e2e.plugin.own_keys import PrivateKeyObject, hosted_options, load_identity
from slixmpp_e2e.plugin.pauses import Pauses
from slixmpp_e2e.plugin.pubkeys import PublishedKeys
from slixmpp_e2e.plugin.publication import Publication
from slixmpp_e2e.plugin.renewal import Renewal
from slixmpp_e2e.plugin.resolvers import read_resolvers
from slixmpp_e2e.plugin.resumption import Resumption
from slixmpp_e2e.plugin.revocation import RevocationRefresh
from slixmpp_e2e.plugin.stanzas import Stanza, report_of, set_level
from slixmpp_e2e.plugin.turns import Turns
from slixmpp_e2e.plugin.worker import Worker, WorkerKeys
from slixmpp_e2e.policy import Level, read_policy
from slixmpp_e2e.protection import Protection
from slixmpp_e2e.report import SecurityReport, Trust
from slixmpp_e2e.waiting import patiently

log = logging.getLogger(__name__)

Mode = Literal["out", "out_sync", "in"]
_FRONT = -1_000_000  # list.insert() clamps; 0 would append


class E2EPlugin(BasePlugin):
    """End-to-end security on X.509 certificates (RFC 3923).

    Options: see `docs/configuration.md`. Events, with what they carry:

    - `e2e_ready` (our bare JID): the stream is bound, and what leaves from now on follows the policy.
    - `e2e_error` (`ReceiveFailure`): a stanza was not delivered.
    - `e2e_send_failed` (`SendFailure`): a stanza did not leave, or was never confirmed.
    - `e2e_rejected` (`Rejection`): a peer says that it could not take a stanza of ours.
    - `e2e_certificate_requested` (`SecurityReport`): a peer whom we trust asked for our certificate.
    - `e2e_certificate_learned` (`SecurityReport`), `e2e_certificate_changed` (`ReceiveFailure`).
    - `e2e_downgraded` (`Downgrade`): a stanza in clear from or to a peer whose certificate is known.
    - `e2e_renewal_failed` (`E2EError`): the files of our certificate changed, and can't be used.
    - `e2e_revocation_failed` (`E2EError`): lists or OCSP responses could not be had; what was known still counts.
    - `e2e_store_failed` (`StoreError`): a decision could not be kept by a store that is shared.
    - `e2e_clock_adjusted` (seconds): the clock was set back, and timestamps follow it.

    **Not** covered: what bypasses slixmpp's filters, which are `send_raw`, `send` with a string, and
    `send_xml`.
    """

    name = "e2e"
    description = "RFC 3923: End-to-End Signing and Object Encryption"
    dependencies: ClassVar[set[str]] = {"xep_0030"}
    default_config: ClassVar[dict[str, Any]] = DEFAULTS

    protection: Protection
    _mirror: Mirror | None
    _worker: Worker
    _outbound: Outbound
    _departures: Departures
    _decisions: Decisions
    _downgrades: Downgrades
    _formats: FormatChoice
    _announced: AnnouncedFormats
    _closing: asyncio.Task[None]
    _inbound: Inbound
    _answers: Answers
    _arrivals: Arrivals
    _resumption: Resumption
    _requests: CertificateRequests
    _renewal: Renewal
    _revocation: RevocationRefresh
    _search: CertificateSearch
    _publication: Publication
    _own_devices: OwnDevices
    _discretion: Discretion
    _pauses: Pauses

    def plugin_init(self) -> None:
        """See `BasePlugin`; raise `ConfigurationError` when the options can't be used."""
        self._counters: Counter[str] = Counter()
        self._worker = Worker()
        self.protection = build_protection(self.config, WorkerKeys(self._worker))
        store = self.protection.store
        self._mirror = store if isinstance(store, Mirror) else None
        if self._mirror is not None:
            self._mirror.changed = self.protection.peers.forget
        try:
            self._build()
        except BaseException:
            self.protection.store.close()
            raise
        self._place()
        self._pauses.start()
        self._discretion = Discretion(self.xmpp, self._outbound.may_be_protected)
        if not self.config["debug_plaintext"]:
            self._discretion.start()
        for event, handler in self._handlers():
            self.xmpp.add_event_handler(event, handler)
        if self.xmpp.session_bind_event.is_set():  # slixmpp has called `session_bind` already, too early
            self.session_bind(self.xmpp.boundjid)

    def _build(self) -> None:
        xmpp, config, protection = self.xmpp, self.config, self.protection
        own = bare(xmpp.boundjid)
        check_own_jids(xmpp, protection)
        policy = read_policy(config["policy"], frozenset({own}))
        exchanges = Exchanges(xmpp)
        options = OutboundOptions(
            config["max_stanza_size"], config["hints"], config["fallback_body"], config["certificate_wait"]
        )
        self._outbound = Outbound(xmpp, protection, policy, exchanges, self._counters, options)
        self._departures = Departures(xmpp, self._outbound, self._worker)
        self._resumption = self._outbound.resumption
        self._requests = CertificateRequests(
            xmpp,
            protection,
            self._departures.send,
            self._counters,
            automatic=config["request_certificates"],
        )
        published = PublishedKeys(xmpp, protection, self._counters, public=config["publish_certificates"])
        self._publication = Publication(xmpp, protection, self._counters)
        parking = self._outbound.parking
        turns = Turns(xmpp)
        self._pauses = Pauses(xmpp, turns, parking)
        opening = Opening(protection, self._mirror, read_formats(config["formats"]))
        self._decisions = Decisions(xmpp, opening, parking.release)
        self._downgrades = Downgrades(xmpp, opening, self._counters)
        self._outbound.on_clear = self._downgrades.leaves_clear
        self._announced = AnnouncedFormats(xmpp, self._counters, opening.formats)
        choices = read_choices(config["format"])
        self._formats = FormatChoice(choices, self._announced.of, protection.can_write_objenc)
        self._outbound.written_as = self._formats.of
        self._own_devices = OwnDevices(xmpp, opening, config["own_devices"], self._counters)
        self._search = CertificateSearch(
            xmpp,
            opening,
            read_resolvers(config["resolvers"], published),
            self._requests.find,
            parking,
            self._counters,
        )
        self._revocation = RevocationRefresh(
            xmpp, protection, self._counters, opening, parking, self._search.find
        )
        self._search.settle = self._revocation.settle
        parking.look_for = self._revocation.find
        self._answers = Answers(xmpp, protection, self._counters, enabled=config["send_errors"])
        self._inbound = Inbound(
            xmpp,
            protection,
            opening,
            policy,
            exchanges,
            self._answers,
            Forwarded(xmpp, protection, opening, policy, exchanges.rooms),
            self._requests,
            self._downgrades,
            self._counters,
            parking.release,
            deliver_stale=config["deliver_stale"],
            on_format=self._formats.heard,
            answers_in_clear=published.answer,
            answers_refused=self._announced.answer,
        )
        self._arrivals = Arrivals(
            xmpp, self._inbound, self._resumption, self._counters, self._outbound.hear_features, turns
        )
        self._pauses.on_left = self._arrivals.reading.left
        protection.on_clock_adjustment = self._clock_adjusted
        sources = [config, *hosted_options(config, DEFAULTS)]
        self._renewal = Renewal(xmpp, protection, sources, load_identity, self._counters)

    def _filters(self) -> tuple[tuple[Mode, Any, int | None], ...]:
        return (
            ("out", self._departures.hold, _FRONT),
            ("out_sync", self._departures.seal, _FRONT),
            ("in", self._arrivals.unseal, None),
        )

    def _handlers(self) -> tuple[tuple[str, Any], ...]:
        return (
            ("session_resumed", self._resumption.resumed),
            ("session_resumed", self._departures.resume),
            ("session_start", self._departures.resume),
            ("stanza_acked", self._resumption.acknowledged),
        )

    def _place(self) -> None:
        """Put the filters where they belong; other plugins may have come since (ARCHITECTURE invariants 2, 9)."""
        self._unplace()
        if self.config["encrypt_to_self"] == "auto":
            copied = any(name in self.xmpp.plugin for name in ("xep_0280", "xep_0313"))
            self.protection.options = replace(self.protection.options, encrypt_to_self=copied)
        for mode, handler, order in self._filters():
            self.xmpp.add_filter(mode, handler, order)

    def _unplace(self, *modes: Mode) -> None:
        for mode, handler, _ in self._filters():
            if modes and mode not in modes:
                continue
            try:
                self.xmpp.del_filter(mode, handler)
            except ValueError:
                continue

    def post_init(self) -> None:
        """See `BasePlugin`; slixmpp calls it before `plugin_init` too."""
        if "_outbound" in self.__dict__:
            self._place()

    def session_bind(self, jid: Any) -> None:
        """See `BasePlugin`."""
        if "_outbound" not in self.__dict__:
            return
        self._place()
        announce(self.xmpp, self.protection, self._features())
        self._renewal.start()
        self._revocation.start()
        self._own_devices.start()
        self.xmpp.event("e2e_ready", self.xmpp.boundjid.bare)
        if self.config["publish_certificates"]:
            self._publication.start()

    def _features(self) -> tuple[str, ...]:
        features = [FEATURES[each] for each in FEATURES if each in self._announced.ours]
        return (*features, *([PUBKEY] if self.config["publish_certificates"] else []))

    def plugin_end(self) -> None:
        """See `BasePlugin`: from here on everything goes in clear."""
        self._renewal.stop()
        self._revocation.stop()
        self._search.close()
        self._announced.close()
        self._publication.close()
        self._own_devices.close()
        self._pauses.stop()
        self._outbound.parking.close()
        ending = (*self._departures.close(), *self._arrivals.close())
        self._worker.close()
        self._unplace("out", "out_sync")
        self._discretion.stop()
        for event, handler in self._handlers():
            self.xmpp.del_event_handler(event, handler)
        if "xep_0030" in self.xmpp.plugin:
            withdraw(self.xmpp, self.protection, (E2E, OBJENC, PUBKEY))
        self.protection.store.close()
        try:
            self._closing = asyncio.get_running_loop().create_task(self._wind_up(ending))
        except RuntimeError:  # there is no loop: nothing was begun that could end
            self._unplace("in")

    async def _wind_up(self, ending: Iterable[asyncio.Task[None]]) -> None:
        """Wait for what takes its time to end; the errors of requests that failed come in through our filter."""
        await asyncio.gather(*ending, return_exceptions=True)
        await asyncio.sleep(0)
        self._unplace("in")
        if self._mirror is not None:
            await self._mirror.close_shared()

    def _clock_adjusted(self, seconds: float) -> None:
        log.warning("the clock was set back by %.0f seconds; timestamps follow it", seconds)
        self.xmpp.event("e2e_clock_adjusted", seconds)

    # ------------------------------------------------------------------ for programs

    def forget_answers(self) -> None:
        """Let everybody be answered again: a sender of stanzas that are refused is told once in ten seconds."""
        self._answers.forget()

    def report(self, stanza: Any) -> SecurityReport | None:
        """Return what was proven about a stanza that arrived, or None if it arrived unprotected.

        Also None if body, subject or status of this copy were changed since: that was not proven by anybody.
        """
        return report_of(stanza)

    def override(self, stanza: Stanza, level: Level | str) -> None:
        """Ask for a level for one stanza that is about to be sent, beyond what the policy says.

        A policy that demands more than the level is not weakened, except by `off`.
        """
        set_level(stanza, Level(level))

    async def protect(self, stanza: Stanza, level: Level | str = Level.REQUIRED) -> Stanza:
        """Return the protected form of a stanza, ready to be sent; the stanza stays as it is.

        Raises a `LocalError`: `UnprotectableError` for what may never be protected, `NoCertificateError`.
        """
        found = await patiently(lambda: self._outbound.level(stanza, Level(level)))
        if found is Level.OFF:
            raise UnprotectableError("a stanza of this kind is never protected, or not with this level")
        return await self._departures.protected(stanza, found)

    async def unprotect(self, stanza: Stanza) -> Stanza:
        """Return what is in a protected stanza that did not come through the stream; `report()` judges it.

        Its addresses, timestamp and signature are checked as for one that arrives now, and it counts as seen
        from then on. Raises a `RemoteError`, or `StoreError`; of a `TimestampError`, `stale` holds what is in
        a stanza that is authenticated but old, from the future, or seen before.
        """
        return await self._inbound.open(stanza)

    def set_policy(self, policy: Mapping[str, Any]) -> None:
        """Let another policy count from now on, instead of the option of this name; raise `ConfigurationError`.

        A stanza follows the policy of the moment when its turn to leave comes. Only where it waits for a certificate
        because it had to be protected, that stays so.
        """
        found = read_policy(policy, frozenset({bare(self.xmpp.boundjid)}))
        self.config["policy"] = policy
        for part in (self._outbound, self._inbound, self._inbound.forwarded):
            part.policy = found

    def request_certificate(self, jid: JID | str) -> None:
        """Ask a peer for its certificate with a signed message (RFC 3923 6.2); `e2e_certificate_learned` follows.

        It happens by itself when a stanza did not leave because the certificate is missing, unless
        `request_certificates` is off. Raises a `LocalError`.
        """
        self._requests.ask(JID(jid))

    def send_certificate(self, jid: JID | str, *, signed: bool = True) -> None:
        """Send a peer our certificate in a signed message; raise a `LocalError`.

        Not `signed`, it is an object with certificates and nothing else (certs-only, RFC 3851 3.7).
        """
        if signed:
            self._requests.send_ours(JID(jid))
        else:
            self._requests.send_bare(JID(jid))

    def add_identity(
        self,
        *,
        certificate: str | os.PathLike[str] | None = None,
        private_key: str | os.PathLike[str] | PrivateKeyObject | None = None,
        pkcs12: str | os.PathLike[str] | None = None,
        password: str | bytes | Callable[[], str | bytes] | None = None,
        **more: Any,
    ) -> None:
        """Sign with another key from now on, or from when its certificate becomes valid.

        What was encrypted to the older one stays readable until the process ends, and after that if it is one of
        `older_keys`. `more` are the other options of an identity: `pkcs11`, `signature`,
        `encryption_certificate`, `encryption_private_key`. It happens by itself when the files of the
        configuration change. Raises `ConfigurationError`, or `CertificateError` if the new certificate is
        expired or does not name all that the old one names.
        """
        options = {
            "certificate": certificate,
            "private_key": private_key,
            "pkcs12": pkcs12,
            "password": password,
        }
        config = {**DEFAULTS, **options, **more}
        check_options(config)
        identity = load_identity(config)
        if self.xmpp.is_component:
            check_hosted(self.xmpp, identity.jids)
            self.protection.host(identity)
            announce(self.xmpp, self.protection, self._features())
        else:
            self.protection.add_identity(identity)

    async def publish_certificates(self) -> None:
        """Publish our certificates in our account, for everybody who asks (XEP-0189); raise `PublicationError`.

        What other devices have published stays; what has expired goes. With the option of this name it happens
        whenever a session starts.
        """
        await self._publication.publish()

    def decisions(self, jid: JID | str) -> Mapping[bytes, Trust]:
        """Return what is decided about certificates of a JID, by their SHA-256 fingerprints.

        Raises `StoreError`; of a store that is shared, unless the JID was fetched a moment ago (`fetch`).
        """
        return self._decisions.of(bare(jid))

    async def fetch(self, jid: JID | str) -> None:
        """Fetch what a shared store keeps about a JID, for `decisions`; of any other store it is here already.

        Raises `StoreError`.
        """
        await self._decisions.fetch(bare(jid))

    def decide(self, jid: JID | str, fingerprint: bytes, trust: Trust | str | None) -> Awaitable[None]:
        """Keep a decision about a certificate of a JID: it counts from the next stanza on, and after a restart.

        `verified` (a person compared the fingerprint), `pinned` (only what is pinned counts for this JID),
        `distrusted` (it never counts), or None (nothing is decided; what the configuration pins stays).
        Raises `ValueError` for anything else and for what is no JID, `StoreError` if it can't be kept.

        A store that is shared keeps it while the program goes on: awaiting what is returned raises that
        `StoreError`, and the event `e2e_store_failed` tells it in any case.
        """
        return self._decisions.decide(JID(jid), fingerprint, None if trust is None else Trust(trust))

    def stats(self) -> Mapping[str, int]:
        """Return counters of what was done, and the sizes of the tables."""
        return {each.name: each.value for each in self.metrics()}

    def metrics(self) -> Iterable[Metric]:
        """Return what `stats` returns, and of each number whether it is a counter: see `MetricSource`."""
        return (*counters(self._counters), *gauges(self._sizes()))

    def _sizes(self) -> Mapping[str, int]:
        protection = self.protection
        peers: tuple[Sized, ...] = (
            self._requests,
            self._search,
            self._downgrades,
            self._formats,
            self._announced,
        )
        return {
            "exchanges": len(self._outbound.exchanges),
            "unacknowledged": len(self._resumption),
            "parked": len(self._outbound.parking),
            "waiting": len(self._arrivals.lanes) + len(self._departures),
            "answered_lately": len(self._answers),
            "peers": protection.size() + sum(map(len, peers)),
            "certificates": protection.peers.pool.size() + protection.authority.size(),
            "mirrored": len(self._mirror) if self._mirror is not None else 0,
        }

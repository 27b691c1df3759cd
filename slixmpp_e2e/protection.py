"""A stanza in, a protected payload out, and back: what ties keys, trust, time and formats together.

No stream and no I/O of its own: the clock, the randomness, the keys and the store are given to it.
"""

import os
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal
from xml.etree.ElementTree import Element

from cryptography.hazmat.primitives.asymmetric import rsa
from slixmpp.jid import JID

from slixmpp_e2e.certificates.identity import Identity
from slixmpp_e2e.certificates.names import certificate_jids
from slixmpp_e2e.certificates.store import Store
from slixmpp_e2e.certificates.trust import Authority, ChangedCertificateError, Decision, UntrustedError
from slixmpp_e2e.cms.algorithms import AES128_CBC, SHA256, ContentCipher, Random
from slixmpp_e2e.cms.certificates import CertificatePool, ParsedCertificate
from slixmpp_e2e.cms.recipients import RSA_PKCS1, DecryptionKeys, KeyTransport, KeyTransportRecipient
from slixmpp_e2e.cms.signed_data import SignedData, parse_signed_data, sign
from slixmpp_e2e.errors import (
    NoCertificateError,
    RemoteError,
    SignatureError,
    StoreError,
    TimestampError,
    UnprotectableError,
)
from slixmpp_e2e.formats import rfc3923
from slixmpp_e2e.freshness import SECOND, WINDOW, Freshness, MonotoneClock, admit, check_window, to_datetime
from slixmpp_e2e.media.addresses import bare
from slixmpp_e2e.policy import Level
from slixmpp_e2e.report import SecurityReport, Trust
from slixmpp_e2e.stanza import Outer

#: RFC 3923 6.6.
INCLUSION_INTERVAL: Final = 300 * SECOND
_INCLUSIONS: Final = 4096
_RECIPIENTS_PER_JID: Final = 8
_RECIPIENTS_KEPT: Final = 60 * SECOND
STALE: Final[dict[str, Literal["old", "future", "seen"]]] = {"old": "old", "future": "future", "seen": "seen"}
#: How many encrypted keys are remembered: 5 MB.
_CLAIMS: Final = 50_000

#: A certificate and what came along with it, the certificate first.
Known = tuple[ParsedCertificate, ...]


@dataclass(frozen=True, slots=True)
class Options:
    """The choices that are left open."""

    cipher: ContentCipher = AES128_CBC
    transport: KeyTransport = RSA_PKCS1
    #: Accept SHA-1 signatures (RFC 3923 6.10); they are reported as legacy.
    allow_sha1: bool = False
    #: Encrypt to our own certificate too, so that copies of what we sent stay readable.
    encrypt_to_self: bool = False
    #: Open what bears an encrypted key that came before, to show it as seen, and say nothing about it.
    open_repeated: bool = False
    #: Nanoseconds that a timestamp may be off (RFC 3923 6.9).
    window: int = WINDOW


@dataclass(frozen=True, slots=True)
class Unprotected:
    """A stanza that came out of its protection, and what happened on the way."""

    stanza: Element
    report: SecurityReport
    #: The certificate was not known before.
    learned: bool


@dataclass(slots=True)
class Protection:
    """Protects and unprotects stanzas for one account."""

    identity: Identity
    authority: Authority
    store: Store
    #: Nanoseconds since 1970.
    now: Callable[[], int]
    options: Options = field(default_factory=Options)
    #: Certificates of peers that were configured, by bare JID, each with what came along with it.
    peers: Mapping[str, Sequence[Known]] = field(default_factory=dict)
    random: Random = os.urandom
    on_clock_adjustment: Callable[[float], None] = field(default=lambda _seconds: None)
    _clock: MonotoneClock = field(init=False)
    _keys: DecryptionKeys = field(init=False)
    _pool: CertificatePool = field(init=False)
    _inclusions: OrderedDict[str, int] = field(init=False, default_factory=OrderedDict)
    _recipients: OrderedDict[str, tuple[int, tuple[KeyTransportRecipient, ...]]] = field(
        init=False, default_factory=OrderedDict
    )

    #: JIDs and fingerprints of signers whose certificates the store has.
    _learned: OrderedDict[tuple[str, bytes], None] = field(init=False, default_factory=OrderedDict)
    _claimed: OrderedDict[bytes, None] = field(init=False, default_factory=OrderedDict)
    _sample_der: bytes = field(init=False)
    _sample: SignedData = field(init=False)

    def __post_init__(self) -> None:
        self._sample_der = sign(b"a sample", self.identity.signer, signing_time=to_datetime(self.now()))
        self._sample = parse_signed_data(self._sample_der)
        self._clock = MonotoneClock(self.now, lambda seconds: self.on_clock_adjustment(seconds))  # noqa: PLW0108 it is set later
        self._keys = DecryptionKeys()
        self.add_decryption_key(self.identity)
        self._pool = CertificatePool(known[0] for group in self.peers.values() for known in group)
        for chain in self.store.all_certificates():
            if (known := self._pool.parse(chain[0])) is not None:
                self._pool.add(known)

    def add_decryption_key(self, identity: Identity) -> None:
        """Make what was encrypted to an older certificate of ours readable."""
        if identity.can_decrypt:
            self._keys.add(identity.key, identity.certificate)

    # ------------------------------------------------------------------ leaving

    def can_encrypt_to(self, jid: JID) -> bool:
        """Tell whether there is a usable certificate of a JID."""
        return bool(self._recipients_of(bare(jid)))

    def protect(self, stanza: Element, *, sender: JID, recipient: JID, level: Level) -> str:
        """Return the text of the `<e2e/>` element for a stanza in `jabber:client`.

        `level` says what to do; `opportunistic` counts as `required` here, `off` is an error. Raises a
        `LocalError`: `NoCertificateError`, `CertificateError` (ours is expired), `InvalidStanzaError`.
        """
        if level is Level.OFF:
            raise UnprotectableError("nothing is to be done to this stanza")
        now = self.now()
        recipients = () if level is Level.SIGN else self._encryption_recipients(recipient)
        signer, certificates = None, False
        if level is not Level.ENCRYPT_UNSIGNED:
            self.identity.check_validity(to_datetime(now))
            certificates = self._includes_certificates(recipient, now)
            signer = self.identity.signer if certificates else self.identity.short_signer
        sealing = rfc3923.Sealing(signer, recipients, self.options.cipher, certificates=certificates)
        text = rfc3923.protect(
            stanza, sealing, sender=sender, recipient=recipient, moment=self._clock.next(), random=self.random
        )
        if certificates:
            self._remember_inclusion(recipient, now)
        return text

    def _encryption_recipients(self, recipient: JID) -> tuple[KeyTransportRecipient, ...]:
        found = self._recipients_of(bare(recipient))
        if not found:
            raise NoCertificateError(f"no usable certificate of {recipient.bare} is known")
        if self.options.encrypt_to_self and self.identity.can_decrypt:
            return (*found, self._recipient(self.identity.certificate))
        return found

    def _includes_certificates(self, recipient: JID, now: int) -> bool:
        """Follow RFC 3923 6.6: with the first stanza and then once in five minutes (ERRATA E27)."""
        last = self._inclusions.get(recipient.full)
        return last is None or not 0 <= now - last < INCLUSION_INTERVAL

    def _remember_inclusion(self, recipient: JID, now: int) -> None:
        self._inclusions[recipient.full] = now
        self._inclusions.move_to_end(recipient.full)
        if len(self._inclusions) > _INCLUSIONS:
            self._inclusions.popitem(last=False)

    def forget_inclusion(self, jid: JID) -> None:
        """Send our certificate again with the next stanza: the peer may not have it."""
        for address in [each for each in self._inclusions if JID(each).bare == jid.bare]:
            del self._inclusions[address]

    def _recipients_of(self, jid: str) -> tuple[KeyTransportRecipient, ...]:
        now = self.now()
        known = self._recipients.get(jid)
        if known is not None and 0 <= now - known[0] < _RECIPIENTS_KEPT:
            return known[1]
        found: dict[bytes, KeyTransportRecipient] = {}
        for certificate, hints in self._candidates(jid):
            if len(found) == _RECIPIENTS_PER_JID:
                break
            if isinstance(certificate.public_key, rsa.RSAPublicKey) and self._is_trusted(
                jid, certificate, hints, now
            ):
                found[certificate.fingerprint] = self._recipient(certificate)
        self._recipients[jid] = now, tuple(found.values())
        self._recipients.move_to_end(jid)
        if len(self._recipients) > _INCLUSIONS:
            self._recipients.popitem(last=False)
        return self._recipients[jid][1]

    def _candidates(self, jid: str) -> Iterable[tuple[ParsedCertificate, Sequence[ParsedCertificate]]]:
        for known in self.peers.get(jid, ()):
            yield known[0], known[1:]
        for chain in self.store.certificates(jid):
            parsed = [each for der in chain if (each := self._pool.parse(der)) is not None]
            if parsed:
                yield parsed[0], parsed[1:]

    def _is_trusted(
        self, jid: str, certificate: ParsedCertificate, hints: Sequence[ParsedCertificate], now: int
    ) -> bool:
        try:
            self.authority.judge(jid, certificate, hints, at=to_datetime(now), purpose="encrypt")
        except UntrustedError:
            return False
        return True

    def _recipient(self, certificate: ParsedCertificate) -> KeyTransportRecipient:
        return KeyTransportRecipient(certificate, transport=self.options.transport)

    # ------------------------------------------------------------------ arriving

    def trusts_somebody_as(self, jid: JID) -> bool:
        """Tell whether a trusted certificate of a JID is known (who may be answered: ERRATA E05)."""
        now = self.now()
        name = bare(jid)
        return any(
            self._is_trusted(name, certificate, hints, now) for certificate, hints in self._candidates(name)
        )

    def unprotect(
        self, text: str, outer: Outer, *, delayed_since: int | None = None, allow_unsigned: bool = False
    ) -> Unprotected:
        """Open the text of an `<e2e/>` element, and judge it; raise a `RemoteError`.

        `delayed_since` is when our own server says that it stored the stanza. Of a `TimestampError` for
        what was authenticated but is old, from the future, or seen, `stale` holds stanza and report.
        Raises `StoreError` if the replay record can't be kept: then nothing is delivered.
        """
        repeated: list[bytes] = []
        claimed: list[bytes] = []

        def claim(encrypted_key: bytes) -> bool:
            if self._claim(encrypted_key):
                claimed.append(encrypted_key)
                return True
            repeated.append(encrypted_key)
            return self.options.open_repeated and outer.kind != "iq"

        opener = rfc3923.Opener(
            self._keys,
            self._pool,
            self._decoy,
            claim,
            allow_sha1=self.options.allow_sha1,
            allow_unsigned=allow_unsigned,
            random=self.random,
        )
        try:
            return self._judge(opener.open_object(text), outer, delayed_since)
        except RemoteError as error:
            error.silent = bool(repeated) and self.options.open_repeated
            raise
        except StoreError:  # it was not judged: let it come again
            for encrypted_key in claimed:
                self._claimed.pop(SHA256.digest(encrypted_key), None)
            raise

    def _judge(self, opened: rfc3923.Opened, outer: Outer, delayed_since: int | None) -> Unprotected:
        if opened.signer is None:
            try:
                return self._take_unsigned(opened, outer, delayed_since)
            except RemoteError as error:
                error.conceal()  # no signature has verified over it (ARCHITECTURE invariant 15)
                raise
        hints = [each for der in opened.certificates if (each := self._pool.parse(der)) is not None]
        try:
            decision = self._decide(outer.sender, opened.signer.certificate, hints)
        except RemoteError as error:
            if opened.decrypted is not None:  # nobody is told what was inside (ERRATA E31)
                error.conceal()
            raise
        content = rfc3923.read_content(opened, outer)
        report = self._report(opened, outer, decision, content.timestamp)
        freshness = self._admit(opened, outer, content, report, delayed_since)
        report = replace(
            report,
            timestamp_state=freshness.state,
            skew=freshness.skew,
            delayed=freshness.delayed,
            checks=(*report.checks, "timestamp", "replay"),
        )
        return Unprotected(
            content.stanza, report, self._learn(outer.sender, opened.signer.certificate, hints)
        )

    def _known_chain(self, jid: str, certificate: ParsedCertificate) -> list[ParsedCertificate]:
        """Return what came along with a certificate when it came."""
        for known, hints in self._candidates(jid):
            if known.fingerprint == certificate.fingerprint:
                return list(hints)
        return []

    def _decide(
        self, sender: JID, certificate: ParsedCertificate, hints: Sequence[ParsedCertificate]
    ) -> Decision:
        jid, at = bare(sender), to_datetime(self.now())
        try:
            try:
                return self.authority.judge(jid, certificate, hints, at=at, purpose="sign")
            except UntrustedError:
                before = self._known_chain(jid, certificate)
                if not before:
                    raise
                return self.authority.judge(jid, certificate, [*hints, *before], at=at, purpose="sign")
        except ChangedCertificateError as error:
            raise SignatureError(str(error), reason="certificate-changed") from None
        except UntrustedError as error:
            raise SignatureError(str(error), reason=error.why) from None

    def _admit(
        self,
        opened: rfc3923.Opened,
        outer: Outer,
        content: rfc3923.Content,
        report: SecurityReport,
        delayed_since: int | None,
    ) -> Freshness:
        assert opened.signer is not None
        try:
            return admit(
                self.store,
                signer=bare(outer.sender),
                digest=opened.signer.attributes_digest,
                timestamp=content.timestamp,
                now=self.now(),
                delayed_since=delayed_since,
                window=self.options.window,
            )
        except TimestampError as error:
            stale = replace(report, timestamp_state=STALE[error.reason], skew=error.skew)
            error.stale = content.stanza, stale
            raise

    def _take_unsigned(self, opened: rfc3923.Opened, outer: Outer, delayed_since: int | None) -> Unprotected:
        """Deliver what nobody signed, as what it is; the replay record stays untouched (ERRATA E29)."""
        content = rfc3923.read_content(opened, outer)
        skew = check_window(
            content.timestamp, self.now(), delayed_since=delayed_since, window=self.options.window
        )
        report = self._report(opened, outer, None, content.timestamp)
        return Unprotected(content.stanza, replace(report, skew=skew), learned=False)

    def _report(
        self, opened: rfc3923.Opened, outer: Outer, decision: Decision | None, timestamp: int
    ) -> SecurityReport:
        signer, decrypted = opened.signer, opened.decrypted
        checks = ["decryption"] if decrypted else []
        if signer:
            checks += [
                "signature",
                "names",
                "validity",
                "key-usage",
                *([str(decision.trust)] if decision else []),
                "binding",
            ]
        return SecurityReport(
            format=rfc3923.NAME,
            signed=signer is not None,
            encrypted=decrypted is not None,
            signer=JID(outer.sender.bare) if signer else None,
            certificate=signer.certificate.certificate if signer else None,
            trust=decision.trust if decision else Trust.UNTRUSTED,
            timestamp=to_datetime(timestamp),
            timestamp_state="ok",
            skew=None,
            delayed=False,
            signature_algorithm=signer.scheme.name if signer else None,
            encryption_algorithm=decrypted.cipher if decrypted else None,
            key_management_algorithm=decrypted.key_management if decrypted else None,
            legacy=signer is not None and signer.scheme.digest.weak,
            checks=tuple(checks),
            outer_id=outer.id,
        )

    def _learn(self, sender: JID, certificate: ParsedCertificate, hints: Sequence[ParsedCertificate]) -> bool:
        """Keep the certificate of a signer who was trusted, to encrypt to and to verify with (RFC 3923 6.2)."""
        jid = bare(sender)
        if (jid, certificate.fingerprint) in self._learned:
            self._learned.move_to_end((jid, certificate.fingerprint))
            return False
        if any(known[0].fingerprint == certificate.fingerprint for known in self.peers.get(jid, ())):
            return False
        above = (each.der for each in hints if each.fingerprint != certificate.fingerprint)
        is_new = self.store.add_certificate(jid, (certificate.der, *above))
        if is_new:  # another one of this JID may have had to go: it is to be learned again when it signs
            for key in [key for key in self._learned if key[0] == jid]:
                del self._learned[key]
            self._recipients.pop(jid, None)
        self._pool.add(certificate)
        self._learned[jid, certificate.fingerprint] = None
        if len(self._learned) > _INCLUSIONS:
            self._learned.popitem(last=False)
        return is_new

    def _claim(self, encrypted_key: bytes) -> bool:
        """Take note of an encrypted key; return whether it is new (see `formats.rfc3923.Opener`)."""
        digest = SHA256.digest(encrypted_key)
        if digest in self._claimed:
            return False
        self._claimed[digest] = None
        if len(self._claimed) > _CLAIMS:
            self._claimed.popitem(last=False)
        return True

    def _decoy(self, data: bytes, read: bool) -> None:
        """Take the time of a refusal that comes late (see `formats.rfc3923.Opener`)."""
        SHA256.digest(data)
        sample = self._sample if read else parse_signed_data(self._sample_der)
        info = sample.signer_infos[0]
        try:
            info.scheme.verify(self.identity.certificate.public_key, info.signature, b"something else")
        except SignatureError:
            return


def index_by_name(groups: Iterable[Sequence[ParsedCertificate]]) -> dict[str, list[Known]]:
    """Return certificates by the bare JIDs that they name; a group is what stood in one file."""
    found: dict[str, list[Known]] = {}
    for group in groups:
        for certificate in group:
            others = [each for each in group if each is not certificate]
            for jid in certificate_jids(certificate.certificate):
                found.setdefault(jid, []).append((certificate, *others))
    return found

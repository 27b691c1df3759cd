"""A stanza in, a protected payload out, and back: what ties keys, trust, time and formats together.

No stream and no I/O of its own: the clock, the randomness, the keys and the store are given to it.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal
from xml.etree.ElementTree import Element

from slixmpp.jid import JID

from slixmpp_e2e.certificates.identity import EncryptionIdentity, Identity
from slixmpp_e2e.certificates.names import certificate_jids
from slixmpp_e2e.certificates.path import PURPOSES, check_usage
from slixmpp_e2e.certificates.peers import Known, PeerCertificates, PeerKey
from slixmpp_e2e.certificates.store import Store
from slixmpp_e2e.certificates.succession import Succession
from slixmpp_e2e.certificates.trust import Authority, ChangedCertificateError, Decision, UntrustedError
from slixmpp_e2e.cms.algorithms import SHA256, ContentCipher, Random
from slixmpp_e2e.cms.capabilities import common_cipher
from slixmpp_e2e.cms.certificates import ParsedCertificate
from slixmpp_e2e.cms.recipients import DecryptionKeys, KeyTransport, Recipient, recipient_for
from slixmpp_e2e.cms.signed_data import SignedData, parse_signed_data, sign
from slixmpp_e2e.errors import (
    NOT_ACCEPTABLE,
    CertificateError,
    CertificatesOnlyError,
    MalformedError,
    NoCertificateError,
    RemoteError,
    SignatureError,
    StoreError,
    TimestampError,
    UnprotectableError,
)
from slixmpp_e2e.formats import rfc3923
from slixmpp_e2e.formats.claims import ClaimedKeys
from slixmpp_e2e.formats.content import Content, read_content
from slixmpp_e2e.freshness import (
    SECOND,
    WINDOW,
    Freshness,
    MonotoneClock,
    admit,
    check_window,
    judge_archived,
    to_datetime,
)
from slixmpp_e2e.media.addresses import bare
from slixmpp_e2e.policy import Level
from slixmpp_e2e.report import SecurityReport, Trust
from slixmpp_e2e.reporting import build_report, dated
from slixmpp_e2e.stanza import Outer
from slixmpp_e2e.tables import Recent

#: RFC 3923 6.6.
INCLUSION_INTERVAL: Final = 300 * SECOND
_JIDS: Final = 4096
#: How many certificates without a signature are judged at once: one that signs, one that is encrypted to.
_AT_ONCE: Final = 2
_STALE: Final[dict[str, Literal["old", "future", "seen"]]] = {
    "old": "old",
    "future": "future",
    "seen": "seen",
    "decreasing": "old",  # presence that a newer one has overtaken
}


@dataclass(frozen=True, slots=True)
class Options:
    """The choices that are left open."""

    #: None: what all recipients have announced, AES-128-CBC where they have not (ERRATA E30).
    cipher: ContentCipher | None = None
    #: For RSA keys. None: OAEP where the recipient has announced it, else PKCS #1 v1.5.
    transport: KeyTransport | None = None
    #: Accept SHA-1 signatures (RFC 3923 6.10); they are reported as legacy.
    allow_sha1: bool = False
    #: Decrypt Triple-DES; it is never written, and reported as legacy.
    allow_3des: bool = False
    #: Read the forms of draft-ietf-xmpp-e2e-03 (ERRATA E47); they are never written.
    allow_early_draft: bool = False
    #: Encrypt to our own certificates too, so that copies of what we sent stay readable.
    encrypt_to_self: bool = False
    #: Open an encrypted object that came before, to show it as seen, and say nothing about it.
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
    configured: Mapping[str, Sequence[Known]] = field(default_factory=dict)
    random: Random = os.urandom
    on_clock_adjustment: Callable[[float], None] = field(default=lambda _seconds: None)
    peers: PeerCertificates = field(init=False)
    _clock: MonotoneClock = field(init=False)
    _keys: DecryptionKeys = field(init=False)
    #: When our certificate was sent to a JID last.
    _inclusions: Recent[str, int] = field(init=False)
    _claimed: ClaimedKeys = field(init=False)
    #: The timestamp of the last presence of a full JID.
    _presence: Recent[str, int] = field(init=False)
    _succession: Succession = field(init=False)
    _sample_der: bytes = field(init=False)
    _sample: SignedData = field(init=False)

    def __post_init__(self) -> None:
        self._sample_der = sign(b"a sample", self.identity.signer, signing_time=to_datetime(self.now()))
        self._sample = parse_signed_data(self._sample_der)
        self._clock = MonotoneClock(self.now, lambda seconds: self.on_clock_adjustment(seconds))  # noqa: PLW0108 it is set later
        self._keys = DecryptionKeys()
        self._inclusions, self._presence = Recent(_JIDS), Recent(_JIDS)
        self._claimed = ClaimedKeys()
        for own in (self.identity, self.identity.encryption):
            if own is not None:
                self.add_decryption_key(own)
        self.peers = PeerCertificates(self.authority, self.store, self.configured)
        self.peers.pool.add(self.identity.certificate)  # for copies of what we sent
        self._succession = Succession(self.identity)

    def size(self) -> int:
        """Return how much is remembered, in entries."""
        return len(self._inclusions) + len(self._claimed) + len(self._presence) + len(self.peers)

    def add_identity(self, identity: Identity) -> None:
        """Sign with another key from now on, or from when its certificate becomes valid.

        What was encrypted to the older one stays readable, and peers get the new certificate with the next
        stanza. Raises `CertificateError` if it is expired, or does not name all that the older one names.
        """
        self._succession.add(identity, self.identity, to_datetime(self.now()))
        for own in (identity, identity.encryption):
            if own is not None:
                self.add_decryption_key(own)
        self.peers.pool.add(identity.certificate)
        self._follow()

    def _follow(self) -> None:
        following = self._succession.due(to_datetime(self.now()))
        if following is not None:
            self.identity = following
            for address in self._inclusions:  # nobody has its certificate
                self._inclusions.pop(address)

    def add_decryption_key(self, identity: EncryptionIdentity) -> None:
        """Make what was encrypted to an older certificate of ours readable."""
        if identity.can_decrypt:
            self._keys.add(identity.key, identity.certificate)

    # ------------------------------------------------------------------ leaving

    def can_encrypt_to(self, jid: JID) -> bool:
        """Tell whether there is a usable certificate of a JID."""
        return bool(self.peers.keys(bare(jid), to_datetime(self.now())))

    def protect(self, stanza: Element, *, sender: JID, recipient: JID, level: Level) -> str:
        """Return the text of the `<e2e/>` element for a stanza in `jabber:client`.

        `level` says what to do; `opportunistic` counts as `required` here, `off` is an error. Raises a
        `LocalError`: `NoCertificateError`, `CertificateError` (ours is expired or is somebody else's),
        `InvalidStanzaError`.
        """
        if level is Level.OFF:
            raise UnprotectableError("nothing is to be done to this stanza")
        if bare(sender) not in self.identity.jids:  # RFC 3923 6.3: nobody would believe it
            raise CertificateError(f"our certificate is not for {sender.bare}")
        if self._succession:
            self._follow()
        now = self.now()
        keys = () if level is Level.SIGN else self._recipient_keys(recipient, now)
        cipher = self.options.cipher or common_cipher(key.capabilities for key in keys)
        signer, certificates = None, False
        if level is not Level.ENCRYPT_UNSIGNED:
            self.identity.check_validity(to_datetime(now))
            certificates = self._includes_certificates(recipient, now)
            signer = self.identity.signer if certificates else self.identity.short_signer
        recipients = tuple(self._recipient(key) for key in keys)
        sealing = rfc3923.Sealing(signer, recipients, cipher, certificates=certificates)
        text = rfc3923.protect(
            stanza, sealing, sender=sender, recipient=recipient, moment=self._clock.next(), random=self.random
        )
        if certificates:
            self._inclusions.put(recipient.full, now)
        return text

    def certificates_only(self) -> str:
        """Return the text of an `<e2e/>` element with our certificates and nothing else (RFC 3851 3.7)."""
        signer = self.identity.signer
        return rfc3923.write_certificates((signer.certificate, *signer.chain))

    def _recipient_keys(self, recipient: JID, now: int) -> tuple[PeerKey, ...]:
        at = to_datetime(now)
        found = self.peers.keys(bare(recipient), at)
        if not found:
            raise NoCertificateError(f"no usable certificate of {recipient.bare} is known")
        if self.options.encrypt_to_self:
            ours = [key for jid in self.identity.jids for key in self.peers.keys(jid, at)]
            if self.identity.recipient is not None:
                ours.append(PeerKey(self.identity.recipient, self.identity.capabilities))
            found = tuple({key.certificate.fingerprint: key for key in (*found, *ours)}.values())
        return found

    def _recipient(self, key: PeerKey) -> Recipient:
        transport = self.options.transport or key.capabilities.transport
        return recipient_for(key.certificate, transport=transport)

    def _includes_certificates(self, recipient: JID, now: int) -> bool:
        """Follow RFC 3923 6.6: with the first stanza and then once in five minutes (ERRATA E27)."""
        last = self._inclusions.get(recipient.full)
        return last is None or not 0 <= now - last < INCLUSION_INTERVAL

    def forget_inclusion(self, jid: JID) -> None:
        """Send our certificate again with the next stanza: the peer may not have it."""
        for address in self._inclusions:
            if JID(address).bare == jid.bare:
                self._inclusions.pop(address)

    # ------------------------------------------------------------------ arriving

    def trusts_somebody_as(self, jid: JID) -> bool:
        """Tell whether a trusted certificate of a JID is known (who may be answered: ERRATA E05)."""
        at, name = to_datetime(self.now()), bare(jid)
        return any(self.peers.is_trusted(name, known, at, "encrypt") for known in self.peers.of(name))

    def unprotect(
        self,
        text: str,
        outer: Outer,
        *,
        delayed_since: int | None = None,
        archived: bool = False,
        allow_unsigned: bool = False,
    ) -> Unprotected:
        """Open the text of an `<e2e/>` element, and judge it; raise a `RemoteError`.

        `delayed_since` is when our own server says that it stored the stanza. With `archived` it comes from an
        archive that we asked: whether it came before is not looked at, except that an encrypted key must not
        come with another object than before, and the report never says `authenticated`. Of a `TimestampError`
        for what was authenticated but is old, from the future, or seen, `stale` holds stanza and report. Raises
        `StoreError` if the replay record can't be kept: then nothing is delivered. What is found in a
        `CertificatesOnlyError` is learned before it is raised.
        """
        _check_comparable(outer.sender)
        repeated: list[bytes] = []
        claimed: list[bytes] = []

        def claim(encrypted_key: bytes, der: bytes) -> bool:
            if archived:
                return self._claimed.claim_archived(encrypted_key, der)
            if self._claimed.claim(encrypted_key, der):
                claimed.append(encrypted_key)
                return True
            repeated.append(encrypted_key)
            # shown as seen once more: the very same object, of which a signature will say that it is
            may_be_shown = self.options.open_repeated and outer.kind != "iq" and not allow_unsigned
            return may_be_shown and self._claimed.bore(encrypted_key, der)

        opener = rfc3923.Opener(
            self._keys,
            self.peers.pool,
            self._decoy,
            claim,
            allow_sha1=self.options.allow_sha1,
            allow_3des=self.options.allow_3des,
            allow_unsigned=allow_unsigned,
            random=self.random,
        )
        try:
            return self._judge(opener.open_object(text), outer, delayed_since, archived=archived)
        except CertificatesOnlyError as error:
            error.learned = self.take_certificates(error.certificates, outer.sender)
            raise
        except RemoteError as error:
            error.silent = bool(repeated) and self.options.open_repeated
            raise
        except StoreError:  # it was not judged: let it come again
            for encrypted_key in claimed:
                self._claimed.release(encrypted_key)
            raise

    def _judge(
        self, opened: rfc3923.Opened, outer: Outer, delayed_since: int | None, *, archived: bool
    ) -> Unprotected:
        if opened.signer is None:
            try:
                return self._take_unsigned(opened, outer, delayed_since, archived=archived)
            except RemoteError as error:
                error.conceal()  # no signature has verified over it (ARCHITECTURE invariant 15)
                raise
        hints = self.peers.parse(opened.certificates)
        try:
            decision = self._decide(outer.sender, opened.signer.certificate, hints, opened.crls)
        except RemoteError as error:
            if opened.decrypted is not None:  # nobody is told what was inside (ERRATA E31)
                error.conceal()
            raise
        try:
            content = self._read(opened, outer)
        except MalformedError as error:
            error.answer = NOT_ACCEPTABLE  # it was decrypted and verified
            raise
        report = build_report(opened, outer, decision, content.timestamp)
        if archived:
            if decision.first_use:  # nothing is decided by what an archive shows
                report = replace(report, trust=Trust.UNTRUSTED)
            freshness = self._archived(content, delayed_since)
            return Unprotected(content.stanza, dated(report, freshness, "archive"), learned=False)
        freshness = self._admit(opened, outer, content, report, delayed_since)
        jid = bare(outer.sender)
        if decision.first_use:  # before it is shown to anybody; if it can't be kept, nothing is
            self.peers.decide(jid, opened.signer.certificate.fingerprint, Trust.TOFU)
        try:
            learned = self.peers.learn(
                jid, opened.signer, hints, content.timestamp, decision=decision, at=to_datetime(self.now())
            )
        except StoreError:  # it was admitted, and would be seen if it came again; the next one teaches
            learned = False
        return Unprotected(content.stanza, dated(report, freshness, "timestamp", "replay"), learned)

    def _read(self, opened: rfc3923.Opened, outer: Outer) -> Content:
        return read_content(
            opened.content,
            outer,
            signing_time=opened.signer.signing_time if opened.signer else None,
            allow_early_draft=self.options.allow_early_draft,
        )

    def _archived(self, content: Content, stored: int | None) -> Freshness:
        return judge_archived(content.timestamp, stored, self.now(), window=self.options.window)

    def _decide(
        self,
        sender: JID,
        certificate: ParsedCertificate,
        hints: Sequence[ParsedCertificate],
        crls: Sequence[bytes],
    ) -> Decision:
        if self._succession.includes(certificate.fingerprint) and bare(sender) in self.identity.jids:
            return self._decide_own(certificate)
        jid, at = bare(sender), to_datetime(self.now())
        try:
            try:
                return self.authority.judge(jid, certificate, hints, at=at, purpose="sign", crls=crls)
            except UntrustedError:
                before = self.peers.chain_of(jid, certificate)
                if not before:
                    raise
                more = [*hints, *before]
                return self.authority.judge(jid, certificate, more, at=at, purpose="sign", crls=crls)
        except ChangedCertificateError as error:
            raise SignatureError(str(error), reason="certificate-changed") from None
        except UntrustedError as error:
            raise SignatureError(str(error), reason=error.why) from None

    def _decide_own(self, certificate: ParsedCertificate) -> Decision:
        """Judge a copy of what we sent ourselves, as far as the report says that it was judged."""
        try:
            self.identity.check_validity(to_datetime(self.now()))
            certificate.check_strength()
            check_usage(certificate.certificate, "sign")
        except CertificateError as error:
            raise SignatureError(str(error), reason="untrusted") from None
        return Decision(Trust.PINNED, (certificate.certificate,))

    def _admit(
        self,
        opened: rfc3923.Opened,
        outer: Outer,
        content: Content,
        report: SecurityReport,
        delayed_since: int | None,
    ) -> Freshness:
        assert opened.signer is not None
        try:
            freshness = admit(
                self.store,
                signer=bare(outer.sender),
                digest=opened.signer.attributes_digest,
                timestamp=content.timestamp,
                now=self.now(),
                delayed_since=delayed_since,
                window=self.options.window,
            )
            if outer.kind == "presence":
                self._check_order(outer.sender, content.timestamp, freshness)
        except TimestampError as error:
            stale = replace(report, timestamp_state=_STALE[error.reason], skew=error.skew)
            error.stale = content.stanza, stale
            raise
        return freshness

    def _check_order(self, sender: JID, timestamp: int, freshness: Freshness) -> None:
        """Refuse presence that is older than the last one: it would undo it (RFC 3863 6, ERRATA E34).

        One of the same moment is not older: a signature's time is in whole seconds (ERRATA E21).
        """
        if timestamp < (self._presence.get(sender.full) or 0):
            raise TimestampError("presence older than the last", reason="decreasing", skew=freshness.skew)
        self._presence.put(sender.full, timestamp)

    def _take_unsigned(
        self, opened: rfc3923.Opened, outer: Outer, delayed_since: int | None, *, archived: bool
    ) -> Unprotected:
        """Deliver what nobody signed, as what it is; the replay record stays untouched (ERRATA E29)."""
        content = self._read(opened, outer)
        report = build_report(opened, outer, None, content.timestamp)
        if archived:
            return Unprotected(content.stanza, dated(report, self._archived(content, delayed_since)), False)
        skew = check_window(
            content.timestamp, self.now(), delayed_since=delayed_since, window=self.options.window
        )
        return Unprotected(content.stanza, replace(report, skew=skew), learned=False)

    def take_certificates(
        self, certificates: Iterable[bytes], sender: JID, *, at_once: int = _AT_ONCE
    ) -> bool:
        """Keep those certificates (DER) that are the sender's and that we trust: nobody signed for them.

        The first `at_once` that name him are judged. Return whether one is new; raise `StoreError`.
        """
        jid, at = bare(sender), to_datetime(self.now())
        found = self.peers.parse(certificates)
        named = [each for each in found if jid in certificate_jids(each.certificate)][:at_once]
        trusted = [
            each
            for each in named
            if any(self.peers.is_trusted(jid, [each, *found], at, purpose) for purpose in PURPOSES)
        ]
        return any([self.peers.add(jid, each, found) for each in trusted])  # noqa: C419 all of them

    def _decoy(self, data: bytes, read: bool) -> None:
        """Take the time of a refusal that comes late (see `formats.rfc3923.Opener`)."""
        SHA256.digest(data)
        sample = self._sample if read else parse_signed_data(self._sample_der)
        info = sample.signer_infos[0]
        try:
            info.scheme.verify(self.identity.certificate.public_key, info.signature, b"something else")
        except SignatureError:
            return


def _check_comparable(sender: JID) -> None:
    try:
        bare(sender)
    except ValueError:
        raise SignatureError("the sender's address can't be compared", reason="name-mismatch") from None

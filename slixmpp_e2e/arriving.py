"""What arrives: opened, judged by who signed it, and taken in once.

In two steps, because between them the replay record is asked, and somebody may have to wait for its answer:
`judge` says all that can be said without it, `conclude` what its answer means.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal, Protocol, TypedDict
from xml.etree.ElementTree import Element

from slixmpp.jid import JID

from slixmpp_e2e.certificates.names import certificate_jids
from slixmpp_e2e.certificates.trust import Decision
from slixmpp_e2e.cms.algorithms import Random
from slixmpp_e2e.cms.certificates import ParsedCertificate
from slixmpp_e2e.cms.recipients import DecryptionKeys
from slixmpp_e2e.cms.signed_data import VerifiedSigner
from slixmpp_e2e.errors import (
    NOT_ACCEPTABLE,
    MalformedError,
    RemoteError,
    SignatureError,
    StoreError,
    TimestampError,
)
from slixmpp_e2e.formats import objenc, objenc_signed, rfc3923
from slixmpp_e2e.formats.claims import ClaimedKeys, Claims
from slixmpp_e2e.formats.content import Content, read_content
from slixmpp_e2e.formats.decoy import Decoy
from slixmpp_e2e.freshness import (
    Admission,
    Freshness,
    assess,
    check_window,
    judge_archived,
    replay_digest,
    to_datetime,
)
from slixmpp_e2e.media.addresses import bare
from slixmpp_e2e.options import Options
from slixmpp_e2e.report import SecurityReport, Trust
from slixmpp_e2e.reporting import build_report, dated
from slixmpp_e2e.signers import Judge, Signers
from slixmpp_e2e.stanza import Outer
from slixmpp_e2e.tables import SharedTable

_JIDS: Final = 4096
#: The text of an `<e2e/>` element of RFC 3923, or the element of draft-miller-3923bis-02.
Payload = str | Element
_STALE: Final[dict[str, Literal["old", "future", "seen"]]] = {
    "old": "old",
    "future": "future",
    "seen": "seen",
    "decreasing": "old",  # presence that a newer one has overtaken
}


class Account(Judge, Protocol):
    """Whom it arrives at, and what he goes by (`protection.Protection`)."""

    @property
    def options(self) -> Options:
        """The choices that are left open."""

    @property
    def random(self) -> Random:
        """Where randomness comes from."""


class Circumstances(TypedDict, total=False):
    """How a stanza came, and what may be taken: see `protection.Protection.unprotect`."""

    #: None unless it is given.
    delayed_since: int | None
    #: False unless it is given.
    archived: bool
    #: False unless it is given.
    allow_unsigned: bool


@dataclass(frozen=True, slots=True)
class Unprotected:
    """A stanza that came out of its protection, and what happened on the way."""

    stanza: Element
    report: SecurityReport
    #: The certificate was not known before.
    learned: bool


@dataclass(frozen=True, slots=True)
class Question:
    """What the replay record is asked: see `freshness.ReplayRecord.admit`."""

    signer: str
    digest: bytes
    timestamp: int
    received: int
    #: What versions before this one recorded: the digest of the signed attributes.
    former: bytes | None = None


@dataclass(frozen=True, slots=True)
class _Signature:
    """Who signed, and why he is believed."""

    signer: VerifiedSigner
    hints: Sequence[ParsedCertificate]
    decision: Decision


@dataclass(frozen=True, slots=True)
class Judged:
    """A stanza about which everything is known but whether it came before."""

    outer: Outer
    content: Content
    report: SecurityReport
    claims: Claims
    delayed_since: int | None
    #: None: its timestamp is judged, and nobody is to be asked.
    question: Question | None = None
    signature: _Signature | None = None


@dataclass(slots=True)
class Arriving:
    """Opens and judges what arrives at an account."""

    account: Account
    keys: DecryptionKeys
    _claimed: ClaimedKeys = field(default_factory=ClaimedKeys)
    #: The timestamp of the last presence of a full JID, for good while there is room.
    _presence: SharedTable[str, int] = field(default_factory=lambda: SharedTable(1, _JIDS, lambda: 0))
    _signers: Signers = field(init=False)
    _decoy: Decoy = field(init=False)

    def __post_init__(self) -> None:
        self._signers = Signers(self.account)
        signer = self.account.household.first.current.signer
        self._decoy = Decoy(signer, to_datetime(self.account.now()))

    def __len__(self) -> int:
        return len(self._claimed) + len(self._presence) + len(self._decoy)

    # ------------------------------------------------------------------ the first step

    def judge(
        self,
        payload: Payload,
        outer: Outer,
        *,
        delayed_since: int | None = None,
        archived: bool = False,
        allow_unsigned: bool = False,
    ) -> Judged:
        """Open an `<e2e/>` element, and judge all but whether it came before.

        See `protection.Protection.unprotect`. Where there is a `question`, whoever can't get it answered must
        `release` the result.
        """
        _check_comparable(outer.sender)
        options = self.account.options
        claims = Claims(
            self._claimed,
            archived=archived,
            # shown as seen once more: the very same object, of which a signature will say that it is
            show_repeated=options.open_repeated and outer.kind != "iq" and not allow_unsigned,
            silent=options.open_repeated,
        )
        with claims:
            if not isinstance(payload, str):
                return self._judge_objenc(
                    payload, outer, claims, delayed_since, archived=archived, allow_unsigned=allow_unsigned
                )
            opened = self._open(payload, outer, claims, allow_unsigned=allow_unsigned)
            if opened.signer is not None:
                return self._judge_signed(
                    opened, opened.signer, outer, claims, delayed_since, archived=archived
                )
            try:
                content = self._read(opened, outer)
                report = build_report(opened, outer, None, content.timestamp)
                return self._judge_unsigned(content, report, outer, claims, delayed_since, archived=archived)
            except RemoteError as error:
                error.conceal()  # no signature has verified over it (ARCHITECTURE invariant 15)
                raise

    def _open(self, text: str, outer: Outer, claims: Claims, *, allow_unsigned: bool) -> rfc3923.Opened:
        options = self.account.options
        opener = rfc3923.Opener(
            self.keys,
            self.account.peers.pool_for(bare(outer.sender)),
            self._decoy,
            claims.claim,
            allow_sha1=options.allow_sha1,
            allow_3des=options.allow_3des,
            allow_unsigned=allow_unsigned,
            random=self.account.random,
        )
        return opener.open_object(text)

    def _judge_objenc(
        self,
        element: Element,
        outer: Outer,
        claims: Claims,
        delayed_since: int | None,
        *,
        archived: bool,
        allow_unsigned: bool,
    ) -> Judged:
        """Judge an object of draft-miller-3923bis-02: by the signature in it, if there is one."""
        account, options = self.account, self.account.options
        opener = objenc.Opener(
            self.keys, claims.claim, allow_pkcs1=options.allow_objenc_pkcs1, random=account.random
        )
        held = opener.open_object(element)
        content = objenc.read_content(held, outer)
        text = objenc_signed.signed_text(content.stanza)
        try:
            if text is None and not allow_unsigned:
                raise SignatureError("nobody signed what was encrypted", reason="unsigned")
            if text is None:
                report = build_report(held, outer, None, content.timestamp, written_as=objenc.NAME)
                return self._judge_unsigned(content, report, outer, claims, delayed_since, archived=archived)
            if not archived:
                self._check_window(content, account.now(), delayed_since)
        except RemoteError as error:
            error.conceal()
            raise
        pool = account.peers.pool_for(bare(outer.sender))
        opened = objenc_signed.open_signed(text, held, pool, allow_sha1=options.allow_sha1)
        assert opened.signer is not None
        return self._judge_signed(
            opened, opened.signer, outer, claims, delayed_since, archived=archived, written_as=objenc.NAME
        )

    def _judge_signed(
        self,
        opened: rfc3923.Opened,
        signer: VerifiedSigner,
        outer: Outer,
        claims: Claims,
        delayed_since: int | None,
        *,
        archived: bool,
        written_as: str = rfc3923.NAME,
    ) -> Judged:
        hints = self.account.peers.parse(opened.certificates)
        try:
            decision = self._signers.decide(outer.sender, signer.certificate, hints, opened.crls)
        except RemoteError as error:
            if opened.decrypted is not None:  # nobody is told what was inside (ERRATA E31)
                error.conceal()
            raise
        except StoreError as error:
            error.concealed = opened.decrypted is not None  # nor that there was a signature to be judged
            raise
        try:
            content = self._read(opened, outer)
        except MalformedError as error:
            error.answer = NOT_ACCEPTABLE  # it was decrypted and verified
            raise
        if not content.names_sender and len(certificate_jids(signer.certificate.certificate)) > 1:
            # it would be new once as each of them: the record is kept by who signed
            raise SignatureError("it does not say which of several JIDs sent it", reason="name-mismatch")
        report = build_report(opened, outer, decision, content.timestamp, written_as=written_as)
        if archived:
            if decision.first_use:  # nothing is decided by what an archive shows
                report = replace(report, trust=Trust.UNTRUSTED)
            report = dated(report, self._archived(content, delayed_since), "archive")
            return Judged(outer, content, report, claims, delayed_since)
        now = self.account.now()
        try:
            skew = self._check_window(content, now, delayed_since)
        except TimestampError as error:
            raise _stale(error, content, report) from None
        question = Question(
            bare(outer.sender),
            replay_digest(opened.content, content.timestamp),
            content.timestamp,
            now,
            signer.attributes_digest,
        )
        signature = _Signature(signer, hints, decision)
        return Judged(outer, content, replace(report, skew=skew), claims, delayed_since, question, signature)

    def _judge_unsigned(
        self,
        content: Content,
        report: SecurityReport,
        outer: Outer,
        claims: Claims,
        delayed_since: int | None,
        *,
        archived: bool,
    ) -> Judged:
        """Deliver what nobody signed, as what it is; the replay record stays untouched (ERRATA E29)."""
        if archived:
            report = dated(report, self._archived(content, delayed_since))
        else:
            report = replace(report, skew=self._check_window(content, self.account.now(), delayed_since))
        return Judged(outer, content, report, claims, delayed_since)

    def _read(self, opened: rfc3923.Opened, outer: Outer) -> Content:
        return read_content(
            opened.content,
            outer,
            signing_time=opened.signer.signing_time if opened.signer else None,
            allow_early_draft=self.account.options.allow_early_draft,
        )

    def _check_window(self, content: Content, now: int, delayed_since: int | None) -> float:
        window = self.account.options.window
        return check_window(content.timestamp, now, delayed_since=delayed_since, window=window)

    def _archived(self, content: Content, stored: int | None) -> Freshness:
        account = self.account
        return judge_archived(content.timestamp, stored, account.now(), window=account.options.window)

    # ------------------------------------------------------------------ the second step

    def release(self, judged: Judged) -> None:
        """Let it come again: nobody could say whether it came before."""
        judged.claims.release()

    def conclude(self, judged: Judged, admission: Admission | None) -> Unprotected:
        """Return what is in a stanza, given the answer to its `question`; see `protection.Protection.unprotect`."""
        if judged.question is None or judged.signature is None or admission is None:
            assert judged.question is None
            return Unprotected(judged.content.stanza, judged.report, learned=False)
        with judged.claims:
            return self._take_in(judged, judged.signature, judged.question, admission)

    def _take_in(
        self, judged: Judged, signature: _Signature, question: Question, admission: Admission
    ) -> Unprotected:
        content, report, jid = judged.content, judged.report, question.signer
        assert report.skew is not None
        try:
            freshness = assess(
                admission,
                question.timestamp,
                question.received,
                skew=report.skew,
                delayed_since=judged.delayed_since,
                window=self.account.options.window,
            )
            if judged.outer.kind == "presence":
                self._check_order(judged.outer.sender, content.timestamp, freshness)
        except TimestampError as error:
            raise _stale(error, content, report) from None
        peers, decision = self.account.peers, signature.decision
        if decision.first_use:  # before it is shown to anybody; if it can't be kept, nothing is
            self._signers.believe_first(jid, signature.signer.certificate, secret=report.encrypted)
        at = to_datetime(question.received)
        try:
            learned = peers.learn(
                jid, signature.signer, signature.hints, content.timestamp, decision=decision, at=at
            )
        except StoreError:  # it was admitted, and would be seen if it came again; the next one teaches
            learned = False
        return Unprotected(content.stanza, dated(report, freshness, "timestamp", "replay"), learned)

    def _check_order(self, sender: JID, timestamp: int, freshness: Freshness) -> None:
        """Refuse presence that is older than the last one: it would undo it (RFC 3863 6, ERRATA E34).

        One of the same moment is not older: a signature's time is in whole seconds (ERRATA E21).
        """
        if timestamp < (self._presence.get(sender.full) or 0):
            raise TimestampError("presence older than the last", reason="decreasing", skew=freshness.skew)
        self._presence.put(sender.full, timestamp, sender.bare)


def _stale(error: TimestampError, content: Content, report: SecurityReport) -> TimestampError:
    """Let an error say what it is about: authenticated, but not for now."""
    error.stale = content.stanza, replace(report, timestamp_state=_STALE[error.reason], skew=error.skew)
    return error


def _check_comparable(sender: JID) -> None:
    try:
        bare(sender)
    except ValueError:
        raise SignatureError("the sender's address can't be compared", reason="name-mismatch") from None

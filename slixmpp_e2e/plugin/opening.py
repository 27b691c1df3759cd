"""How what arrives is opened: at once, or with what has to be waited for (`Opening.waits`).

Nothing is shown to anybody before all of it is there: the private key has answered, the replay record has said that
this came the first time, and a decision to believe a first use is kept.
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Unpack

from slixmpp import JID

from slixmpp_e2e.arriving import Circumstances, Judged, Payload, Question, Unprotected
from slixmpp_e2e.certificates.mirror import Mirror
from slixmpp_e2e.errors import NOT_UNDERSTOOD, CertificatesOnlyError, RefusedError
from slixmpp_e2e.freshness import Admission
from slixmpp_e2e.leaving import FORMATS
from slixmpp_e2e.media.addresses import bare
from slixmpp_e2e.protection import Protection
from slixmpp_e2e.stanza import Outer
from slixmpp_e2e.waiting import patiently


@dataclass(slots=True)
class Opening:
    """Opens what arrives for an account."""

    protection: Protection
    #: What is known of a store that is shared, or None.
    mirror: Mirror | None = None
    #: Which formats are read.
    formats: frozenset[str] = frozenset(FORMATS)

    @property
    def waits(self) -> bool:
        """Whether opening something may have to wait."""
        return self.mirror is not None or self.protection.decrypts_slowly

    async def unprotect(self, payload: Payload, outer: Outer, **how: Unpack[Circumstances]) -> Unprotected:
        """See `Protection.unprotect`; raise `RefusedError` for a format that is not read."""
        protection = self.protection
        if ("rfc3923" if isinstance(payload, str) else "objenc") not in self.formats:
            unread = RefusedError("it is in a format that is not read here", reason="unsupported")
            unread.answer = NOT_UNDERSTOOD
            raise unread

        def judge() -> Judged:
            self._ask_about(outer.sender)
            return protection.judge(payload, outer, **how)

        try:
            judged = await patiently(judge)
        except CertificatesOnlyError:
            await self.keep(bare(outer.sender))
            raise
        admission = None
        if judged.question is not None:
            try:
                admission = await self._admit(judged.question)
            except BaseException:
                protection.release(judged)
                raise
        if self.mirror is None:
            return protection.conclude(judged, admission)
        with self.mirror.settling():
            result = protection.conclude(judged, admission)
        await self.keep(bare(outer.sender))
        return result

    def _ask_about(self, sender: JID) -> None:
        """Raise `NotYet` if who sends is not known: before anything is opened, however that will end.

        So nobody learns from the time how far it was opened, and nothing is opened twice.
        """
        if self.mirror is not None:
            with suppress(ValueError):  # he can't be compared; `judge` says so
                self.mirror.decisions(bare(sender))

    async def _admit(self, question: Question) -> Admission:
        asked = (question.signer, question.digest, question.timestamp, question.received, question.former)
        return (
            self.protection.store.admit(*asked) if self.mirror is None else await self.mirror.take_in(*asked)
        )

    async def take_certificates(self, certificates: Iterable[bytes], sender: JID, *, at_once: int) -> bool:
        """See `Protection.take_certificates`."""
        found = tuple(certificates)
        learned = await patiently(lambda: self.protection.take_certificates(found, sender, at_once=at_once))
        await self.keep(bare(sender))
        return learned

    async def can_encrypt_to(self, jid: JID) -> bool:
        """See `Protection.can_encrypt_to`."""
        return await patiently(lambda: self.protection.can_encrypt_to(jid))

    async def keep(self, jid: str) -> None:
        """Wait until what was decided and learned about a JID is kept; raise `StoreError` if a decision can't be."""
        if self.mirror is not None:
            await self.mirror.keep(jid)

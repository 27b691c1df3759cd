"""One end without a stream: stanzas as XML in, stanzas as XML out.

For auditors, tests, and programs that don't use slixmpp's stream. The rules are those of the plugin: the
same stanzas are never protected, the same outer stanzas are read, the same errors would be answered.

**Not** here, because they need a stream: whether an iq response is the one to our request, who may be told of
an error (ERRATA E05) and how often, hints for archives, and which rooms we are in.
"""

from collections.abc import Callable, Mapping, Sequence
from xml.etree.ElementTree import Element

from slixmpp.jid import JID

from slixmpp_e2e.arriving import Unprotected
from slixmpp_e2e.certificates.identity import Identity
from slixmpp_e2e.certificates.peers import Known
from slixmpp_e2e.certificates.store import Store
from slixmpp_e2e.certificates.trust import Authority
from slixmpp_e2e.errors import (
    E2EError,
    InvalidStanzaError,
    MalformedError,
    RefusedError,
    RemoteError,
    UnprotectableError,
)
from slixmpp_e2e.leaving import Format
from slixmpp_e2e.options import Options
from slixmpp_e2e.outer import (
    MUC_JOIN,
    NEVER_ANSWERED,
    OPENED,
    TO_BARE_JID,
    find_payload,
    kind_of,
    never_protected,
    read_outer,
    read_stanza,
    write_error,
    write_outer,
    written_jid,
)
from slixmpp_e2e.policy import RANK, Level, Policy
from slixmpp_e2e.protection import Protection
from slixmpp_e2e.stanza import serialise, stanza_type

_RESPONSES = frozenset({"result", "error"})


class Endpoint:
    """Protects and unprotects whole stanzas for one account.

    `clock` returns nanoseconds since 1970. `store` holds the replay record: with a `MemoryStore` whose floor
    lies in the past, replays are detected only among what this very object has opened. Without a `policy`
    everything is signed and encrypted, and what nobody signed is refused.
    """

    def __init__(
        self,
        identity: Identity,
        authority: Authority,
        *,
        store: Store,
        clock: Callable[[], int],
        policy: Policy | None = None,
        options: Options | None = None,
        peers: Mapping[str, Sequence[Known]] | None = None,
    ) -> None:
        self.protection = Protection(
            identity, authority, store, clock, options=options or Options(), configured=peers or {}
        )
        self.policy = policy

    @classmethod
    def over(cls, protection: Protection, *, policy: Policy | None = None) -> "Endpoint":
        """Return an endpoint that uses a protection which is there already."""
        endpoint = cls.__new__(cls)
        endpoint.protection = protection
        endpoint.policy = policy
        return endpoint

    # ------------------------------------------------------------------ leaving

    def protect(
        self,
        stanza_xml: bytes | str,
        *,
        level: Level | None = None,
        response_to: str | None = None,
        written_as: Format = "rfc3923",
    ) -> str:
        """Return the outer stanza for a stanza: same kind, type and addresses, a new id, and `<e2e/>` alone.

        `level` may ask for more than the policy, not for less; without a policy it is what is done. Where the
        policy says `opportunistic`, it is done or refused: nothing comes back in clear. An iq result or error
        needs `response_to`, the id of the outer request, which is its own outer id (ERRATA E23). `written_as` is how
        it is encrypted, if it is: `objenc` is draft-miller-3923bis-02.

        Raises a `LocalError`: `UnprotectableError`, `NoCertificateError`, `CertificateError` (ours is
        expired, or is not the sender's), `InvalidStanzaError`, `TooLargeError`.
        """
        try:
            stanza = read_stanza(stanza_xml)
        except MalformedError as error:
            raise InvalidStanzaError(str(error)) from None
        kind = kind_of(stanza)
        to = written_jid(stanza.get("to", "")) if stanza.get("to") else JID()
        _require_protectable(stanza, to)
        found = self._level(to, stanza, level)
        sender = self._sender(stanza)
        stanza.set("from", sender.full)
        identifier = self._outer_id(stanza, response_to)
        element = self.protection.protect(
            stanza, sender=sender, recipient=to, level=found, written_as=written_as
        )
        attributes = {
            "type": stanza.get("type"),
            "from": sender.full,
            "to": to.full,
            "id": identifier,
        }
        return write_outer(kind, attributes, element)

    def _level(self, to: JID, stanza: Element, asked: Level | None) -> Level:
        if self.policy is None:
            return asked or Level.REQUIRED
        level = self.policy.level(to, kind_of(stanza))
        if asked is not None and RANK[asked] > RANK[level]:
            level = asked
        if level is Level.OFF:
            raise UnprotectableError(
                f"the policy lets it go to {to.bare} in clear, and no level was asked for"
            )
        return level

    def _sender(self, stanza: Element) -> JID:
        """Return who a stanza is from: RFC 3923 6.3 wants him in the certificate."""
        own = self.protection.identity.jids
        named = stanza.get("from")
        if not named:
            if len(own) != 1:
                raise InvalidStanzaError(f"it has no from; our certificate names {', '.join(sorted(own))}")
            return JID(next(iter(own)))
        return written_jid(named)

    def _outer_id(self, stanza: Element, response_to: str | None) -> str:
        is_response = kind_of(stanza) == "iq" and stanza_type(stanza) in _RESPONSES
        if is_response != (response_to is not None):
            raise InvalidStanzaError("an iq response, and nothing else, has the id of the outer request")
        return response_to or self.protection.random(16).hex()

    # ------------------------------------------------------------------ arriving

    def unprotect(self, stanza_xml: bytes | str, *, delayed_since: int | None = None) -> Unprotected:
        """Return the stanza in a protected one, and what was proven about it; raise a `RemoteError`.

        `delayed_since` is when our own server says that it stored the stanza, in nanoseconds since 1970;
        what the stanza itself says of it is not looked at. What nobody signed is refused unless the policy
        takes it from this sender. Raises `StoreError` if the replay record can't be kept.
        """
        stanza = read_stanza(stanza_xml)
        payload = find_payload(stanza)
        outer = read_outer(stanza, self.protection.identity.jids)
        result = self.protection.unprotect(
            payload,
            outer,
            delayed_since=delayed_since,
            allow_unsigned=self._takes_unsigned(outer.sender, stanza),
        )
        if outer.kind == "iq" and not result.stanza.get("id"):
            raise MalformedError("an iq without id")
        return result

    def _takes_unsigned(self, sender: JID, stanza: Element) -> bool:
        return self.policy is not None and self.policy.takes_unsigned(sender, kind_of(stanza))

    def answer_to(self, error: E2EError, stanza_xml: bytes | str) -> str | None:
        """Return the stanza error that would answer a stanza which `unprotect` refused, or None.

        None where nothing may be answered: an error, a result, groupchat, a headline, a stanza that says
        nothing of its sender or is none, and where an answer would tell more than that it failed (ERRATA
        E29). Who may be told at all, and how often, is for the caller (ERRATA E05, E37).
        """
        try:
            stanza = read_stanza(stanza_xml)
        except MalformedError:
            return None
        if stanza_type(stanza) in NEVER_ANSWERED or not stanza.get("from"):
            return None
        if not isinstance(error, RemoteError):
            error = RefusedError("it could not be judged")  # our store failed: the peer learns nothing of it
        if kind_of(stanza) != "iq" and (error.silent or (error.concealed and self._may_be_unsigned(stanza))):
            return None
        return serialise(write_error(stanza, error.answer))

    def _may_be_unsigned(self, stanza: Element) -> bool:
        try:
            return self._takes_unsigned(JID(stanza.get("from")), stanza)
        except ValueError:
            return True


def _require_protectable(stanza: Element, to: JID) -> None:
    kind = kind_of(stanza)
    why = never_protected(kind, stanza_type(stanza), to)
    if why is None and kind == "presence" and stanza.find(MUC_JOIN) is not None:
        why = "presence in rooms is never protected"
    if why is None and stanza_type(stanza) not in OPENED[kind]:
        why = f"a {kind} of this type is never opened"
    if why is None and kind == "iq" and not to.resource and stanza_type(stanza) not in _RESPONSES:
        why = TO_BARE_JID
    if why is not None:
        raise UnprotectableError(why)
    if kind == "iq" and not stanza.get("id"):
        raise InvalidStanzaError("an iq must have an id")

"""Who we may be on a stream: one account for a client, any number of its domain for a component."""

from collections.abc import Collection, Iterator
from typing import Any

from slixmpp import JID

from slixmpp_e2e.errors import ConfigurationError
from slixmpp_e2e.media.addresses import bare
from slixmpp_e2e.protection import Protection


def check_own_jids(xmpp: Any, protection: Protection) -> None:
    """Raise `ConfigurationError` if our certificates are for somebody that we are not."""
    own, named = bare(xmpp.boundjid), protection.identity.jids
    if xmpp.is_component:
        check_hosted(xmpp, protection.jids)
    elif own not in named:
        raise ConfigurationError(f"our certificate is for {', '.join(sorted(named))}, but we log in as {own}")
    elif len(protection.household) > 1:
        raise ConfigurationError("hosted is for components: a client is one account")


def check_hosted(xmpp: Any, jids: Collection[str]) -> None:
    """Raise `ConfigurationError` if a component's server would not let it speak as one of these bare JIDs."""
    own = bare(xmpp.boundjid.domain)
    others = sorted(jid for jid in jids if jid.rpartition("@")[2] != own)
    if others:
        raise ConfigurationError(f"{', '.join(others)} can't be hosted by {own}")


def announce(xmpp: Any, protection: Protection, features: Collection[str]) -> None:
    """Say by service discovery (XEP-0030) what we understand, and those whom we host."""
    for jid in _asked_as(xmpp, protection):
        for feature in features:
            xmpp.plugin["xep_0030"].add_feature(feature, jid=jid)


def withdraw(xmpp: Any, protection: Protection, features: Collection[str]) -> None:
    """Undo `announce`."""
    for jid in _asked_as(xmpp, protection):
        for feature in features:
            xmpp.plugin["xep_0030"].del_feature(feature=feature, jid=jid)


def _asked_as(xmpp: Any, protection: Protection) -> Iterator[JID | None]:
    yield None  # ourselves
    if xmpp.is_component:
        yield from map(JID, sorted(protection.jids))

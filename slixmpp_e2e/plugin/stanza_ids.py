"""Ids that our server gives to messages (XEP-0359): what a program asks its archive by.

The server writes them beside `<e2e/>`, where it also takes out those that others have written in its name. Into the
protection it can't see. So what a program finds in a message that was opened is what the server wrote, and nothing
that the sender did: he can't do inside what he could not do in clear (ARCHITECTURE invariant 11). Nobody has signed
them, and no report speaks of them.
"""

import copy
from collections.abc import Collection
from typing import Final
from xml.etree.ElementTree import Element

from slixmpp import JID

from slixmpp_e2e.media.addresses import bare
from slixmpp_e2e.namespaces import SID

STANZA_ID: Final = f"{{{SID}}}stanza-id"


def adopt_stanza_ids(outer: Element, inner: Element, own: Collection[str]) -> None:
    """Replace the ids in `inner` that name our account or server as their maker by those of `outer`.

    `own` are our bare JIDs. Ids of others, such as rooms, stay where they are: those inside were signed, those
    beside were not. Nothing happens to what is no message.
    """
    ours = {*own, *(jid.rpartition("@")[2] for jid in own)}
    for forged in _made_by(inner, ours):
        inner.remove(forged)
    inner.extend(copy.copy(each) for each in _made_by(outer, ours))


def _made_by(message: Element, makers: Collection[str]) -> list[Element]:
    return [each for each in message.findall(STANZA_ID) if _maker(each) in makers]


def _maker(stanza_id: Element) -> str:
    try:
        return bare(JID(stanza_id.get("by", "")))
    except ValueError:
        return ""

"""Ids that our server gives to messages (XEP-0359): what a program asks its archive by.

The server writes them beside `<e2e/>`, where it also takes out those that others have written in its name. Into the
protection it can't see. So what a program finds in a message that was opened is what the server wrote, and nothing
that the sender did: he can't do inside what he could not do in clear (ARCHITECTURE invariant 11). Nobody has signed
them, and no report speaks of them. So what is taken from beside is two attributes, in a message, and once for each
maker: nothing else that a server writes gets into what was signed.
"""

from collections.abc import Collection
from typing import Final
from xml.etree.ElementTree import Element, SubElement

from slixmpp import JID

from slixmpp_e2e.media.addresses import bare
from slixmpp_e2e.namespaces import SID

STANZA_ID: Final = f"{{{SID}}}stanza-id"


def adopt_stanza_ids(outer: Element, inner: Element, own: Collection[str]) -> None:
    """Replace the ids in `inner` that name our account or server as their maker by those of `outer`.

    `own` are our bare JIDs. Ids of others, such as rooms, stay where they are: those inside were signed, those
    beside were not. A maker with a resource is not believed beside, where XEP-0359 has our bare JID, and is ours
    inside. Of several of one maker the first counts. Only messages have such ids: from a presence or an iq those
    inside go, and nothing comes.
    """
    ours = {*own, *(jid.rpartition("@")[2] for jid in own)}
    for each in inner.findall(STANZA_ID):
        maker = _maker(each)
        if maker is not None and bare(maker) in ours:
            inner.remove(each)
    if outer.tag.rpartition("}")[2] != "message":
        return
    for each in outer.findall(STANZA_ID):
        maker = _maker(each)
        identifier = each.get("id")
        if maker is not None and identifier and not maker.resource and bare(maker) in ours:
            SubElement(inner, STANZA_ID, {"id": identifier, "by": each.get("by", "")})
            ours.remove(bare(maker))


def _maker(stanza_id: Element) -> JID | None:
    """Return who says that he made an id, or None if that is no address that can be compared."""
    try:
        maker = JID(stanza_id.get("by", ""))
        bare(maker)
    except ValueError:
        return None
    return maker

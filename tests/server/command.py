"""An ad-hoc command of two steps (XEP-0050), and how somebody goes through it."""

import asyncio

from slixmpp import Iq
from slixmpp.exceptions import IqError

from .couple import Party


def offer_marriage(party: Party) -> list[str]:
    """Add a command that asks for a name and answers with an oath; return the names, as they will come."""
    names: list[str] = []

    def ask(_: Iq, session):
        session["payload"] = party.plugin("xep_0004").make_form("form", "Marriage")
        session["payload"].add_field(var="name", ftype="text-single", label="Who art thou?")
        session["next"], session["has_next"] = swear, False
        return session

    def swear(form, session):
        names.append(form.get_values()["name"])
        answer = party.plugin("xep_0004").make_form("result", "Oath")
        answer.add_field(var="oath", value=f"I, {names[-1]}, take thee")
        session["payload"], session["next"] = answer, None
        return session

    party.plugin("xep_0050").add_command(node="marry", name="Propose to Juliet", handler=ask)
    return names


async def propose(party: Party, name: str) -> str:
    """Go through the command with slixmpp's own workflow; return the oath."""
    oath: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def fill_in(iq: Iq, session) -> None:
        assert party.trusts(iq)
        assert iq["command"]["form"].get_fields()["name"]["label"] == "Who art thou?"
        form = party.plugin("xep_0004").make_form("submit")
        form.add_field(var="name", value=name)
        session["payload"], session["next"] = form, read
        party.plugin("xep_0050").complete_command(session)

    def read(iq: Iq, _) -> None:
        assert party.trusts(iq)
        oath.set_result(iq["command"]["form"].get_fields()["oath"]["value"])

    def fail(iq: Iq, _) -> None:
        oath.set_exception(IqError(iq))

    party.plugin("xep_0050").start_command(party.peer, "marry", {"next": fill_in, "error": fail})
    return await asyncio.wait_for(oath, 20)

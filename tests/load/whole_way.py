"""The whole way of a stanza in the same run: as `tests.benchmarks.whole_way`, with the keys of a line."""

from pathlib import Path
from typing import Final

import slixmpp

import slixmpp_e2e
from tests.benchmarks.clock import Contestant, Effort, measure
from tests.benchmarks.parties import Party
from tests.load.people import JULIET, ROMEO, address, options

_RESOURCE: Final = "nowhere"
_BODY: Final = "x" * 200
#: Some batches of each; the caller repeats them between its own measurements.
BATCHES: Final = Effort(rounds=3, calls=20, warm_up=200, stanzas=0)


class WholeWay:
    """Two clients with the certificates of a line that are connected to nothing."""

    def __init__(self, directory: Path, line: str, effort: Effort = BATCHES) -> None:
        self._effort = effort
        self._romeo, self._juliet = address(ROMEO, line, _RESOURCE), address(JULIET, line, _RESOURCE)
        self._sender = self._party(directory, ROMEO, line, self._romeo)
        self._receiver = self._party(directory, JULIET, line, self._juliet)
        for _ in range(effort.warm_up):
            for stanza in self._stanzas(1):
                self._receiver.unseal(stanza)

    @staticmethod
    def _party(directory: Path, who: str, line: str, jid: str) -> Party:
        xmpp = slixmpp.ClientXMPP(jid, "")
        xmpp.register_plugin("e2e", options(directory, who, line, _RESOURCE), module=slixmpp_e2e)
        return Party(xmpp)

    async def seconds(self) -> float:
        """Return how long a stanza takes, out and in together."""
        contestants = (
            Contestant("out", self._sender.seal, self._messages),
            Contestant("in", self._receiver.unseal, self._stanzas),
        )
        timings = await measure(contestants, self._effort)
        return sum(each.median for each in timings.values()) / 1e6

    def _messages(self, calls: int) -> list[slixmpp.Message]:
        return [self._message() for _ in range(calls)]

    def _message(self) -> slixmpp.Message:
        message: slixmpp.Message = self._sender.xmpp.make_message(self._juliet, _BODY, mtype="chat")
        message["id"] = self._sender.xmpp.new_id()
        return message

    def _stanzas(self, calls: int) -> list[object]:
        sealed = (self._sender.seal(self._message()) for _ in range(calls))
        return [self._receiver.receive(self._sender.wire(each), sender=self._romeo) for each in sealed]

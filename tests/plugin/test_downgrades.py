"""Who could protect and does not is noticed; and another policy counts as soon as it is set."""

from typing import Any
from xml.etree.ElementTree import fromstring, tostring

import pytest
import slixmpp

from slixmpp_e2e import ConfigurationError, Downgrade, Trust
from tests.patience import WaitedFor
from tests.server.protected import PKI, make_pki

from .test_filters import Filtered, carry

OPPORTUNISTIC = {"policy": {"*": "opportunistic"}}
ROMEO = "romeo@localhost/romeo"


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> PKI:
    return make_pki(tmp_path_factory.mktemp("pki"))


class Watched(Filtered):
    """A client whose downgrades are written down."""

    def __init__(self, pki: PKI, name: str, peer: str, **options: Any) -> None:
        super().__init__(pki, name, peer, **{**OPPORTUNISTIC, **options})
        self.downgrades: list[Downgrade] = []
        self.xmpp.add_event_handler("e2e_downgraded", self.downgrades.append)

    def hear(self, body: str = "clear", sender: str = ROMEO, kind_type: str = "chat") -> Any:
        """Receive a message in clear, and return what is delivered."""
        xml = fromstring(f"<message xmlns='jabber:client'><body>{body}</body></message>")
        xml.attrib.update({"from": sender, "to": "juliet@localhost/juliet", "type": kind_type})
        return self.unseal(slixmpp.Message(self.xmpp, xml=xml, recv=True))

    def told(self) -> list[tuple[str, bool]]:
        """Return direction and past of what was told."""
        return [(each.direction, each.used_to_protect) for each in self.downgrades]


@pytest.fixture
async def romeo(pki) -> Watched:
    return Watched(pki, "romeo", "juliet")


@pytest.fixture
async def juliet(pki) -> Watched:
    return Watched(pki, "juliet", "romeo")


@pytest.fixture
async def alone(pki) -> Watched:
    """Juliet, who has no certificate of anybody's."""
    return Watched(pki, "juliet", "romeo", peer_certificates=None)


class TestArriving:
    async def test_a_peer_whose_certificate_we_hold_is_noticed_once(self, juliet):
        assert juliet.hear()["body"] == juliet.hear()["body"] == "clear"
        assert juliet.told() == [("in", False)]
        assert juliet.downgrades[0].stanza["body"] == "clear"

    async def test_and_again_when_he_has_protected_in_between(self, romeo, juliet):
        juliet.hear()
        outer = romeo.seal(romeo.message("juliet@localhost", "x"))
        assert juliet.unseal(carry(outer, ROMEO, juliet))["body"] == "x"
        juliet.hear()
        juliet.hear()
        assert juliet.told() == [("in", False), ("in", True)]

    async def test_one_who_protects_is_noticed_though_nothing_of_him_is_kept(self, romeo, alone):
        alone.hear()
        assert alone.told() == []
        outer = romeo.seal(romeo.message("juliet@localhost", "x"))
        alone.unseal(carry(outer, ROMEO, alone))
        alone.hear()
        assert alone.told() == [("in", True)]

    @pytest.mark.parametrize("policy", ["off", {"presence": "required"}])
    async def test_where_nothing_else_is_wanted_nothing_is_told(self, pki, policy):
        juliet = Watched(pki, "juliet", "romeo", policy={"*": policy})
        assert juliet.hear()["body"] == "clear"
        assert juliet.told() == []

    @pytest.mark.parametrize("kind_type", ["groupchat", "error"])
    async def test_what_is_clear_anyway_does_not_count(self, juliet, kind_type):
        juliet.hear(kind_type=kind_type)
        assert juliet.told() == []

    async def test_others_are_not_meant(self, juliet):
        juliet.hear(sender="mercutio@localhost/m")
        juliet.hear(sender="localhost")
        assert juliet.told() == []

    async def test_required_refuses_and_tells_so(self, pki):
        juliet = Watched(pki, "juliet", "romeo", policy={"*": "required"})
        assert juliet.hear() is None
        assert juliet.failures.reasons == ["unprotected"]
        assert juliet.told() == []

    async def test_a_store_that_is_away_holds_nothing_up_that_may_be_clear(self, pki):
        store = WaitedFor(reachable=False)
        juliet = Watched(pki, "juliet", "romeo", store=store, peer_certificates=None)
        delivered: list[Any] = []
        juliet.xmpp.recv_stanza = lambda vehicle: delivered.append(juliet.unseal(vehicle))
        assert juliet.hear() is None  # it waits
        while len(juliet.plugin._arrivals.lanes):
            await juliet.plugin._arrivals.lanes._tasks["romeo@localhost"]
        assert [each["body"] for each in delivered] == ["clear"]


class TestLeaving:
    async def test_certificates_that_can_t_be_used_are_told(self, pki):
        romeo = Watched(pki, "romeo", "juliet")
        (known,) = romeo.plugin.protection.peers.of("juliet@localhost")
        romeo.plugin.decide("juliet@localhost", known[0].fingerprint, Trust.DISTRUSTED)
        message = romeo.message("juliet@localhost", "x")
        assert romeo.seal(message) is message
        assert romeo.seal(romeo.message("juliet@localhost", "y"))["body"] == "y"
        assert romeo.told() == [("out", False)]

    async def test_who_never_had_one_is_no_downgrade(self, alone):
        assert alone.seal(alone.message("romeo@localhost", "x"))["body"] == "x"
        assert alone.told() == []


class TestSetPolicy:
    async def test_it_counts_both_ways_from_now_on(self, juliet):
        assert juliet.hear()["body"] == "clear"
        juliet.plugin.set_policy({"*": "required"})
        assert juliet.hear() is None
        assert juliet.failures.reasons == ["unprotected"]
        assert juliet.seal(juliet.message("mercutio@localhost", "SECRET")) is None
        juliet.plugin.set_policy({"*": "off"})
        assert juliet.hear()["body"] == "clear"
        assert b"open" in tostring(juliet.seal(juliet.message("romeo@localhost", "open")).xml)

    @pytest.mark.parametrize("policy", [{"*": "requird"}, {"a@b/c": "off"}, {"*": 1}])
    async def test_one_that_is_none_changes_nothing(self, juliet, policy):
        juliet.plugin.set_policy({"*": "required"})
        with pytest.raises(ConfigurationError):
            juliet.plugin.set_policy(policy)
        assert juliet.hear() is None

    async def test_our_own_account_stays_excepted(self, juliet):
        juliet.plugin.set_policy({"*": "required"})
        assert juliet.hear(sender="juliet@localhost/other")["body"] == "clear"

    async def test_what_waits_because_it_must_be_protected_stays_so(self, pki):
        juliet = Watched(pki, "juliet", "romeo", policy={"*": "required"}, certificate_wait=5)
        juliet.xmpp._always_send_everything = True  # as if there were a stream
        hold, parking = juliet.plugin._departures.hold, juliet.plugin._outbound.parking
        parking.look_for = lambda _jid: True
        message = juliet.message("mercutio@localhost", "SECRET")
        assert hold(message) is None
        juliet.plugin.set_policy({"*": "off"})
        assert hold(juliet.message("romeo@localhost", "open"))["body"] == "open"
        parking.look_for = lambda _jid: False
        parking.release(message["to"])
        (turn,) = juliet.sent
        assert hold(turn) is message
        assert juliet.seal(message) is None
        assert [each.error.code for each in juliet.failures.sent] == ["no-certificate"]

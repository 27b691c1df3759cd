"""A connection that is cut anywhere loses nothing, repeats nothing and shows nothing (ARCHITECTURE invariants 1, 9).

This is a sample; `make cuts` cuts at every octet (docs/reliability.md).
"""

import asyncio
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from tests.written import FORMATS, RFC3923, Written

from .all_cuts import ALL_SERIES, Results, Series, make, table
from .clients import Inbox
from .couple import Party
from .cut_servers import cut_server
from .cuts import Cuts, cuts
from .outcome import CANARY, Outcome, kind_of
from .protected import PKI, make_pki
from .proxy import Direction

#: Octets of the exchange in each direction, at the least: acknowledgements may come behind it.
SHORTEST = RFC3923.exchange

LOOPBACK = [pytest.param("loopback", each, id=f"loopback-{each}") for each in FORMATS]
MENDED = pytest.param("prosody-mended", RFC3923, marks=pytest.mark.server, id="prosody-mended-rfc3923")
EJABBERD = pytest.param("ejabberd", RFC3923, marks=pytest.mark.ejabberd, id="ejabberd-rfc3923")


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> PKI:
    return make_pki(tmp_path_factory.mktemp("pki"))


async def cut_at_some(talk: Cuts, number: int, written: Written) -> list[Outcome]:
    """Cut in both directions, at offsets that are others in every run."""
    return [
        await talk.run(direction, random.randrange(1, written.exchange[direction]))
        for direction in get_args(Direction)
        for _ in range(number)
    ]


@pytest.mark.parametrize(("name", "written"), [*LOOPBACK, MENDED, EJABBERD])
async def test_with_his_session_romeo_notices_nothing(name, written, pki):
    async with cut_server(name) as (port, counters), cuts(port, pki, counters, written=written) as talk:
        outcomes = await cut_at_some(talk, 4, written)
    if name == "ejabberd":  # it may count a stanza after it has said how many it has: that one comes again
        outcomes = [replace(each, copies=0) for each in outcomes]
    assert [each for each in outcomes if not each.unhurt] == []
    assert Counter(each.stream for each in outcomes) == {"resumed": 8}


@pytest.mark.parametrize(("name", "written"), [*LOOPBACK, MENDED])
async def test_without_his_session_each_stanza_arrives_once_or_its_sender_hears_of_it(name, written, pki):
    async with (
        cut_server(name) as (port, counters),
        cuts(port, pki, counters, resume=False, written=written) as talk,
    ):
        outcomes = await cut_at_some(talk, 2, written)
    assert [each for each in outcomes if not each.honest] == []
    assert Counter(each.stream for each in outcomes) == {"anew": 4}
    assert any(each.reported for each in outcomes)


@pytest.mark.parametrize(("name", "written"), [*LOOPBACK, MENDED])
async def test_what_a_server_delivers_again_is_dropped_and_its_sender_hears_nothing(name, written, pki):
    """Cut just before he can confirm what he got last: the server does not know that he has it."""
    async with (
        cut_server(name) as (port, counters),
        cuts(port, pki, counters, resume=False, written=written) as talk,
    ):
        for offset in range(written.exchange["to_clients"], 0, -500):
            outcome = await talk.run("to_clients", offset)
            assert outcome.honest, outcome
            if outcome.copies:
                break
        else:
            pytest.fail("nothing was delivered again")


@pytest.mark.server
async def test_prosody_as_it_is_goes_deaf_within_a_stanza_and_nothing_is_lost_silently(pki):
    """The day this fails, Prosody resumes as it should: docs/reliability.md and `resumed_parser` can go."""
    async with cut_server("prosody") as (port, counters), cuts(port, pki, counters, patience=1.5) as talk:
        inside, behind = await talk.run("from_clients", 1000), await talk.run("to_clients", 1000)
    assert inside.stream == "deaf"
    assert {"message", "presence", "request", "question"} <= {*inside.reported}
    assert inside.honest
    assert behind.stream == "resumed"
    assert behind.unhurt


@pytest.mark.server
async def test_pings_end_a_deaf_session_and_what_was_lost_in_it_is_reported(pki):
    async with cut_server("prosody") as (port, counters), cuts(port, pki, counters) as talk:
        romeo = talk.romeo
        romeo.xmpp.register_plugin("xep_0199")
        romeo.plugin("xep_0199").enable_keepalive(0.3, 0.3)
        started = Inbox(romeo.xmpp, "session_start")
        talk._begin()
        romeo.proxy.cut_after("from_clients", 1000)
        asked = asyncio.ensure_future(talk._speak())
        await started.next(seconds=10)
        romeo.plugin("xep_0199").disable_keepalive()
        assert [kind_of(each.stanza) for each in romeo.failures.sent] == [
            "message",
            "presence",
            "request",
            "question",
        ]
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)


async def test_a_cut_behind_the_exchange_spares_it(pki):
    async with cut_server("loopback") as (port, counters), cuts(port, pki, counters) as talk:
        outcome = await talk.run("from_clients", 10 * SHORTEST["from_clients"])
    assert outcome.stream == "spared"
    assert outcome.unhurt


async def test_what_goes_wrong_is_seen(pki):
    """All that the others rest on: what comes twice, shows, leaks or is miscounted does not pass."""
    async with cut_server("loopback") as (port, counters), cuts(port, pki, counters) as talk:

        async def too_many(party: Party) -> tuple[int, int]:
            handled, sent = await counters(party)
            return handled, sent + 1

        def spoil(message):
            if message["subject"]:
                talk._count(str(talk.number), "message")
                talk.juliet.proxy.recorded_to_clients.new_connection().extend(CANARY.encode())

        talk.juliet.xmpp.add_event_handler("message", spoil)
        talk.romeo.xmpp.add_event_handler("a leak", print)
        talk.counters = too_many
        outcome = await talk.run()
    assert not outcome.honest
    assert outcome.twice == ("message",)
    shown, miscounted, *leaks = outcome.wrong
    assert shown == f"{CANARY} was on the wire of juliet@localhost/juliet"
    assert miscounted.startswith("the server sent")
    assert leaks == ["more of event handlers a leak: 1", "more of event handlers message: 1"]


async def test_what_is_lost_is_seen(pki):
    """The server confirms what he sent, and she drops it. slixmpp asks before the last stanza, not behind it."""
    async with cut_server("loopback") as (port, counters), cuts(port, pki, counters, resume=False) as talk:
        talk.patience = 0.5
        management = talk.romeo.plugin("xep_0198")
        management.window = management.window_counter = 1
        talk.juliet.xmpp.add_filter("in", lambda stanza: None if CANARY in str(stanza) else stanza)
        outcome = await talk.run()
    assert outcome.lost == ("message", "presence")
    assert outcome.reported == ("question", "request", "result")


async def test_all_cuts_go_on_where_they_were_and_end_in_a_table(pki, tmp_path: Path):
    series = Series("loopback", resume=True)
    results = Results(tmp_path, series)
    await make(series, pki, results, every=4000, until=float("inf"))
    done = list(results)
    assert {(each["direction"], each["offset"]) for each in done} >= {
        ("from_clients", 1),
        ("from_clients", 8001),
        ("to_clients", 4001),
    }
    await make(series, pki, results, every=4000, until=float("inf"))
    assert list(results) == done
    head, _, sent, got = table(tmp_path)
    assert head.startswith("| server | romeo has |")
    assert sent.startswith("| loopback | his session | he sends | 3 | 0 | 3 | 0 |")
    assert got.startswith("| loopback | his session | he gets | 2 | 0 | 2 | 0 |")
    assert len(ALL_SERIES) == 8

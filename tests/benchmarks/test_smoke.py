"""Every benchmark still runs; what it measures is for people to read, but for sizes, which no machine changes."""

from dataclasses import replace

import pytest

from tests.benchmarks import hot_spots, memory, wire_size
from tests.benchmarks.__main__ import SECTIONS, main
from tests.benchmarks.clock import ONCE, Contestant, measure
from tests.benchmarks.tables import Table


@pytest.mark.parametrize("section", SECTIONS)
async def test_a_section_runs_and_fills_its_tables(section: str) -> None:
    tables = await SECTIONS[section](ONCE)
    assert tables
    for table in tables:
        assert table.rows
        assert all(len(row) == len(table.columns) for row in table.rows)
        assert table.title in table.as_text()
        assert table.title in table.as_markdown()


async def test_a_stanza_is_no_larger_than_it_may_be() -> None:
    tables = await wire_size.run(ONCE)
    rsa, p256 = ({name: int(size.replace(",", "")) for name, size, *_ in each.rows} for each in tables)
    assert rsa["signed and encrypted"] <= 2600
    assert rsa["what the copy costs"] <= 500
    assert rsa["with certificate and intermediate"] <= 5420  # aimed at: 5,000
    assert p256["the object in it, in base64"] <= 1600


async def test_nothing_of_a_stanza_stays_but_what_the_bounded_records_hold() -> None:
    """Some 200 octets each are of the records, and not seen in them; a stanza that stays takes thousands."""
    assert await memory.growth(replace(ONCE, stanzas=600)) < 800


async def test_the_profile_names_the_functions_of_both_ways() -> None:
    text = await hot_spots.run(ONCE)
    assert "(protect)" in text
    assert "(unprotect)" in text


async def test_a_ratio_is_that_of_batches_of_the_same_round() -> None:
    effort = ONCE
    calls: list[str] = []
    slow = Contestant("slow", lambda _: calls.extend("x" * 2000), floor="fast")
    timings = await measure([Contestant("fast", lambda _: None), slow], effort)
    assert timings["fast"].ratio is None
    ratio = timings["slow"].ratio
    assert ratio is not None
    assert ratio == pytest.approx(timings["slow"].median / timings["fast"].median)


def test_numbers_stand_to_the_right_in_a_terminal() -> None:
    text = Table("title", ("", "octets"), (("a", "1"), ("b", "1,000")), ("note",)).as_text()
    assert text.splitlines() == [
        "title",
        "     octets",
        "  -  ------",
        "  a       1",
        "  b   1,000",
        "  note",
    ]


def test_an_unknown_section_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["weather"])
    assert "there are cms, formats, stanzas, wire, memory, store" in capsys.readouterr().err

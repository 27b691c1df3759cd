"""Room that CAs share: nobody takes it from others by having more, nor by being many."""

from slixmpp_e2e.certificates.sharing import Shares, first_to_go, in_turns

COMPANY = ("root", "company")
EVIL = ("root", "evil")


class TestFirstToGo:
    def test_it_is_the_first_of_who_has_most(self):
        assert first_to_go([COMPANY, EVIL, COMPANY, EVIL, EVIL]) == 1

    def test_who_makes_cas_below_himself_has_what_they_have(self):
        many = [(*EVIL, f"{number}") for number in range(4)]
        assert first_to_go([COMPANY, COMPANY, *many]) == 2

    def test_below_him_too_it_is_who_has_most(self):
        assert first_to_go([COMPANY, (*EVIL, "a"), (*EVIL, "b"), (*EVIL, "b")]) == 2

    def test_who_stands_above_shares_with_those_below(self):
        assert first_to_go([COMPANY, ("root",), EVIL, ("root",)]) == 1

    def test_one_alone_goes(self):
        assert first_to_go([()]) == 0

    def test_weights_count_instead(self):
        assert first_to_go([EVIL, EVIL, COMPANY], [1, 1, 3]) == 2


class TestTurns:
    def test_everybody_has_his_turn(self):
        entries = [(EVIL, "e1"), (EVIL, "e2"), (COMPANY, "c1"), (EVIL, "e3"), (COMPANY, "c2")]
        assert in_turns(entries) == ["e1", "c1", "e2", "c2", "e3"]

    def test_who_makes_cas_below_himself_has_no_more_turns(self):
        many = [((*EVIL, number), f"e{number}") for number in range(4)]
        assert in_turns([*many, (COMPANY, "c1"), (("root",), "r1")])[:3] == ["e0", "c1", "r1"]

    def test_of_nothing_there_is_none(self):
        assert in_turns([]) == []


class TestShares:
    def test_the_newest_value_counts_and_moves_to_the_end(self):
        shares: Shares[str, int] = Shares(2)
        assert shares.put("a", 1, EVIL) == shares.put("b", 2, EVIL) == shares.put("a", 3, EVIL) == ()
        assert shares.put("c", 4, EVIL) == ("b",)
        assert [shares.get(each) for each in shares] == [3, 4]
        assert shares.get("b") is None
        assert "b" not in shares

    def test_who_has_most_gives_way(self):
        shares: Shares[str, int] = Shares(3)
        for key, branch in (("c", COMPANY), ("e1", EVIL), ("e2", EVIL)):
            shares.put(key, 0, branch)
        assert shares.put("c2", 0, COMPANY) == ("c",)
        assert shares.put("e3", 0, EVIL) == ("e1",)

    def test_who_has_the_heaviest_gives_way(self):
        shares: Shares[str, int] = Shares(9, 10)
        for key, branch, weight in (("c1", COMPANY, 2), ("c2", COMPANY, 2), ("e", EVIL, 5)):
            assert shares.put(key, 0, branch, weight) == ()
        assert shares.put("c3", 0, COMPANY, 2) == ("c1",)
        assert shares.put("e2", 0, EVIL, 6) == ("e",)
        assert len(shares) == 3

    def test_what_is_too_heavy_alone_goes_itself(self):
        shares: Shares[str, int] = Shares(9, 10)
        assert shares.put("e", 0, EVIL, 11) == ("e",)
        assert len(shares) == 0

    def test_what_is_forgotten_leaves_room(self):
        shares: Shares[str, int] = Shares(1)
        shares.put("a", 1, EVIL)
        shares.pop("a")
        shares.pop("a")
        assert shares.put("b", 2, EVIL) == ()

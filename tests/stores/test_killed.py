"""`kill -9` at any moment of any write: what was acknowledged is there, and nothing is there by halves.

HYPOTHESIS_PROFILE=fuzz kills hundreds of processes instead of a few.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

from slixmpp_e2e.stores.sqlite import SQLiteStore
from tests.stores.writer import SIZES, admit, chain, digest, list_key, peer, revocation_list, trust

KILLS = {"fuzz": 600, "minutes": 100}.get(os.environ.get("HYPOTHESIS_PROFILE", ""), 8)
ROOT = Path(__file__).parents[2]


def write_and_kill(path: Path, first: int, *, lines: int, seconds: float) -> dict[str, list[int]]:
    """Let a process write from a number on, kill it, and return the numbers that it acknowledged.

    It dies so many seconds after so many lines; after none, after its start.
    """
    program = [sys.executable, "-m", "tests.stores.writer", str(path), str(first)]
    with subprocess.Popen(program, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        begin = b"".join(process.stdout.readline() for _ in range(lines))
        time.sleep(seconds)
        process.kill()
        written, errors = begin + process.stdout.read(), process.stderr.read()
    assert process.returncode == -signal.SIGKILL, errors.decode()
    said: dict[str, list[int]] = defaultdict(list)
    for line in written.decode().splitlines():
        what, number = line.split()
        said[what].append(int(number))
    return said


def check_replay_record(store: SQLiteStore, admitted: list[int]) -> None:
    """It agrees with itself, and takes nothing in twice."""
    rows = store._connection.execute(
        "SELECT entries, newest, (SELECT count(*) FROM seen WHERE seen.jid = signer.jid), "
        "(SELECT max(timestamp) FROM seen WHERE seen.jid = signer.jid) FROM signer"
    ).fetchall()
    assert all(row[:2] == row[2:] for row in rows)
    assert store._integer("SELECT count(*) FROM seen WHERE jid NOT IN (SELECT jid FROM signer)") == 0
    assert all(admit(store, number) for number in admitted)


def check_decisions(store: SQLiteStore, said: dict[str, list[int]], last: int) -> set[int]:
    """What was decided is decided, what was taken back is not; return the numbers of what is decided.

    What was going on at the end, the decision after the last line or its taking back, may be there or not.
    """
    found = set()
    for number in {*said["decided"], last, last + 1}:
        made = store.decisions(peer(number)).get(digest(number))
        assert made in {None, trust(number)}
        if made is not None:
            assert number not in said["undecided"]
            found.add(number)
        elif number in said["decided"]:
            assert number in {*said["undecided"], last - 2}
    return found


def check_certificates(store: SQLiteStore, said: dict[str, list[int]], last: int) -> set[int]:
    """What was kept is there, whole; return the numbers of what is there."""
    assert all(chain(number) in store.certificates(peer(number)) for number in said["kept"])
    at_the_end = [each for number in (last, last + 1) for each in store.certificates(peer(number))]
    assert set(at_the_end) <= {chain(number) for number in range(last - 2, last + 4)}
    return {*said["kept"], *(number for number in (last, last + 1) if chain(number) in at_the_end)}


def check_revocation_lists(store: SQLiteStore, listed: dict[bytes, int], last: int) -> None:
    """Each CA's is the last that was acknowledged, whole; what was going on at the end may be there as well.

    `listed` has the number of the last by CA, and learns what is there.
    """
    before = {*listed.values()}
    possible = {revocation_list(number): number for number in (*before, last, last + 1)}
    found = {list_key(number): number for number in (possible[each] for each in store.revocation_lists())}
    assert len(found) == len(list(store.revocation_lists()))
    for key, number in listed.items():
        assert found[key] >= number
    listed |= found


def test_what_was_acknowledged_is_there_after_a_kill_and_nothing_is_half_there(tmp_path):
    chance = random.Random(os.environ.get("E2E_SEED", "1"))
    path = tmp_path / "store.db"
    admitted: list[int] = []
    decided: set[int] = set()
    kept: set[int] = set()
    listed: dict[bytes, int] = {}
    first = writes = 0
    for kill in range(KILLS):
        if kill % 4 == 3:  # while it starts, opens the file, or checks it
            said = write_and_kill(path, first, lines=0, seconds=chance.uniform(0.1, 0.6))
        else:
            lines = chance.randint(1, 150)
            said = write_and_kill(path, first, lines=lines, seconds=chance.uniform(0, 0.005))
        writes += sum(len(numbers) for what, numbers in said.items() if what != "opened")
        last = max((number for numbers in said.values() for number in numbers), default=first)

        store = SQLiteStore(path, **SIZES)
        assert store._value("PRAGMA integrity_check") == "ok"
        assert said["seen"] == []  # what was never sent before
        check_replay_record(store, said["admitted"])
        decided |= check_decisions(store, said, last)
        kept |= check_certificates(store, said, last)
        listed |= {list_key(number): number for number in said["listed"]}
        check_revocation_lists(store, listed, last)
        admitted += said["admitted"]
        first = (last + 12) // 10 * 10
        store.close()
    assert writes > KILLS

    store = SQLiteStore(path, **SIZES)
    assert all(admit(store, number) for number in admitted)
    assert all(store.decisions(peer(number)).get(digest(number)) is trust(number) for number in decided)
    assert all(chain(number) in store.certificates(peer(number)) for number in kept)
    assert {*store.revocation_lists()} == {revocation_list(number) for number in listed.values()}
    store.close()
    print(f"{KILLS} processes were killed; {writes:,} acknowledged writes are there")


def test_a_file_that_was_just_being_made_can_be_opened(tmp_path):
    chance = random.Random(os.environ.get("E2E_SEED", "1"))
    first = 0
    for _ in range(max(KILLS // 3, 3)):
        said = write_and_kill(tmp_path, first, lines=chance.randint(1, 10), seconds=chance.uniform(0, 0.01))
        last = max(said["made"], default=first - 1)
        for number in range(first, last + 2):
            path = tmp_path / f"{number}.db"
            if number > last and not path.exists():
                break
            assert path.stat().st_mode & 0o777 == 0o600
            store = SQLiteStore(path)
            made = store.decisions(peer(number))
            assert made == {digest(number): trust(number)} or (number > last and made == {})
            store.close()
        first = last + 2
    assert first >= max(KILLS // 3, 3)

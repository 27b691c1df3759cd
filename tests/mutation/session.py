"""pytest as it runs here: collected once, and forked for each mutant.

A child of the collected session gets the changed code into the functions that are already there, and runs the tests
that go through the changed line until one fails. What is not in a function's body (a limit, a table, a default) has
to be imported changed: `import_changed`, before the tests are collected.
"""

import contextlib
import gc
import importlib.abc
import importlib.machinery
import importlib.util
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any, Final

import pytest
from _pytest.runner import runtestprotocol
from hypothesis import HealthCheck, Phase, settings

from tests.mutation.modules import PACKAGE

KILLED: Final = 1
SURVIVED: Final = 0
NOT_REPLACED: Final = 3
#: Something is wrong with this program, and not with what it tries.
BROKEN: Final = 4
_MEMORY: Final = 6 << 30
#: What a test may take, in seconds of the processor: this, and so many times what it took unchanged. By the clock it
#: may take longer, as others may be at work on the machine.
_GRACE: Final = 4.0
_FACTOR: Final = 6.0
_STUCK: Final = 120.0

OPTIONS: Final = (
    "-qq",
    "-s",
    "--assert=plain",
    "--timeout=0",
    "-p",
    "no:cacheprovider",
    "-p",
    "no:randomly",
    "-p",
    "no:xdist",
)


class Session:
    """A plugin of pytest that gives the collected tests to somebody, instead of running them."""

    def __init__(self, use: Callable[[list[pytest.Item]], None]) -> None:
        self._use = use

    def pytest_collection(self) -> None:
        """Draw the same few examples each time, and don't make them simpler: one that fails is enough."""
        settings.register_profile(
            "mutants",
            deadline=None,
            derandomize=True,
            database=None,
            max_examples=40,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        settings.load_profile("mutants")

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Hand the tests over."""
        self._use(session.items)
        return True


def warm(items: list[pytest.Item]) -> None:
    """Make what all tests of a session share, which takes seconds; `items` has the test that asks for it in front."""
    if not passes(items[0], items[1]):
        raise RuntimeError("the tests can't be prepared")


def passes(item: pytest.Item, following: pytest.Item) -> bool:
    """Run a test; what the `following` one needs too stays."""
    reports = runtestprotocol(item, nextitem=following, log=False)
    return not any(report.failed for report in reports)


def skips(item: pytest.Item, following: pytest.Item) -> bool | None:
    """Run a test; return None if it fails, and whether it was skipped."""
    reports = runtestprotocol(item, nextitem=following, log=False)
    if any(report.failed for report in reports):
        return None
    return any(report.skipped for report in reports)


def judge(items: list[pytest.Item], seconds: list[float]) -> int:
    """Run tests until one fails; each may take some time more than it does unchanged, then the process ends."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    for item, following, usual in zip(items, [*items[1:], *items[-1:]], seconds, strict=True):
        signal.setitimer(signal.ITIMER_PROF, _GRACE + _FACTOR * usual)
        signal.setitimer(signal.ITIMER_REAL, _STUCK)
        if not passes(item, following):
            return KILLED
    return SURVIVED


def in_a_child(run: Callable[[], int]) -> int:
    """Return the exit code of a child that does something, or minus the signal that ended it."""
    child = os.fork()
    if child == 0:
        code = BROKEN
        try:
            resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            nowhere = os.open(os.devnull, os.O_RDWR)
            for stream in (0, 1, 2):
                os.dup2(nowhere, stream)
            code = run()
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code == BROKEN:
        raise RuntimeError("a session of tests ended early")
    return code


def in_a_talking_child(run: Callable[[], None]) -> None:
    """Do something in a child: pytest collects only once in a process. Raises `RuntimeError` if it ended early."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            run()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(code)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        raise RuntimeError("a session of tests ended early")


# --------------------------------------------------------------------------- changed code


def functions_by_file() -> dict[str, list[FunctionType]]:
    """Return all functions that there are, by the file that they came from."""
    gc.collect()
    found: dict[str, list[FunctionType]] = {}
    for each in gc.get_objects():
        if type(each) is FunctionType:
            found.setdefault(each.__code__.co_filename, []).append(each)
    return found


def replace_code(functions: Iterable[FunctionType], code: CodeType) -> bool:
    """Put the code of a changed module into its functions; False where that does not go."""
    new = {(each.co_qualname, each.co_firstlineno, _column(each)): each for each in _codes(code)}
    changed = 0
    for function in functions:
        old = function.__code__
        other = new.get((old.co_qualname, old.co_firstlineno, _column(old)))
        if other is None or other.co_freevars != old.co_freevars:
            return False
        if other != old:
            function.__code__ = other
            changed += 1
    return changed > 0


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield from _codes(each)


def _column(code: CodeType) -> int | None:
    """Tell functions of one line apart."""
    return min((at[2] for at in code.co_positions() if at[2]), default=None) if "<" in code.co_name else None


class _Loader(importlib.abc.SourceLoader):
    def __init__(self, path: Path, code: CodeType) -> None:
        self._path, self._code = path, code

    def get_filename(self, fullname: str) -> str:
        return str(self._path)

    def get_data(self, path: str) -> bytes:
        return Path(path).read_bytes()

    def exec_module(self, module: ModuleType) -> None:
        exec(self._code, module.__dict__)


def import_changed(path: Path, code: CodeType) -> None:
    """Let a module of the package, not imported yet, be imported with other code."""
    name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)

    class Finder(importlib.abc.MetaPathFinder):
        def find_spec(self, fullname: str, _path: Any, _target: Any = None) -> Any:
            if fullname != name:
                return None
            return importlib.util.spec_from_file_location(fullname, path, loader=_Loader(path, code))

    if name in sys.modules:
        raise RuntimeError(f"{name} is already imported")
    sys.meta_path.insert(0, Finder())


# --------------------------------------------------------------------------- what goes through which line


@contextlib.contextmanager
def traced(files: frozenset[str]) -> Iterator[dict[str, set[int]]]:
    """Note which lines of some files are gone through, by file."""
    lines: dict[str, set[int]] = {}

    def trace(frame: FrameType, event: str, _argument: Any) -> Any:
        name = frame.f_code.co_filename
        if name not in files:
            return None
        seen = lines.setdefault(name, set())
        seen.add(frame.f_lineno)

        def local(inner: FrameType, what: str, _argument: Any) -> Any:
            if what == "line":
                seen.add(inner.f_lineno)
            return local

        return local if event == "call" else None

    sys.settrace(trace)
    try:
        yield lines
    finally:
        sys.settrace(None)


def timed(run: Callable[[], Any]) -> tuple[Any, float]:
    """Return what something returns, and the seconds that it took."""
    before = time.perf_counter()
    found = run()
    return found, time.perf_counter() - before

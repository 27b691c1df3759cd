"""A second kind of real server for tests: the installed ejabberd, in a temporary directory.

It is not started by its own program, `ejabberdctl`, which changes to another user, and gives the node a name: for
that it needs a daemon of Erlang's that all nodes of a machine share, and a port that others may have. Here a node
without a name is started, which talks to nobody; it is given orders over its standard input, and ends with it.
"""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, Self, TextIO

from slixmpp_e2e.cli.prosody import _free_ports
from slixmpp_e2e.errors import LocalError

_ATTEMPTS: Final = 3
_PATIENCE: Final = 30.0
_READY: Final = "THE-SERVER-IS-READY"
_DONE: Final = "THE-ORDER-IS-DONE"
_COUNTED: Final = "COUNTED"

_CONFIGURATION: Final = """
hosts: ["{domain}"]
loglevel: info
log_rotate_count: 0
auth_password_format: scram
disable_sasl_mechanisms: ["digest-md5", "X-OAUTH2"]
listen:
  - {{port: {port}, ip: "127.0.0.1", module: ejabberd_c2s, max_stanza_size: 262144}}
  - {{port: {component_port}, ip: "127.0.0.1", module: ejabberd_service, hosts: {{{components}}}}}
modules:
  mod_blocking: {{}}
  mod_caps: {{}}
  mod_carboncopy: {{}}
  mod_client_state: {{}}
  mod_disco: {{}}
  mod_mam: {{default: always}}
  mod_offline: {{}}
  mod_ping: {{}}
  mod_privacy: {{}}
  mod_pubsub: {{plugins: [flat, pep]}}
  mod_roster: {{}}
  mod_stream_mgmt: {{resend_on_timeout: if_offline}}
"""

#: Starts the server and its accounts, and then does what each line of the input says.
_PROGRAM: Final = """
{{ok, _}} = application:ensure_all_started(ejabberd),
Accounts = [{accounts}],
Register = fun() -> [ok = ejabberd_auth:try_register(U, <<"{domain}">>, P) || {{U, P}} <- Accounts] end,
Register(),
io:format("{ready}~n"),
Obey = fun(Again) ->
    case io:get_line("") of
        "forget\\n" ->
            [ejabberd_auth:remove_user(U, <<"{domain}">>) || {{U, _}} <- Accounts],
            Register();
        "write\\n" ->
            mnesia:sync_log(),
            [dets:sync(Table) || Table <- dets:all()];
        "count " ++ Name ->
            [User, Resource] = [list_to_binary(Each) || Each <- string:lexemes(Name, " \\n")],
            State = sys:get_state(ejabberd_sm:get_session_pid(User, <<"{domain}">>, Resource)),
            Counters = [maps:get(Each, State) || Each <- [mgmt_stanzas_in, mgmt_stanzas_out]],
            io:format("{counted} ~p ~p~n", Counters);
        _ -> erlang:halt(0)
    end,
    io:format("{done}~n"),
    Again(Again)
end,
Obey(Obey).
"""


class EjabberdError(LocalError):
    """ejabberd is not installed, or did not start."""


class ThrowAwayEjabberd:
    """An ejabberd of our own, on random ports of the loopback interface; `stop()` removes all traces of it.

    What `ThrowAwayProsody` has too means the same. It belongs to no event loop, so that one can serve a whole
    session of tests: it takes a second to start. `forget()` makes it as new. `start()` raises `EjabberdError`.
    """

    def __init__(
        self,
        accounts: Mapping[str, str],
        *,
        domain: str = "localhost",
        components: Mapping[str, str] = MappingProxyType({"component.localhost": "secret"}),
    ) -> None:
        self.domain: Final = domain
        self._accounts = dict(accounts)
        self._components = dict(components)
        self._directory: Path | None = None
        self._process: subprocess.Popen[str] | None = None
        self._output: TextIO | None = None
        self._ports = (0, 0)

    def start(self) -> Self:
        """Start the program, and return when its ports are open and its accounts there."""
        erlang, libraries = shutil.which("erl"), _libraries()
        if erlang is None or libraries is None:
            raise EjabberdError("ejabberd is not installed (Debian, Ubuntu: apt install ejabberd)")
        for attempt in range(1, _ATTEMPTS + 1):
            self._directory = Path(tempfile.mkdtemp(prefix="throw-away-ejabberd-"))
            self._ports = _free_ports()
            try:
                self._run(erlang, libraries, self._directory)
            except BaseException:
                collided = "eaddrinuse" in self.log
                self.stop()
                if not collided or attempt == _ATTEMPTS:
                    raise
            else:
                break
        return self

    def stop(self) -> None:
        """End the program and remove its directory."""
        process, self._process = self._process, None
        directory, self._directory = self._directory, None
        if process is not None:
            process.kill()  # nothing that it keeps is worth a clean shutdown
            process.communicate()
        if self._output is not None:
            self._output.close()
            self._output = None
        if directory is not None:
            shutil.rmtree(directory, ignore_errors=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def port(self) -> int:
        """Where clients connect to."""
        assert self._process is not None, "ejabberd is not running"
        return self._ports[0]

    @property
    def component_port(self) -> int:
        """Where components connect to."""
        assert self._process is not None, "ejabberd is not running"
        return self._ports[1]

    @property
    def log(self) -> str:
        """What ejabberd has written so far to its log; empty when it is not running."""
        path = None if self._directory is None else self._directory / "ejabberd.log"
        return path.read_text(errors="replace") if path is not None and path.exists() else ""

    def forget(self) -> None:
        """Delete all accounts with all that belongs to them, and make them anew."""
        self._order("forget")

    def on_disk(self) -> bytes:
        """Return everything that the server keeps, in no particular order."""
        assert self._directory is not None, "ejabberd is not running"
        self._order("write")
        return b"".join(path.read_bytes() for path in (self._directory / "kept").rglob("*") if path.is_file())

    def counters(self, localpart: str, resource: str) -> tuple[int, int]:
        """Return how many stanzas of a session were counted (XEP-0198): the client's, and the server's own."""
        (counted,) = [line for line in self._order(f"count {localpart} {resource}") if _COUNTED in line]
        _, handled, sent = counted.split()
        return int(handled), int(sent)

    def _order(self, order: str) -> list[str]:
        """Give an order, and return the lines that it says until it has done it."""
        assert self._process is not None, "ejabberd is not running"
        assert self._process.stdin is not None
        self._process.stdin.write(f"{order}\n")
        self._process.stdin.flush()
        return self._wait_for(_DONE)

    def _run(self, erlang: str, libraries: Path, directory: Path) -> None:
        configuration = _CONFIGURATION.format(
            domain=self.domain,
            port=self._ports[0],
            component_port=self._ports[1],
            components=", ".join(
                f'"{each}": {{password: "{secret}"}}' for each, secret in self._components.items()
            ),
        )
        (directory / "ejabberd.yml").write_text(configuration)
        accounts = ", ".join(f'{{<<"{each}">>, <<"{word}">>}}' for each, word in self._accounts.items())
        program = _PROGRAM.format(
            domain=self.domain, accounts=accounts, ready=_READY, done=_DONE, counted=_COUNTED
        )
        output = directory / "output"  # a pipe would be full one day
        with output.open("w") as written:
            self._process = subprocess.Popen(
                [erlang, "-noshell", "-mnesia", "dir", f'"{directory / "kept"}"', "-eval", program],
                cwd=directory,
                env={
                    "PATH": os.environ.get("PATH", os.defpath),
                    "HOME": str(directory),
                    "ERL_LIBS": str(libraries),
                    "ERL_CRASH_DUMP_BYTES": "0",
                    "EJABBERD_CONFIG_PATH": str(directory / "ejabberd.yml"),
                    "EJABBERD_LOG_PATH": str(directory / "ejabberd.log"),
                },
                stdin=subprocess.PIPE,
                stdout=written,
                stderr=subprocess.STDOUT,
                text=True,
            )
        self._output = output.open()
        self._wait_for(_READY)
        if "eaddrinuse" in self.log:  # it goes on without the port
            raise EjabberdError(f"ejabberd could not open its ports:\n{self.log}")

    def _wait_for(self, word: str) -> list[str]:
        """Read what it says until it says a word; it ends by itself when it can't start."""
        assert self._process is not None
        assert self._output is not None
        deadline = time.monotonic() + _PATIENCE
        lines = []
        while word not in (said := self._output.readline()):
            if said:
                lines.append(said)
                continue
            if self._process.poll() is not None:
                raise EjabberdError(f"ejabberd ended with code {self._process.returncode}:\n{self.log}")
            if time.monotonic() > deadline:
                raise EjabberdError(f"ejabberd did not answer within {_PATIENCE:.0f} s:\n{self.log}")
            time.sleep(0.002)
        return lines


def _libraries() -> Path | None:
    """Return the directory of Erlang libraries that ejabberd is in."""
    found = sorted(Path("/usr/lib").glob("*/ejabberd-*/ebin/ejabberd.app"))
    return found[-1].parents[2] if found else None

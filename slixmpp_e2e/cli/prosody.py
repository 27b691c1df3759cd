"""A real server for the demo and for tests: the installed Prosody, in a temporary directory."""

import asyncio
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, Final, Self

from slixmpp_e2e.errors import LocalError

_LOOPBACK: Final = "127.0.0.1"
_STARTUP_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.01

#: Another program may take a port between our looking for it and Prosody's opening it.
_ATTEMPTS: Final = 3
_PORT_TAKEN: Final = "Failed to open server port"

_CONFIGURATION: Final = """
{run_as_root}
pidfile = "{directory}/prosody.pid"
data_path = "{directory}/data"
certificates = "{directory}"
log = {{ {{ levels = {{ min = "{log_level}" }}, to = "file", filename = "{directory}/prosody.log" }} }}

interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {port} }}
component_interfaces = {{ "127.0.0.1" }}
component_ports = {{ {component_port} }}
modules_disabled = {{ "s2s"; "tls" }}
modules_enabled = {{
    "roster"; "saslauth"; "disco"; "ping"; "pep"; "carbons"; "mam"; "smacks"; "offline"; "blocklist"; "csi_simple";
}}

-- Passwords in clear over connections in clear: everything stays on the loopback interface, and the tests read
-- the wire.
authentication = "internal_plain"
c2s_require_encryption = false
allow_unencrypted_plain_auth = true

storage = "internal"
default_archive_policy = true
archive_expires_after = "1d"

-- Prosody leaves Nagle's algorithm on. Then each stanza above some 256 octets waits for a delayed
-- acknowledgement of TCP, up to 40 ms, and would hide what is to be measured.
network_settings = {{ nagle = false; opportunistic_writes = false }}

{extra_configuration}

VirtualHost "{domain}"
{components}
"""


class ProsodyError(LocalError):
    """Prosody is not installed, or did not start."""

    code: ClassVar[str] = "prosody"
    advice: ClassVar[str] = (
        "Debian, Ubuntu: apt install prosody. Fedora: dnf install prosody. macOS: brew install prosody."
    )


class ThrowAwayProsody:
    """A Prosody of our own, on random ports of the loopback interface; `stop()` removes all traces of it.

    `accounts` maps localparts to passwords, `components` domains to the secrets of external components.
    `extra_configuration` is Lua that stands in the global section, before the host. The attributes that
    `LoopbackServer` has too mean the same. `debug` makes its `log` long. `start()` raises `ProsodyError`.
    """

    def __init__(
        self,
        accounts: Mapping[str, str],
        *,
        domain: str = "localhost",
        components: Mapping[str, str] = MappingProxyType({"component.localhost": "secret"}),
        extra_configuration: str = "",
        debug: bool = False,
    ) -> None:
        self.domain: Final = domain
        self._accounts = dict(accounts)
        self._components = dict(components)
        self._extra_configuration = extra_configuration
        self._log_level = "debug" if debug else "info"
        self._directory: Path | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._ports = (0, 0)

    # ------------------------------------------------------------------ up and down

    async def start(self) -> Self:
        """Start the program, and return when it answers on both ports."""
        program = shutil.which(
            "prosody", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin"
        )
        if program is None:
            raise ProsodyError("The program 'prosody' is not installed or not on the PATH")
        for attempt in range(1, _ATTEMPTS + 1):
            self._directory = Path(tempfile.mkdtemp(prefix="throw-away-prosody-"))
            self._ports = _free_ports()
            try:
                await asyncio.to_thread(self._write_files, self._directory)
                await self._run(program, self._directory)
            except BaseException as error:
                collided = isinstance(error, ProsodyError) and _PORT_TAKEN in self.log
                await self.stop()
                if not collided or attempt == _ATTEMPTS:
                    raise
            else:
                break
        return self

    async def stop(self) -> None:
        """End the program and remove its directory."""
        process, self._process = self._process, None
        directory, self._directory = self._directory, None
        if process is not None:
            if process.returncode is None:
                process.kill()  # nothing that it keeps is worth a clean shutdown
            await process.wait()
        if directory is not None:
            await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def port(self) -> int:
        """Where clients connect to; raises `RuntimeError` while the server is not running."""
        return self._running_ports()[0]

    @property
    def component_port(self) -> int:
        """Where components connect to (nobody listens if there are none); raises as `port` does."""
        return self._running_ports()[1]

    @property
    def log(self) -> str:
        """What Prosody has written so far to its log and its standard output; empty when it is not running."""
        if self._directory is None:
            return ""
        paths = (self._directory / "output", self._directory / "prosody.log")
        return "".join(path.read_text(errors="replace") for path in paths if path.exists())

    # ------------------------------------------------------------------ inside

    def _running_ports(self) -> tuple[int, int]:
        if self._process is None:
            raise RuntimeError("Prosody is not running")
        return self._ports

    async def _run(self, program: str, directory: Path) -> None:
        with (directory / "output").open("wb") as output:
            self._process = await asyncio.create_subprocess_exec(
                program,
                "--config",
                str(directory / "prosody.cfg.lua"),
                "--foreground",
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        # Without a component, Prosody does not open the second port.
        services = {"c2s": self._ports[0]} | ({"component": self._ports[1]} if self._components else {})
        try:
            async with asyncio.timeout(_STARTUP_SECONDS):
                for service, port in services.items():
                    await self._opened(self._process, service, port)
        except TimeoutError:
            raise ProsodyError(
                f"Prosody did not answer within {_STARTUP_SECONDS:.0f} s:\n{self.log}"
            ) from None

    async def _opened(self, process: asyncio.subprocess.Process, service: str, port: int) -> None:
        """Return when this Prosody, and not whoever was quicker, answers on the port."""
        while f"Activated service '{service}' on [{_LOOPBACK}]:{port}" not in self.log:
            if process.returncode is not None:
                raise ProsodyError(f"Prosody ended with code {process.returncode}:\n{self.log}")
            if _PORT_TAKEN in self.log:
                raise ProsodyError(f"Prosody could not open its ports:\n{self.log}")
            await asyncio.sleep(_POLL_SECONDS)
        _, writer = await asyncio.open_connection(_LOOPBACK, port)
        writer.close()
        await writer.wait_closed()

    def _write_files(self, directory: Path) -> None:
        configuration = _CONFIGURATION.format(
            # Prosody refuses to run as root unless it is told that this is meant.
            run_as_root="run_as_root = true" if os.geteuid() == 0 else "",
            directory=directory,
            port=self._ports[0],
            component_port=self._ports[1],
            domain=self.domain,
            log_level=self._log_level,
            extra_configuration=self._extra_configuration,
            components="\n".join(
                f'Component "{domain}"\n    component_secret = {_lua_string(secret)}'
                for domain, secret in self._components.items()
            ),
        )
        (directory / "prosody.cfg.lua").write_text(configuration)
        # What `prosodyctl register` would write, without starting that program for every account.
        accounts = directory / "data" / _file_name(self.domain) / "accounts"
        accounts.mkdir(parents=True)
        for localpart, password in self._accounts.items():
            path = accounts / f"{_file_name(localpart)}.dat"
            path.write_text(f'return {{ ["password"] = {_lua_string(password)} }};\n')


def _free_ports() -> tuple[int, int]:
    with socket.socket() as first, socket.socket() as second:
        first.bind((_LOOPBACK, 0))
        second.bind((_LOOPBACK, 0))
        return first.getsockname()[1], second.getsockname()[1]


def _lua_string(text: str) -> str:
    return '"' + "".join(f"\\{octet:03d}" for octet in text.encode()) + '"'


def _file_name(name: str) -> str:
    """Escape a name as Prosody's internal storage does."""
    return re.sub(rb"[^A-Za-z0-9]", lambda match: b"%%%02x" % match[0][0], name.encode()).decode()

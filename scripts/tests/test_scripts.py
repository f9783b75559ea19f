"""The scripts behind `make deploy` and `make test`, run as make runs them."""

from __future__ import annotations

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest
from contextlib import contextmanager

SCRIPTS = pathlib.Path(__file__).resolve().parents[1]
PATIENCE = 60
# Nothing listens there.
FREE_PORT = "1"


def run(script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a script to its end, both outputs in one."""
    return subprocess.run(
        [SCRIPTS / script, *arguments],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def wait_until(condition: object) -> None:
    """Wait for it; fail after a minute."""
    deadline = time.monotonic() + PATIENCE
    while not condition():  # type: ignore[operator]
        if time.monotonic() > deadline:
            raise AssertionError("waited in vain")
        time.sleep(0.05)


def processes(marker: str) -> list[str]:
    """Command lines of this machine's processes that contain the marker."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_text().replace("\0", " ")
        except OSError:
            continue
        if marker in line:
            found.append(line)
    return found


@contextmanager
def listening_port():
    """A port that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield str(server.getsockname()[1])


class Preflight(unittest.TestCase):
    """What stands in the way is said at once, before anything is done."""

    def test_everything_is_said_in_one_go(self) -> None:
        with (
            listening_port() as port,
            listening_port() as tls_port,
            tempfile.TemporaryDirectory() as home,
        ):
            done = run(
                "preflight.sh",
                "some-other-project",
                PATH="/usr/sbin:/usr/bin:/sbin:/bin",
                HOME=home,
                CAUSEWAY_PORT=port,
                CAUSEWAY_TLS_PORT=tls_port,
                CAUSEWAY_CONSOLE_PORT=FREE_PORT,
                DOCKER_HOST="unix:///nonexistent.sock",
            )
        self.assertEqual(done.returncode, 2, done.stdout)
        for part in (
            "these 4 stand in the way",
            "or newer is ",
            "no engine answers at DOCKER_HOST=unix:///nonexistent.sock",
            f"port {port} is in use by python3 (process {os.getpid()})",
            f"CAUSEWAY_PORT={int(port) + 1} make deploy",
            f"port {tls_port} is in use by python3 (process {os.getpid()})",
        ):
            self.assertIn(part, done.stdout)

    def test_a_port_at_another_address_is_free(self) -> None:
        with listening_port() as port:
            ports = {"CAUSEWAY_PORT": port, "CAUSEWAY_TLS_PORT": port, "CAUSEWAY_CONSOLE_PORT": FREE_PORT}
            done = run("preflight.sh", "p", CAUSEWAY_BIND="127.0.0.2", **ports)
        self.assertNotIn("is in use", done.stdout)

    def test_each_published_port_is_looked_at(self) -> None:
        for setting in ("CAUSEWAY_TLS_PORT", "CAUSEWAY_CONSOLE_PORT"):
            with self.subTest(setting), listening_port() as port:
                done = run("preflight.sh", "p", **{setting: port})
                self.assertIn(f"port {port} is in use", done.stdout)
                self.assertIn(f"{setting}={int(port) + 1} make deploy", done.stdout)

    def test_the_console_is_at_the_loopback_wherever_the_others_are(self) -> None:
        with listening_port() as port:
            done = run("preflight.sh", "p", CAUSEWAY_BIND="127.0.0.2", CAUSEWAY_CONSOLE_PORT=port)
        self.assertIn(f"port {port} is in use", done.stdout)

    def test_a_port_that_can_not_be_is_named(self) -> None:
        done = run("preflight.sh", "p", CAUSEWAY_PORT="80a")
        self.assertEqual(done.returncode, 2)
        self.assertIn("CAUSEWAY_PORT is '80a'; a number from 1 to 65535 is expected", done.stdout)


class Steps(unittest.TestCase):
    """Commands side by side, with a sign of life and the part of a failure that matters."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.target = folder.name

    def test_a_failure_shows_its_error_and_ends_the_others(self) -> None:
        marker = f"sleep 61.{os.getpid()}"
        noise = "seq 500; echo 'error[E0308]: mismatched types'; echo '  --> src/main.rs'; exit 7"
        done = run("steps.sh", "one", "bash", "-c", noise, ":::", "two", *marker.split(), CARGO_TARGET_DIR=self.target)
        self.assertEqual(done.returncode, 7, done.stdout)
        self.assertIn("one: failed after", done.stdout)
        self.assertIn("error[E0308]: mismatched types\n    --> src/main.rs", done.stdout.replace("  -->", "    -->"))
        self.assertNotIn("\n  499", done.stdout)
        self.assertEqual(processes(marker), [])

    def test_signs_of_life_notes_and_times(self) -> None:
        work = "echo 'note: something else is used'; echo working; sleep 11"
        done = run("steps.sh", "long", "bash", "-c", work, ":::", "short", "true", CARGO_TARGET_DIR=self.target)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertRegex(done.stdout, r"long: working \(1\ds\)\nnote: something else is used\nlong: done \(1\ds\)\n$")
        self.assertNotIn("short", done.stdout)
        self.assertIn(run("steps.sh", "--took", "long", CARGO_TARGET_DIR=self.target).stdout.strip(), ("11", "12"))

    def test_it_ends_with_its_caller(self) -> None:
        marker = f"sleep 62.{os.getpid()}"
        caller = subprocess.Popen(
            ["bash", "-c", f"{SCRIPTS}/steps.sh one {marker}; true"],
            env={**os.environ, "CARGO_TARGET_DIR": self.target},
            stderr=subprocess.DEVNULL,
        )
        wait_until(lambda: any(line.startswith(marker) for line in processes(marker)))
        caller.kill()
        caller.wait()
        wait_until(lambda: processes(marker) == [])


class EnvironmentFile(unittest.TestCase):
    """`.env`, into which containers/base/ensure.sh writes which base images are in use."""

    OURS = "CAUSEWAY_MONGO_IMAGE=causeway/base-mongo:local\n"

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        for file in ("compose.yaml", "containers/base/ensure.sh", "scripts/setting.sh"):
            (self.folder / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(SCRIPTS.parent / file, self.folder / file)
        # An engine that has the assembled images, and no registry.
        docker = self.folder / "bin/docker"
        docker.parent.mkdir()
        docker.write_text('#!/bin/sh\n[ "$1" = version ] || case "$3" in causeway*) ;; *) exit 1 ;; esac\n')
        docker.chmod(0o755)
        self.file = self.folder / ".env"

    def ensure(self, argument: str, umask: str = "022") -> None:
        subprocess.run(
            ["sh", "-c", f"umask {umask}; exec containers/base/ensure.sh {argument}"],
            cwd=self.folder,
            env={"PATH": f"{self.folder}/bin:{os.environ['PATH']}"},
            stdout=subprocess.DEVNULL,
            timeout=PATIENCE,
            check=True,
        )

    def assert_is(self, text: str, mode: int) -> None:
        self.assertEqual(self.file.read_text(), text)
        self.assertEqual(self.file.stat().st_mode & 0o7777, mode)
        # Nothing is left of writing it.
        there = [".env", "bin", "compose.yaml", "containers", "scripts"]
        self.assertEqual(sorted(it.name for it in self.folder.iterdir()), there)

    def test_keeps_mode_owner_and_all_other_lines(self) -> None:
        self.file.write_text("PASSWORD=x\n")
        self.file.chmod(0o600)
        if os.getuid() == 0:
            os.chown(self.file, 1234, 4321)
        owner = self.file.stat().st_uid, self.file.stat().st_gid
        self.ensure("mongo")
        self.assert_is("PASSWORD=x\n" + self.OURS, 0o600)
        self.ensure("--clean")
        self.assert_is("PASSWORD=x\n", 0o600)
        self.assertEqual((self.file.stat().st_uid, self.file.stat().st_gid), owner)

    def test_keeps_the_mode_of_one_that_held_nothing_else(self) -> None:
        self.file.write_text(self.OURS)
        self.file.chmod(0o600)
        self.ensure("--clean")
        self.assert_is("", 0o600)
        self.ensure("mongo")
        self.assert_is(self.OURS, 0o600)

    def test_makes_a_new_one_as_the_user_makes_files(self) -> None:
        self.ensure("mongo", umask="027")
        self.assert_is(self.OURS, 0o640)


@unittest.skipIf(os.getuid() != 0, "a machine of its own takes root")
class Isolated(unittest.TestCase):
    """A machine of its own."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(dir="/var/tmp")
        self.addCleanup(folder.cleanup)
        self.target = folder.name

    def isolated(self, command: str) -> subprocess.CompletedProcess[str]:
        return run("isolated.sh", "bash", "-c", command, CARGO_TARGET_DIR=self.target)

    def assert_nothing_left(self) -> None:
        """Files at once; the kernel lets go of mounts and of the disk a moment after the last process."""
        self.assertEqual(list(pathlib.Path(self.target).iterdir()), [])
        self.assertNotIn("/run/isolated", pathlib.Path("/proc/mounts").read_text())
        wait_until(lambda: self.target not in self.loop_devices())

    @staticmethod
    def loop_devices() -> str:
        """The files behind this machine's loop devices."""
        command = ["losetup", "--list", "--output", "BACK-FILE"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def test_what_is_around_can_not_be_seen(self) -> None:
        with listening_port() as port:
            done = self.isolated(
                f"(exec 3<>/dev/tcp/127.0.0.1/{port}) 2>/dev/null && echo reached\n"
                "ls /run/docker.sock 2>/dev/null\n"
                f"[ -d /proc/{os.getpid()} ] && grep -q unittest /proc/{os.getpid()}/cmdline && echo seen\n"
                "ls /sys/class/net | tr '\\n' ' '; ip route show default; exit 3"
            )
        self.assertEqual(done.returncode, 3, done.stdout)
        self.assertRegex(done.stdout, r"^lo tap0 default via \S+ dev tap0 *\n$")
        self.assert_nothing_left()

    def test_killed_anywhere_it_leaves_nothing(self) -> None:
        marker = f"sleep 63.{os.getpid()}"
        for number in (signal.SIGKILL, signal.SIGTERM):
            machine = subprocess.Popen(
                [SCRIPTS / "isolated.sh", "bash", "-c", f"setsid {marker} & {marker}"],
                env={**os.environ, "CARGO_TARGET_DIR": self.target},
                stderr=subprocess.DEVNULL,
            )
            wait_until(lambda: len([line for line in processes(marker) if line.startswith("sleep")]) == 2)
            machine.send_signal(number)
            machine.wait()
            wait_until(lambda: processes(marker) == [])
        # A run that was killed had no chance to remove its control groups and log: this one does.
        self.assertEqual(self.isolated("true").returncode, 0)
        self.assert_nothing_left()
        groups = list(pathlib.Path("/sys/fs/cgroup").glob(f"**/causeway-isolated.{machine.pid}.*"))
        self.assertEqual(groups, [])


if __name__ == "__main__":
    unittest.main()

"""`make load`: what scripts/load.sh accepts, and what scripts/load.awk counts."""

import os
import socket
import subprocess
import unittest
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"

# As oha 1.16.0 prints it, without the latencies.
OUTPUT = """\
Summary:
  Success rate:	100.00%
  Total:	10.0018 s
  Requests/sec:	{rate}

Response time histogram:
  2.768 ms [1]  |
  61.070 ms [9] |■■

Status code distribution:
{statuses}
{errors}"""


def count(statuses: str, errors: str = "", rate: float = 100.0) -> subprocess.CompletedProcess[str]:
    text = OUTPUT.format(rate=rate, statuses=statuses, errors=f"\nError distribution:\n{errors}\n" if errors else "")
    return subprocess.run(
        ["awk", "-f", SCRIPTS / "load.awk"], input=text, capture_output=True, text=True, check=False
    )  # fmt: skip


def load(**settings: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], **settings}
    return subprocess.run([SCRIPTS / "load.sh"], env=environment, capture_output=True, text=True, check=False)


def unused_port() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return str(listener.getsockname()[1])


class Counting(unittest.TestCase):
    def test_a_run_of_nothing_but_2xx_is_said_in_one_line(self):
        done = count("  [200] 31000 responses\n  [201] 591 responses", rate=3159.1)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(done.stdout.splitlines()[-1], "load: 31,591 of 31,591 answers were 2xx (3,159/s)")

    def test_answers_of_503_are_a_failure_whatever_oha_calls_them(self):
        done = count("  [503] 31591 responses", rate=3159.1)
        self.assertEqual(done.returncode, 1)
        self.assertIn("load: error: 0 of 31,591 answers were 2xx: 31,591 × 503\n", done.stderr)
        self.assertIn("make logs", done.stderr)
        self.assertNotIn("Success", done.stdout)

    def test_requests_without_an_answer_are_counted_and_the_rate_is_of_2xx_alone(self):
        done = count("  [200] 50 responses\n  [502] 25 responses", "  [25] connection refused")
        self.assertEqual(done.returncode, 1)
        self.assertIn(
            "50 of 75 answers were 2xx (50/s): 25 × 502, 25 × no answer (connection refused)", done.stderr
        )  # fmt: skip

    def test_what_is_under_way_at_the_end_is_no_failure(self):
        self.assertEqual(count("  [200] 90 responses", "  [64] aborted due to deadline").returncode, 0)

    def test_a_run_without_any_answer_is_a_failure(self):
        done = count("", "  [64] aborted due to deadline")
        self.assertEqual(done.returncode, 1)
        self.assertIn("0 of 0 answers", done.stderr)

    def test_the_rest_of_what_oha_says_is_passed_on(self):
        self.assertIn("  61.070 ms [9] |■■\n", count("  [200] 1 responses").stdout)


class Settings(unittest.TestCase):
    def test_a_value_that_can_not_be_is_named_with_what_is_expected(self):
        for name, value in (
            ("CONNECTIONS", "0"), ("CONNECTIONS", "many"), ("DURATION", "10"), ("DURATION", "0s"),
            ("DURATION", "10 s"), ("METHOD", "get"), ("METHOD", "$(id)"), ("CAUSEWAY_PORT", "70000"),
            ("CAUSEWAY_BIND", "192.0.2.1"), ("CAUSEWAY_BIND", "127.0.0.1/8"),
        ):  # fmt: skip
            with self.subTest(name=name, value=value):
                done = load(**{name: value})
                self.assertEqual(done.returncode, 2)
                self.assertTrue(done.stderr.startswith(f"load: error: {name}={value}: "), done.stderr)

    def test_a_stack_that_is_not_up_is_said_before_anything_is_compiled(self):
        port = unused_port()
        done = load(CAUSEWAY_PORT=port, CAUSEWAY_BIND="127.0.0.2", CARGO_TARGET_DIR="/nonexistent")
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"nothing listens at 127.0.0.2 port {port}", done.stderr)


if __name__ == "__main__":
    unittest.main()

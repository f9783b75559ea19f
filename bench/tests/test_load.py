import json
import sys
import unittest

from harness.errors import BenchError
from harness.load import Generator, Load, parse

OUTPUT = {
    "summary": {"total": 2.0, "requestsPerSec": 51.0},
    "latencyPercentiles": {"p50": 0.001, "p99": 0.25, "p99.9": 0.5},
    "statusCodeDistribution": {"200": 100, "503": 2},
    "errorDistribution": {"aborted due to deadline": 3},
}


class Parsing(unittest.TestCase):
    def test_latencies_become_milliseconds_and_only_200s_count(self):
        result = parse(json.dumps(OUTPUT))
        self.assertEqual((result.p50, result.p99, result.p999), (1.0, 250.0, 500.0))
        self.assertEqual(result.answered, 100)
        self.assertEqual(result.per_second, 50.0)

    def test_other_answers_and_errors_are_problems(self):
        self.assertEqual(
            parse(json.dumps(OUTPUT)).problems(),
            ["2 answers 503", "3 requests failed: aborted due to deadline"],
        )

    def test_a_run_without_an_answer_is_read_and_is_a_problem(self):
        nothing = {
            "summary": {"total": 2.0},
            "latencyPercentiles": {"p50": None, "p99": None, "p99.9": None},
            "statusCodeDistribution": {},
            "errorDistribution": {},
        }
        result = parse(json.dumps(nothing))
        self.assertIsNone(result.p99)
        self.assertEqual(result.problems(), ["no request was answered"])

    def test_clean_run_has_no_problem(self):
        clean = {**OUTPUT, "statusCodeDistribution": {"200": 100}, "errorDistribution": {}}
        self.assertEqual(parse(json.dumps(clean)).problems(), [])

    def test_output_of_another_shape_is_an_error_that_shows_it(self):
        for text in ("", "oops", "[]", "{}", json.dumps({**OUTPUT, "summary": None})):
            with self.subTest(text=text), self.assertRaisesRegex(BenchError, "oha's output"):
                parse(text)


class OverTls(unittest.TestCase):
    def test_the_port_scheme_and_path_are_those_of_the_load(self):
        load = Load(tls=True, path="/bodies/1048576")
        arguments = load.arguments("172.18.0.5:443", 2)
        self.assertEqual(load.port, 443)
        self.assertEqual(arguments[-2:], ["bench.test:443:172.18.0.5:443", "https://bench.test/bodies/1048576"])
        self.assertIn("--insecure", arguments)
        self.assertNotIn("--http2", arguments)

    def test_streams_are_requests_at_a_time_on_a_connection(self):
        program, *arguments = Load(connections=4, tls=True, streams=100).command("172.18.0.5:443", 2)
        self.assertEqual(program, "oha")
        self.assertEqual(arguments[arguments.index("--http2") + 1 :][:2], ["-p", "100"])
        self.assertEqual(arguments[arguments.index("-c") + 1], "4")

    def test_connections_per_request_are_made_by_what_checks_its_handshakes(self):
        load = Load(connections=16, tls=True, handshake="resumed")
        self.assertEqual(load.command("a:443", 2.5), ["tls-load", "resumed", "16", "2.5", "a:443"])


HOLDER = """\
import sys
print({made})
sys.stdout.flush()
sys.stdin.read()
print({closed})
"""


class Holding(unittest.TestCase):
    def holder(self, made: str, closed: int) -> Generator:
        script = HOLDER.format(made=made, closed=closed)
        return Generator([], {"tls-load": [sys.executable, "-c", script]})

    def test_what_is_measured_meanwhile_comes_back_with_how_many_were_closed(self):
        self.assertEqual(self.holder("100", 3).hold(100, "a:443", lambda: "measured"), ("measured", 3))

    def test_fewer_connections_than_asked_for_are_an_error(self):
        with self.assertRaisesRegex(BenchError, "tls-load"):
            self.holder("99", 0).hold(100, "a:443", lambda: self.fail("nothing is held"))


class Arguments(unittest.TestCase):
    def test_fixed_rates_are_an_open_loop_with_corrected_latency(self):
        arguments = Load(connections=128, rate=400).arguments("127.0.0.1:8080", 2)
        self.assertIn("--latency-correction", arguments)
        self.assertEqual(arguments[arguments.index("-q") + 1], "400")

    def test_every_peer_gets_the_same_authority_whatever_its_address(self):
        arguments = Load().arguments("172.18.0.5:80", 2)
        self.assertEqual(arguments[-3:], ["--connect-to", "bench.test:80:172.18.0.5:80", "http://bench.test/"])

    def test_bodies_are_posted_and_no_body_is_a_get(self):
        self.assertIn("/bodies/1024", Load(body=1024).arguments("127.0.0.1:8080", 2))
        self.assertNotIn("POST", Load(body=0).arguments("127.0.0.1:8080", 2))

    def test_requests_under_way_at_the_end_are_waited_for(self):
        self.assertIn("--wait-ongoing-requests-after-deadline", Load().arguments("127.0.0.1:8080", 2))

import unittest

from harness import report, scenarios
from harness.goals import GOALS, advantage, verdict
from harness.peers import members
from harness.statistics import Spread
from tests.samples import held, results, run


class Numbers(unittest.TestCase):
    def test_digits_that_mean_something(self):
        for value, expected in {
            12345.6: "12,346",
            12.34: "12.3",
            1.234: "1.23",
            0.01234: "0.012",
            0: "0",
        }.items():
            with self.subTest(value=value):
                self.assertEqual(report.number(value), expected)

    def test_spread_is_half_the_interquartile_range(self):
        self.assertEqual(report.figure(Spread(100, 90, 110)), "100 ± 10.0")
        self.assertEqual(report.figure(None), "invalid")


class Ratios(unittest.TestCase):
    def test_more_requests_and_less_latency_are_both_better(self):
        found = results(stack={"causeway": [run(5000, p99=2)], "exercise": [run(100, p99=20)]})
        self.assertEqual(advantage(found, "stack", "per_second", "exercise"), 50)
        self.assertEqual(advantage(found, "stack", "p99", "exercise"), 10)

    def test_where_a_peer_wins_the_table_says_so(self):
        found = results(proxy={"causeway": [run(cpu=20)], "nginx-tuned": [run(cpu=15)]})
        self.assertIn("nginx (tuned) wins", report.markdown(found, {}))

    def test_an_invalid_point_has_no_ratio(self):
        found = results(stack={"causeway": [run(5000, stored=4999)], "exercise": [run(100)]})
        self.assertIsNone(advantage(found, "stack", "per_second", "exercise"))


class Goals(unittest.TestCase):
    def verdicts(self, causeway, exercise):
        found = results(stack={"causeway": [causeway], "exercise": [exercise]})
        return {goal.text: verdict(found, goal) for goal in GOALS}

    def test_reached_and_missed(self):
        goals = self.verdicts(run(2000, p99=1), run(100, p99=10))
        self.assertEqual(goals["25 times the requests/s of nginx + Flask"], ("20.00×", "**missed**: 20% short"))
        self.assertEqual(goals["p99 at least 5 times lower than nginx + Flask"], ("10.00×", "reached"))

    def test_what_was_not_measured_is_not_reached(self):
        self.assertEqual(
            self.verdicts(run(), run())["proxy: less CPU per request than Caddy"],
            ("–", "not measured"),
        )

    def test_idle_connections_are_judged_by_what_they_take(self):
        goal = "TLS: an idle connection takes less memory than nginx's"
        for ours, outcome in ((16 << 10, "reached"), (32 << 10, "**missed**: 25% short")):
            found = results(tls_idle={"causeway": [held(ours, 1)], "nginx-tuned": [held(24 << 10, 1)]})
            self.assertEqual({g.text: verdict(found, g) for g in GOALS}[goal][1], outcome)

    def test_every_goal_is_about_a_series_of_the_full_run_and_peers_in_it(self):
        measured = {scenario.name: scenario for scenario in scenarios.full()}
        for goal in GOALS:
            with self.subTest(goal.text):
                self.assertIn(goal.peer, [peer.key for peer in members(measured[goal.series].kind)])


class Page(unittest.TestCase):
    def test_series_over_tls_have_their_tables(self):
        found = results(
            tls_full={"causeway": [run(2000)], "pingora": [run(1000)]}, tls_idle={"causeway": [held(20480, 10240)]}
        )
        page = report.markdown(found, {})
        self.assertIn("| pingora-proxy | 2.00× |", page)
        self.assertIn("| **Causeway** | 20.0 | 10.0 |", page)

    def test_invalid_runs_and_warnings_are_on_it(self):
        found = results(stack={"causeway": [run(100), run(100), run(100, statuses={"503": 7})]})
        found.warnings = ["The machine wasn't quiet."]
        page = report.markdown(found, {"stack": "stack.svg"})
        self.assertIn("- stack, causeway: round 3: 7 answers 503", page)
        self.assertIn("2/3", page)
        self.assertIn("The machine wasn't quiet.", page)
        self.assertIn("](stack.svg)", page)

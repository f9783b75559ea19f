import re
import unittest
from pathlib import Path

from harness import scenarios

QUICK_LIMIT = 170
FULL_LIMIT = 60 * 60


class Scenarios(unittest.TestCase):
    def test_names_are_unique(self):
        names = [scenario.name for scenario in scenarios.full()]
        self.assertEqual(len(names), len(set(names)))

    def test_the_quick_run_fits_into_three_minutes(self):
        self.assertLess(scenarios.estimate(scenarios.quick()), QUICK_LIMIT)

    def test_the_full_run_fits_into_an_hour(self):
        self.assertLess(scenarios.estimate(scenarios.full()), FULL_LIMIT)

    def test_headlines_are_in_both_with_five_rounds_or_more(self):
        for chosen in (scenarios.quick(), scenarios.full()):
            rounds = {scenario.name: scenario.rounds for scenario in chosen}
            for name in scenarios.HEADLINES:
                self.assertGreaterEqual(rounds[name], 5)

    def test_every_series_of_the_full_run_has_five_rounds_or_more(self):
        self.assertGreaterEqual(min(scenario.rounds for scenario in scenarios.full()), 5)

    def test_there_is_a_body_of_every_size_that_is_sent(self):
        dockerfile = (Path(__file__).parents[1] / "peers/load/Dockerfile").read_text()
        made = {int(size) for size in re.search(r"for size in ([\d ]+);", dockerfile)[1].split()}
        sent = {x for scenario in scenarios.full() if scenario.axis == "body" for x in scenario.values}
        self.assertEqual(made, sent - {0})

    def test_every_series_over_tls_has_a_load_that_is(self):
        over_tls = [scenario for scenario in scenarios.full() if scenario.kind == "tls"]
        self.assertTrue(all(scenario.load.tls for scenario in over_tls))
        self.assertEqual({s.load.handshake for s in over_tls}, {None, "full", "resumed"})

    def test_a_hundred_streams_a_connection(self):
        load = {scenario.name: scenario for scenario in scenarios.full()}["http2"].load
        self.assertEqual((load.connections, load.streams), (4, 100))

    def test_x_becomes_load(self):
        by_name = {scenario.name: scenario for scenario in scenarios.full()}
        self.assertEqual(by_name["stack-connections"].at(256).connections, 256)
        self.assertEqual(by_name["stack-body"].at(1024).body, 1024)
        self.assertEqual(by_name["stack-rate"].at(400).rate, 400)
        self.assertEqual(by_name["stack-replicas"].at(3).connections, 64)

import json
import unittest

import scaling as command
from harness import nodes, scaling
from harness.series import Results

COSTS = scaling.costs(Results.from_json(command.RESULTS.read_text()))
SMALL = scaling.Traffic(500, 300, 2, 2)
MEASURED = scaling.Measured(
    {"client": SMALL, "public": SMALL, "private": scaling.Traffic(900, 100, 1, 1)},
    {"listener": 1, "proxy": 5, "api": 10, "mongo": 1000, "engine": 150},
    [{"path": "/", "cpu": {"mongo": 800}}, {"path": "/hello", "cpu": {"mongo": 400}}],
)


def predict(count, **setting):
    return scaling.predict(count, COSTS, MEASURED, scaling.Setting(**setting))


class Cost(unittest.TestCase):
    def test_what_follows_the_law_is_found_again(self):
        points = {k: 40 + 1000 / scaling.batch(k) for k in (1, 8, 64, 256)}
        found = scaling.Cost.fit(points)
        self.assertAlmostEqual(found.each, 40)
        self.assertAlmostEqual(found.together, 1000)

    def test_several_apis_cost_mongod_what_was_measured_though_nothing_was_fitted_to_it(self):
        results = Results.from_json(command.RESULTS.read_text())
        series = next(it for it in results.series if it.name == "stack-replicas")
        for replicas in (2, 3):
            measured = series.point("causeway", replicas).median("cpu.mongo")
            predicted = COSTS["mongo"].at(64 / replicas)
            self.assertLess(abs(predicted / measured - 1), 0.15, (replicas, predicted, measured))

    def test_one_machine_carries_what_was_measured_on_one(self):
        results = Results.from_json(command.RESULTS.read_text())
        series = next(it for it in results.series if it.name == "stack-connections")
        point = series.point("causeway", 64)
        load = point.median("cpu.load")
        measured = point.median("per_second") * point.median("machine_cpu") / (point.median("machine_cpu") - load)
        self.assertLess(abs(predict(1).per_second / measured - 1), 0.15, (predict(1), measured))

    def test_a_body_costs_mongod_what_was_measured(self):
        results = Results.from_json(command.RESULTS.read_text())
        series = next(it for it in results.series if it.name == "stack-body")
        measured = series.point("causeway", 16 << 10).median("cpu.mongo")
        self.assertLess(abs(COSTS["mongo"].at(16, 16 << 10) / measured - 1), 0.15)

    def test_a_benchmark_without_the_series_says_which_is_missing(self):
        results = Results.from_json(command.RESULTS.read_text())
        results.series.clear()
        with self.assertRaisesRegex(ValueError, "stack-connections"):
            scaling.costs(results)


class Prediction(unittest.TestCase):
    def test_more_nodes_carry_more_until_mongod_has_all_of_its_own(self):
        rates = [predict(count).per_second for count in scaling.NODES]
        self.assertEqual(rates, sorted(rates))
        most = 2 * 0.8 * 1e6 / COSTS["mongo"].at(64)
        self.assertLess(rates[-1], most)
        self.assertGreater(rates[-1], 0.97 * most)
        self.assertEqual(predict(100).limit, "mongod's processor")

    def test_a_narrow_link_is_the_limit(self):
        self.assertEqual(predict(3, mbit=10).limit, "the database's link")
        self.assertEqual(predict(3, body=1 << 20).limit, "the database's link")

    def test_nothing_leaves_a_single_node_but_answers(self):
        self.assertEqual(scaling.between(1, MEASURED), 0)
        one = predict(1)
        self.assertAlmostEqual(one.database_mbit, one.per_second * 500 * 8 / 1e6)

    def test_between_nodes_every_packet_has_fifty_bytes_more(self):
        self.assertAlmostEqual(scaling.between(2, MEASURED), 0.5 * (800 + 4 * 50) + 0.5 * (1000 + 2 * 50))
        self.assertAlmostEqual(scaling.between(2, MEASURED, near=1), 0.5 * (1000 + 2 * 50))

    def test_a_set_costs_and_shards_carry_more_but_not_as_many_times_more(self):
        alone = predict(10).per_second
        self.assertLess(predict(10, set_factor=2.2).per_second, alone / 1.8)
        sharded = predict(10, shards=4).per_second
        self.assertGreater(sharded, alone)
        self.assertLess(sharded, 4 * alone)


    def test_what_is_not_stored_leaves_mongod_but_a_question(self):
        self.assertGreater(predict(10, writes=0.5).per_second, predict(10, in_flight=16).per_second)
        self.assertLess(predict(10, writes=0.5).database_mbit / predict(10, writes=0.5).per_second,
                        predict(10).database_mbit / predict(10).per_second)


class Bed(unittest.TestCase):
    def test_accounts_of_both_versions_of_control_groups_leave_the_cache_out(self):
        account = nodes.Account()
        for stats in ({"total_cache": 1 << 20}, {"file": 1 << 20}):
            account.add({
                "cpu_stats": {"cpu_usage": {"total_usage": 5_000}},
                "memory_stats": {"usage": 3 << 20, "stats": stats},
                "networks": {"eth0": {"rx_bytes": 1, "tx_bytes": 2, "rx_packets": 3, "tx_packets": 4}},
            })
        self.assertEqual((account.cpu, account.memory, account.received, account.packets_sent), (10, 2, 2, 8))

    def test_what_is_written_is_read_back(self):
        traffic = MEASURED.traffic
        points = [
            nodes.Point(count, path, 100, 1.0, {}, traffic, 0.0, MEASURED.memory)
            for count, path in ((1, "/"), (3, "/"), (3, "/hello"))
        ]
        text = nodes.to_json(points)
        read = scaling.Measured.read(Text(text))
        self.assertEqual((read.traffic, read.memory), (traffic, MEASURED.memory))
        self.assertEqual(len(json.loads(text)["points"]), 3)


class Text:
    """A file that holds this."""

    def __init__(self, text):
        self.text = text

    def read_text(self, encoding=None):
        return self.text


class Document(unittest.TestCase):
    def test_its_tables_are_the_models(self):
        text = command.DOCUMENT.read_text()
        tables = command.document_tables(command.RESULTS, command.WIRE)
        self.assertEqual(scaling.filled(text, tables), text, "run bench/scaling.py write")

    def test_a_table_without_a_place_is_named(self):
        with self.assertRaisesRegex(ValueError, "costs"):
            scaling.filled("nothing\n", {"costs": "|"})


if __name__ == "__main__":
    unittest.main()

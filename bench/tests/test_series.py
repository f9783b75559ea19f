import unittest

from harness.series import Point, Results
from tests.samples import held, results, run


class Invalidation(unittest.TestCase):
    def test_as_many_documents_as_answers_is_valid(self):
        self.assertEqual(run(100).problems(), [])

    def test_an_acknowledged_request_that_is_not_stored_is_a_problem(self):
        self.assertEqual(run(100, stored=99).problems(), ["100 answers 200 but 99 documents"])

    def test_a_stored_request_that_was_not_acknowledged_is_a_problem(self):
        self.assertEqual(run(100, stored=101).problems(), ["100 answers 200 but 101 documents"])

    def test_any_error_is_a_problem(self):
        self.assertEqual(run(100, statuses={"502": 1}).problems(), ["1 answers 502"])
        self.assertEqual(run(100, errors={"timeout": 1}).problems(), ["1 requests failed: timeout"])

    def test_invalid_runs_count_for_nothing_and_are_named(self):
        point = Point("causeway", None, [run(100), run(900, stored=1), run(110)])
        self.assertEqual(point.median("per_second"), 105)
        self.assertEqual(point.problems(), ["round 2: 900 answers 200 but 1 documents"])

    def test_without_a_majority_of_valid_runs_there_is_no_figure(self):
        point = Point("causeway", None, [run(100), run(100, stored=1)])
        self.assertFalse(point.counts())
        self.assertIsNone(point.median("per_second"))

    def test_no_runs_is_no_figure(self):
        self.assertIsNone(Point("causeway", None, []).median("per_second"))


class Metrics(unittest.TestCase):
    def test_figures_of_a_role(self):
        point = Point("causeway", None, [run(cpu=20.0)])
        self.assertEqual(point.median("cpu.front"), 20.0)
        self.assertEqual(point.median("user.front"), 5.0)
        self.assertEqual(point.median("peak.front"), 9 << 20)

    def test_a_role_that_is_not_there_has_no_figure(self):
        self.assertIsNone(Point("causeway", None, [run()]).median("cpu.mongo"))

    def test_what_an_idle_connection_takes(self):
        point = Point("causeway", None, [held(20 << 10, 18 << 10)])
        self.assertEqual((point.median("held.memory"), point.median("held.pss")), (20 << 10, 18 << 10))
        self.assertIsNone(Point("causeway", None, [run()]).median("held.memory"))


class Json(unittest.TestCase):
    def test_results_of_before_there_were_idle_connections_are_read(self):
        text = results(stack={"causeway": [run(100)]}).to_json()
        self.assertIsNone(Results.from_json(text.replace(',"held":null', "")).series[0].points[0].runs[0].held)

    def test_idle_connections_are_read_back(self):
        text = results(tls_idle={"causeway": [held(20 << 10, 18 << 10)]}).to_json()
        self.assertEqual(Results.from_json(text).to_json(), text)

    def test_what_is_written_is_read_back(self):
        written = results(stack={"causeway": [run(100), run(100, stored=3)], "exercise": [run(5)]})
        text = written.to_json()
        self.assertEqual(Results.from_json(text).to_json(), text)
        self.assertEqual(
            Results.from_json(text).series[0].points[0].problems(),
            ["round 2: 100 answers 200 but 3 documents"],
        )

    def test_one_line_for_each_run(self):
        text = results(stack={"causeway": [run(100)] * 12}).to_json()
        self.assertEqual(sum(line.lstrip().startswith('{"load"') for line in text.splitlines()), 12)

import unittest

from harness.statistics import Spread, ratio


class Spreads(unittest.TestCase):
    def test_median_and_quartiles(self):
        spread = Spread.of([5, 1, 4, 2, 3])
        self.assertEqual((spread.q1, spread.median, spread.q3, spread.iqr), (2, 3, 4, 2))

    def test_one_outlier_moves_the_median_little(self):
        self.assertEqual(Spread.of([10, 11, 12, 13, 1000]).median, 12)

    def test_one_value_has_no_spread(self):
        self.assertEqual(Spread.of([7]).iqr, 0)

    def test_nothing_is_refused(self):
        with self.assertRaises(ValueError):
            Spread.of([])

    def test_ratio_to_nothing_means_nothing(self):
        self.assertEqual(ratio(50, 2), 25)
        self.assertIsNone(ratio(50, 0))

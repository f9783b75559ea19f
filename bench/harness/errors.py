"""What can go wrong, as one type: its message says what to do next."""


class BenchError(Exception):
    """The benchmark can't go on."""

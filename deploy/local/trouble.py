"""What a person at the terminal is told when something cannot be done: one line, no traceback."""


class Trouble(Exception):  # noqa: N818 - it is not an error of the program
    """Something outside the program is not as it must be; `str()` is the line to print, with what to do about it."""

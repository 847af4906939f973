"""The one exception that users see."""


class BenchmarkError(Exception):
    """What a user did or has that cannot work.

    The message is one line: the file or configuration key, what is wrong, what would be right.
    The command line prints it without a traceback and exits with status 2.
    """


def one_line(error: BaseException) -> str:
    """Return what an error says on one line; the name of its type if it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__

"""The one exception that a user is meant to read."""


class UserError(Exception):
    """A mistake in what the user gave, told in one line: what is wrong, where, and what to do.

    The command line prints the message without a traceback and exits with code 2.
    """

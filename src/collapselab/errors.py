"""The one exception that stands for a mistake the user can mend."""


class UserError(Exception):
    """Names the thing that is wrong and the fix; edges print it as one message, without a traceback, and exit with 2."""

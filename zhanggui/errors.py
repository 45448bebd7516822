"""Errors that the command line shows as one sentence, without a traceback."""

from __future__ import annotations

import errno


class UserError(Exception):
    """Something a person can mend; the message says what and how."""


def os_error_sentence(error: OSError) -> str | None:
    """One sentence for an operating-system error that a person can mend; None for any other."""
    where = f" ({error.filename})" if error.filename else ""
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return f"the disk is full{where}: free some room and start again"
        case errno.EADDRINUSE:
            return "the port is in use: stop what listens there, or choose another with --port"
        case errno.EACCES | errno.EPERM:
            return f"no permission{where}: choose a folder and a port that you may use"
        case errno.EROFS:
            return f"the disk is read-only{where}: choose another folder with --data"
        case _:
            return None

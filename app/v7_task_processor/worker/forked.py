"""Whether this process is a copy that a handler made with `os.fork` and then let run back into our code.

Such a copy has the same jobs, loop and connections as its parent; whatever it did with them would be done twice.
"""

import os


class Fork:
    """`happened` is true in a copy. A flag, since asking for the process id at each job costs a system call."""

    happened = False


def mark() -> None:
    Fork.happened = True


os.register_at_fork(after_in_child=mark)


def leave_if_copy() -> None:
    """End a copy here: its parent has the job."""
    if Fork.happened:
        os._exit(1)

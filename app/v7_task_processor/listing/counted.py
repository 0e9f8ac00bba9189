"""How many jobs an act by a filter would meet."""

from collections.abc import Sequence

import msgspec
import psycopg
import sqlalchemy as sa

from ..chosen import Chosen
from ..job import LIVE
from ..schema import jobs
from .jobs import LOOKED_MAX, conditions, has_status, only

EXACT_SECONDS_MAX = 1


class Matching(msgspec.Struct, frozen=True, kw_only=True):
    """So many jobs; or at least so many, where to count them all would take too long."""

    jobs: int
    at_least: bool


def matching(connection: sa.Connection, which: Chosen, statuses: Sequence[str]) -> Matching:
    """How many unfinished jobs are in one of these statuses, and as a filter says: exactly where that takes no longer
    than a second, else of the first 100,000 that have the status."""
    further = only(which, set(Chosen.__struct_fields__) - {"status"})
    stand = [] if len(statuses) == len(LIVE) else [sa.or_(*(has_status(jobs, status) for status in statuses))]
    exact = sa.select(sa.func.count()).select_from(jobs).where(*stand, *conditions(jobs, further))
    try:
        with connection.begin_nested():
            connection.execute(sa.select(sa.func.set_config("statement_timeout", f"{EXACT_SECONDS_MAX}s", True)))
            return Matching(jobs=connection.scalars(exact).one(), at_least=False)
    except sa.exc.OperationalError as error:
        if not isinstance(error.orig, psycopg.errors.QueryCanceled):
            raise
    looked = sa.select(jobs).where(*stand).limit(LOOKED_MAX).subquery("looked")
    bounded = sa.select(sa.func.count()).select_from(looked).where(*conditions(looked, further))
    return Matching(jobs=connection.scalars(bounded).one(), at_least=True)

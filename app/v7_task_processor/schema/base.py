"""What all tables have in common."""

import sqlalchemy as sa
from sqlalchemy import DateTime

SCHEMA = "v7"

metadata = sa.MetaData(
    schema=SCHEMA,
    naming_convention={
        "ix": "%(table_name)s_%(column_0_N_name)s",
        "ck": "%(table_name)s_%(constraint_name)s",
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
    },
)

Time = DateTime(timezone=True)

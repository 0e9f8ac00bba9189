"""The management API, thin over `queue` and `listing`: what waits, runs, died, and what people do about it.

One table of routes (`table.py`) makes the endpoints and `/openapi.json`. It is imported when it is first asked for:
listings need SQLAlchemy, which takes half a second and most API processes never need.
"""

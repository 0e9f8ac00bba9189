"""Sources of handlers: one that misbehaves as a test wants it, and its well-behaved neighbour."""

NEIGHBOUR = """
@handler()
async def neighbour(job):
    note("start", job)
    await asyncio.sleep(0.3)
    note("end", job)
"""


def handler(body: str, kind: str = "async def", event_type_id: int = 2, options: str = "") -> str:
    """A misbehaving handler's source."""
    lines = "".join(f"    {line}\n" for line in ['note("start", job)', *body.splitlines()])
    return f"\n@handler(event_type_id={event_type_id}{options})\n{kind} misbehave_{event_type_id}(job):\n{lines}"

"""An act: first what it will do and with how many, then, when that is confirmed, what it did."""

import datetime as dt
from collections.abc import Mapping, Sequence

import psycopg
from starlette.responses import Response

from ... import listing, queue
from ...database import transaction
from ...maintenance import recognise
from ...observability import logs
from ...redaction import MASK, has_mask
from ...text import number, plural
from ..event import shown
from ..problem import Problem
from . import answer, many, thing
from .access import PATH
from .deed import DEEDS, EDIT, Deed, commands, value
from .form import Fields, fields, ids_of, then_of
from .templating import render
from .visit import Page, Visit, missing

log = logs.get(__name__)


async def screen(visit: Visit) -> Page:
    """What it would do."""
    visit.guard.check_may_act(visit.visitor)
    given = fields(visit.request.query_params.multi_items())
    name = given.get("act", "")
    if name in thing.THINGS:
        return confirm(given, thing.asked(visit, name, given))
    deed = deed_of(name)
    return confirm(given, await (all_that_match if given.get("all") else some)(visit, deed, given))


async def some(visit: Visit, deed: Deed, given: Fields) -> dict[str, object]:
    """With jobs that were named."""
    ids = ids_of(given)
    if deed is EDIT and len(ids) > 1:
        raise Problem("bad-request", "Another event can be given to one dead letter at a time.")
    statuses = await visit.store.read(lambda connection: listing.statuses(connection, ids))
    job = await visit.store.read(lambda connection: listing.detail(connection, ids[0])) if deed is EDIT else None
    which = f"{len(ids):,} jobs" if len(ids) > 1 else f"job {ids[0]}"
    return {
        **about(deed, which),
        "hidden": {"act": deed.name, "id": ",".join(map(str, ids))},
        "jobs": [(each, statuses.get(each)) for each in ids],
        "may": [each for each in ids if statuses.get(each) in queue.MAY[deed.act]],
        "event": job.job.event_json if job else "",
        "commands": commands(deed, ids, visit.base, visit.needs_key),
    }


async def all_that_match(visit: Visit, deed: Deed, given: Fields) -> dict[str, object]:
    """With all that a filter names."""
    if deed is EDIT:
        raise missing("Another event can be given to one dead letter at a time.")
    chosen = many.chosen_of(given)
    count = await many.matching(visit, deed, chosen)
    hidden = {name: given[name] for name in many.FIELDS if given.get(name)}
    return {
        **about(deed, f"{number(count.jobs, at_least=count.at_least)} jobs"),
        "hidden": {"act": deed.name, "all": "1", **hidden},
        "many": count,
        "words": many.words(chosen),
        "commands": many.many_commands(visit, deed, chosen),
    }


def about(deed: Deed, which: str) -> dict[str, object]:
    return {
        "title": f"{deed.label}: {which}",
        "label": deed.label,
        "says": deed.says,
        "field": deed.field,
        "only_those": either(queue.MAY[deed.act]),
        "done": queue.DONE[deed.act],
        "soon": (dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:00"),
    }


def confirm(given: Fields, shown: Mapping[str, object]) -> Page:
    nothing: dict[str, object] = {"jobs": [], "may": [], "event": "", "many": None}
    return Page("act", {**nothing, **shown, "then": then_of(given.get("then", ""))})


async def do(visit: Visit, given: Fields) -> Response:
    """Do it, and go where the visitor came from; or say with which jobs it was not done."""
    name, then = given.get("act", ""), then_of(given.get("then", ""))
    if name in thing.THINGS:
        await thing.done(visit, name, given)
        return answer.moved(after(then, name, 1))
    deed = deed_of(name)
    text = given.get(deed.field or "", "").strip()
    if deed is not EDIT and given.get("all"):
        operation_id = await many.start(visit, deed, many.chosen_of(given), text)
        return answer.moved(f"{PATH}/operations/{operation_id}")
    if deed is EDIT and has_mask(text, visit.settings.redacted):
        raise Problem("bad-request", f"The event has {MASK} where V7_REDACT hides a value: write the value there.")
    did, refused = await with_each(visit, deed, ids_of(given), text)
    if refused:
        told = {"title": f"{deed.label}: not with all", "done": queue.DONE[deed.act], "did": did, "refused": refused}
        return answer.html(render("acted", {**told, "then": then}, visit.visitor, here=then), 409)
    return answer.moved(after(f"{PATH}/jobs/{did[0]}" if deed is EDIT else then, name, len(did)))


async def with_each(visit: Visit, deed: Deed, ids: list[int], given: str) -> tuple[list[int], list[str]]:
    """With which it was done (an edited one by its new id), and why not with the others."""
    did: list[int] = []
    refused: list[str] = []
    async with visit.store.connected() as connection:
        if deed is EDIT:
            await recognise(connection)  # a new id is given out
        for job_id in ids:
            try:
                async with transaction(connection):
                    outcome = await deed.do(connection, job_id, given)
                    if outcome:
                        noted = {deed.field: value(deed, given)} if deed.field else None
                        if deed is EDIT:
                            noted = {"new_job_id": outcome}  # never the event
                        await queue.note_act(connection, visit.hand, deed.act, job_id=job_id, given=noted, jobs=1)
            except psycopg.Error as error:
                if connection.closed or len(ids) == 1:
                    raise
                refused.append(f"Job {job_id} was left as it is: {logs.said(error)}.")
                continue
            if outcome:
                did.append(int(outcome) if deed is EDIT else job_id)
            else:
                status = await queue.status_of(connection, job_id)
                gone = f"There is no job {job_id}: it never was, or its day was pruned."
                refused.append(queue.why_not(job_id, status, deed.act) if status else gone)
    log.info("an act from the dashboard", act=deed.name, who=visit.visitor.who, jobs=len(did), ids=ids[:10])
    return did, refused


def deed_of(name: str) -> Deed:
    if name not in DEEDS:
        raise missing(f"There is no act {shown(name)!r}.")
    return DEEDS[name]


def after(then: str, name: str, count: int) -> str:
    return f"{then}{'&' if '?' in then else '?'}did={name}&with={count}"


def either(words: Sequence[str]) -> str:
    *others, last = words
    return f"{', '.join(others)} or {last}" if others else last


def said(query: Fields) -> str:
    """What was done just now, after the address that an act led to."""
    name, count = query.get("did", ""), query.get("with", "")
    if name in thing.THINGS:
        return f"Done: {thing.THINGS[name].done}."
    if name not in DEEDS or not (count.isdecimal() and len(count) < 12):
        return ""
    return f"Done: {plural(int(count), 'job')} {queue.DONE[DEEDS[name].act]}."

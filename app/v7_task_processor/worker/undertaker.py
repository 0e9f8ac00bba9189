"""Ends processes that are stuck, and gives what dead ones held to where it belongs."""

from collections.abc import Iterable

from .. import queue
from ..child import EXIT_CANCELLED
from ..observability import telemetry
from ..settings import Settings
from . import rescue
from .children import Child
from .node import Member
from .slots import NodeMap
from .stubborn import Stubborn


class Undertaker:
    """A node's."""

    def __init__(self, settings: Settings, member: Member, node_map: NodeMap, stubborn: Stubborn) -> None:
        self.settings, self.member, self.map, self.stubborn = settings, member, node_map, stubborn

    async def bury(self, child: Child, code: int, *, asked: bool) -> bool:
        """Give back what it held, and make its section ready for the next. Whether it can have held anything.

        `asked`: it was to end.
        """
        error = rescue.ended_by(code)
        idle = child.role == "lone worker" and code == 0
        if child.ready and not asked and not idle:
            telemetry.publish("worker.crashed", role=child.role, pid=child.pid, error=error)
        if child.role == "api":
            return False
        if child.stuck:
            error = f"not done {rescue.GRACE_SECONDS:g} seconds after its limit, so its process was ended"
        section = self.map.section(child.section)
        death = rescue.Death(error, asked=asked, overdue=child.overdue, unseen=code == EXIT_CANCELLED)
        lost = await self.stubborn.do(lambda connection: queue.workers_of(connection, self.member.id, child.pid))
        ids = [each.worker_id for each in lost]
        notes = section.noted()
        await self.stubborn.do(lambda connection: rescue.carry_out(connection, self.settings, ids, notes, death))
        section.reset()
        return True

    def end_stuck(self, children: Iterable[Child]) -> None:
        """End processes with attempts that are past their limit and did not end when they were told to."""
        if not self.map.look():
            return  # all of the node may have stood still; each process has until the next look to move again
        for child in children:
            if child.alive and child.ready and not child.stuck:
                stuck = rescue.stuck(self.map.section(child.section))
                if stuck is not None:
                    child.stuck, child.overdue = True, stuck.guilty
                    telemetry.publish("worker.stuck", pid=child.pid, jobs=stuck.job_ids)
                    child.kill()

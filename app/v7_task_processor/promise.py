"""What a 200 is worth on a server, in one sentence: the banner, `v7 doctor` and `/readyz` all say this one."""

import re
from typing import Literal, NamedTuple

from .server import Server, Standby

SETTINGS = ["fsync", "full_page_writes", "synchronous_commit", "synchronous_standby_names", "max_wal_senders"]
"""What must be known of a server to say it."""

RISKS = {
    "fsync": "a crash of this machine can lose what was answered 200",
    "full_page_writes": "a crash of this machine can corrupt pages, and with them what was answered 200",
}
# FIRST 2 (a, b), ANY 2 (a, b) and 2 (a, b); without brackets a plain list, of which one is waited for.
COUNT = re.compile(r"\s*(?:(?:first|any)\s+)?(\d+)\s*\(", re.IGNORECASE)


class Promise(NamedTuple):
    """`state` as `v7 doctor` has it. `acknowledges`: whether any event can be answered with a 200 at all."""

    sentence: str
    state: Literal["holds", "note", "fails"] = "holds"
    todo: str = ""
    acknowledges: bool = True

    def introduced(self) -> str:
        """The sentence, where nothing says yet what it is about."""
        return self.sentence if self.state == "fails" else f"an answer 200 means: {self.sentence}"


def promise(server: Server) -> Promise:
    """What an answer of 200 means on this server. Pure."""
    if server.is_standby:
        todo = "Point DATABASE_URL at the primary, or name all servers in it, separated by commas."
        return Promise("no event is acknowledged: the server is a standby (read-only)", "fails", todo, False)
    needed = standbys_needed(server)
    if (missing := needed - len(able_to_confirm(server))) > 0:
        return waiting(server, needed, missing)
    if off := [name for name in RISKS if server.settings.get(name) == "off"]:
        sentence = f"degraded: {' and '.join(off)} {'is' if len(off) == 1 else 'are'} off, so {RISKS[off[0]]}"
        return Promise(sentence, "fails", f"Set {off[0]} = on in postgresql.conf and reload.")
    if needed and any(each.state is None for each in server.standbys):
        sentence = f"durable on this server and on {needed} of its synchronous standbys, as far as this user may see"
        return Promise(sentence, "note", "Grant pg_monitor, to see which standbys are connected.")
    asynchronous = [each for each in server.standbys if each.state == "async" or (not needed and each.state is None)]
    kept = confirmed(server, needed) if needed else "durable on this server"
    if not asynchronous:
        return Promise(kept)
    todo = "Name standbys in synchronous_standby_names to have each 200 wait for one." if not needed else ""
    return Promise(f"{kept}; {lost_with(asynchronous, needed)}", "note", todo)


def standbys_needed(server: Server) -> int:
    """How many synchronous standbys a commit waits for, by the server's settings."""
    names = server.settings.get("synchronous_standby_names", "")
    if not names or server.settings.get("max_wal_senders") == "0":
        return 0
    count = COUNT.match(names)
    return int(count[1]) if count else 1


def able_to_confirm(server: Server) -> list[Standby]:
    """Connected standbys for which a commit does wait, and those of which this user may not see whether it does.

    One that is listed but still catching up is "potential": it confirms nothing.
    """
    return [each for each in server.standbys if each.state in ("sync", "quorum", None)]


def waiting(server: Server, needed: int, missing: int) -> Promise:
    names = server.settings["synchronous_standby_names"]
    sentence = (
        f"commits wait, and no event is acknowledged, until {count(missing, 'more synchronous standby')} "
        f"{'is' if missing == 1 else 'are'} connected ({names} asks for {needed}, {needed - missing} "
        f"{'is' if needed - missing == 1 else 'are'} there)"
    )
    return Promise(sentence, "fails", "Bring one up, or set synchronous_standby_names to what there is.", False)


def confirmed(server: Server, needed: int) -> str:
    names = ", ".join(str(each.name) for each in able_to_confirm(server))
    connected = len(able_to_confirm(server))
    which = f"{count(needed, 'synchronous standby')}, {names}"
    if connected > needed:
        which = f"{needed} of the synchronous standbys {names}"
    seen = ", and visible there" if server.settings.get("synchronous_commit") == "remote_apply" else ""
    return f"durable on {needed + 1} nodes (this one and {which}{seen})"


def lost_with(standbys: list[Standby], needed: int) -> str:
    names = ", ".join(each.name for each in standbys if each.name)
    one = len(standbys) == 1
    whose = count(len(standbys), "standby") if needed or not names else f"its {'standby' if one else 'standbys'}"
    shown = f" ({names})" if names else ""
    return (
        f"{whose}{shown} {'is' if one else 'are'} asynchronous: what was acknowledged last is lost when "
        f"{'it' if one else 'one of them'} takes over"
    )


def count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"

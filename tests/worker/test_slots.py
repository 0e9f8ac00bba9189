"""The memory of a node: what one process notes another reads, and a successor after both are dead."""

import fcntl
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from v7_task_processor.worker.slots import ENDED, STARTED, SUCCEEDED, NodeMap, Noted, now

DEAD_NODE = """
import sys
from pathlib import Path
from v7_task_processor.worker.slots import NodeMap, now
notes = NodeMap.create(Path(sys.argv[1]), 2, 3)
notes.section(1).start(7, 2, 5.0)
notes.beat(now())
print("made", flush=True)
sys.stdin.read()
"""
LIMITS = [-(2**63), 0, 2**63 - 1]


@pytest.fixture
def notes(tmp_path: Path) -> NodeMap:
    return NodeMap.create(tmp_path / "deep" / "node.map", sections=3, slots=4)


@pytest.mark.fault(32)
def test_its_room_is_taken_when_it_is_made(tmp_path: Path) -> None:
    """A hole that is written to on a full disk would end the process."""
    path = tmp_path / "node.map"
    NodeMap.create(path, 4, 1000)
    found = path.stat()
    assert found.st_blocks * 512 >= found.st_size > 4 * 1000


def test_what_starts_and_ends_is_noted_until_it_is_cleared(notes: NodeMap) -> None:
    section = notes.section(1)
    first, second = section.start(10, 1, 100.5), section.start(11, 2, 200.25)
    assert sorted(section.noted()) == [Noted(10, 1, 100.5, STARTED), Noted(11, 2, 200.25, STARTED)]
    section.end(first, succeeded=True)
    section.end(second, succeeded=False)
    assert sorted(section.noted()) == [Noted(10, 1, 100.5, SUCCEEDED), Noted(11, 2, 200.25, ENDED)]
    section.clear(first)
    section.clear(second)
    assert section.noted() == []


def test_sections_do_not_touch_each_other(notes: NodeMap) -> None:
    sections = [notes.section(index) for index in range(3)]
    for index, section in enumerate(sections):
        for slot in range(4):
            section.start(index * 10 + slot, index, 1.0)
    for index, section in enumerate(sections):
        assert sorted(note.job_id for note in section.noted()) == [index * 10 + slot for slot in range(4)]


def test_there_are_as_many_slots_as_were_made_and_each_is_used_again(notes: NodeMap) -> None:
    section = notes.section(0)
    for _ in range(10):
        taken = [section.start(1, 1, 1.0) for _ in range(4)]
        assert not section.free
        for slot in taken:
            section.clear(slot)
    with pytest.raises(IndexError):
        for _ in range(5):
            section.start(1, 1, 1.0)


@pytest.mark.parametrize("job_id", LIMITS)
def test_every_64_bit_id_can_be_noted(notes: NodeMap, job_id: int) -> None:
    section = notes.section(2)
    section.start(job_id, 2**31 - 1, now() + 7 * 86400)
    assert [(note.job_id, note.attempt) for note in section.noted()] == [(job_id, 2**31 - 1)]


def test_another_process_sees_it_through_the_inherited_file(notes: NodeMap) -> None:
    other = NodeMap(os.dup(notes.fd))
    notes.section(1).start(10, 1, 5.0)
    assert other.section(1).noted() == [Noted(10, 1, 5.0, STARTED)]
    other.section(1).reset()
    assert notes.section(1).noted() == []
    assert other.section(1).tick_age_seconds() < 5
    other.close()


def test_ages_are_those_of_the_last_beat_and_tick(notes: NodeMap) -> None:
    section = notes.section(0)
    assert notes.beat_age_seconds() == pytest.approx(now(), abs=60)  # never: as old as the machine
    notes.beat(now())
    section.tick()
    assert 0 <= notes.beat_age_seconds() < 5
    assert 0 <= section.tick_age_seconds() < 5


def test_the_file_is_its_owners_alone_and_made_once(notes: NodeMap, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "node.map"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    with pytest.raises(FileExistsError):
        NodeMap.create(path, 1, 1)


def test_a_successor_reads_a_dead_nodes_notes_and_not_a_living_ones(tmp_path: Path) -> None:
    path = tmp_path / "node.map"
    command = [sys.executable, "-c", DEAD_NODE, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as living:
        assert living.stdout is not None
        assert living.stdin is not None
        assert living.stdout.readline() == "made\n"
        assert NodeMap.of_dead_node(path) is None
        living.kill()
        living.wait()
        notes = NodeMap.of_dead_node(path)
        assert notes is not None
        assert (notes.sections, notes.slots) == (2, 3)
        assert [notes.section(index).noted() for index in range(2)] == [[], [Noted(7, 2, 5.0, STARTED)]]
        assert NodeMap.of_dead_node(path) is None  # one successor has it
        notes.close()


@pytest.mark.parametrize("content", [b"", b"x", b"\0" * 64, b"x" * 1000])
def test_what_is_no_map_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "node.map"
    path.write_bytes(content)
    assert NodeMap.of_dead_node(path) is None
    with path.open("rb+") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # and not locked
    assert path.read_bytes() == content

"""A strict reader of Prometheus' text format, of the tests' own: what it does not expect, it refuses."""

import math
import re
import shutil
import subprocess

import pytest

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
SAMPLE = re.compile(rf"({NAME})(?:\{{(.*)\}})? (\S+)")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"(,|$)')
VALUE = re.compile(r"[+-]Inf|NaN|-?\d+(\.\d+)?(e[+-]?\d+)?")
SUFFIXES = {"counter": ("",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}

Labels = tuple[tuple[str, str], ...]


class Scrape:
    """What a scrape said: kinds by family, values by sample."""

    def __init__(self, text: str) -> None:
        self.kinds: dict[str, str] = {}
        self.helps: dict[str, str] = {}
        self.values: dict[tuple[str, Labels], float] = {}
        assert text.endswith("\n")
        family = ""
        for line in text[:-1].split("\n"):
            if line.startswith("# HELP "):
                _, _, family, help_text = line.split(" ", 3)
                assert re.fullmatch(NAME, family)
                assert family not in self.helps, f"{family} is described twice, or its samples are not together"
                assert re.fullmatch(r"(?:[^\\]|\\\\|\\n)*", help_text)
                self.helps[family] = help_text
            elif line.startswith("# TYPE "):
                _, _, named, kind = line.split(" ")
                assert named == family, "TYPE goes with the HELP before it"
                assert named not in self.kinds
                assert kind in SUFFIXES
                self.kinds[named] = kind
            else:
                self.sample(family, line)
        assert self.kinds.keys() == self.helps.keys()
        for name, kind in self.kinds.items():
            assert (kind == "counter") == name.endswith("_total"), name
            if kind == "histogram":
                self.check_histogram(name)

    def sample(self, family: str, line: str) -> None:
        match = SAMPLE.fullmatch(line)
        assert match, line
        name, inner, value = match.groups()
        assert name in [family + suffix for suffix in SUFFIXES[self.kinds[family]]], line
        assert VALUE.fullmatch(value), line
        labels = read_labels(inner) if inner is not None else ()
        assert (name, labels) not in self.values, f"told twice: {line}"
        self.values[name, labels] = float(value)
        assert self.kinds[family] == "gauge" or self.values[name, labels] >= 0, line

    def check_histogram(self, name: str) -> None:
        of: dict[Labels, list[tuple[float, float]]] = {}
        for (each, labels), value in self.values.items():
            if each == f"{name}_bucket":
                assert labels[-1][0] == "le"
                bound = float(labels[-1][1].replace("Inf", "inf"))
                of.setdefault(labels[:-1], []).append((bound, value))
        series = {labels for each, labels in self.values if each == f"{name}_count"}
        assert of.keys() == series == {labels for each, labels in self.values if each == f"{name}_sum"}
        for labels, buckets in of.items():
            bounds, counts = zip(*buckets, strict=True)
            assert list(bounds) == sorted(set(bounds))
            assert bounds[-1] == math.inf
            assert list(counts) == sorted(counts), "buckets are cumulative"
            assert counts[-1] == self.values[f"{name}_count", labels]

    def get(self, name: str, **labels: object) -> float | None:
        """The value of a sample; None: there is none."""
        wanted = {label: str(value) for label, value in labels.items()}
        for (each, given), value in self.values.items():
            if each == name and dict(given) == wanted:
                return value
        return None

    def sum(self, name: str) -> float:
        return sum(value for (each, _), value in self.values.items() if each == name)


def read_labels(inner: str) -> Labels:
    found: list[tuple[str, str]] = []
    rest = inner
    while rest:
        match = LABEL.match(rest)
        assert match, inner
        label, value, comma = match.groups()
        rest = rest[match.end() :]
        assert bool(comma) == bool(rest), inner
        assert label not in dict(found), inner
        unescaped = re.sub(r"\\(.)", lambda each: {"n": "\n"}.get(each[1], each[1]), value)
        found.append((label, unescaped))
    return tuple(found)


def promtool(*arguments: str, given: str | None = None) -> None:
    """Ask Prometheus' own tool, where there is one."""
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("no promtool (Debian has it in the package prometheus)")
    done = subprocess.run([found, *arguments], input=given, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

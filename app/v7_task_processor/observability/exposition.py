"""Prometheus' text format, version 0.0.4."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from .families import FAMILIES, Family

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Sample(NamedTuple):
    """One series: the values of its family's labels in their order, and its numbers as `Family.nothing` has them."""

    family: Family
    labels: tuple[str, ...]
    numbers: Sequence[float]


def render(samples: Iterable[Sample]) -> str:
    """The whole answer: families in their order, each described once."""
    of: dict[str, list[Sample]] = {}
    for sample in samples:
        of.setdefault(sample.family.name, []).append(sample)
    return "".join(f"{line}\n" for family in FAMILIES if family.name in of for line in lines(family, of[family.name]))


def lines(family: Family, samples: list[Sample]) -> Iterator[str]:
    yield f"# HELP {family.name} {escaped(family.help)}"
    yield f"# TYPE {family.name} {family.kind}"
    for sample in samples:
        labels = list(zip(family.labels, sample.labels, strict=True))
        if family.kind == "histogram":
            yield from histogram(family, labels, sample.numbers)
        else:
            yield line(family.name, labels, sample.numbers[0])


def histogram(family: Family, labels: list[tuple[str, str]], numbers: Sequence[float]) -> Iterator[str]:
    """Buckets are kept each by itself, and told as sums: what lies in them or below."""
    total = 0.0
    for bound, count in zip([*(f"{each:g}" for each in family.bounds), "+Inf"], numbers, strict=False):
        total += count
        yield line(f"{family.name}_bucket", [*labels, ("le", bound)], total)
    yield line(f"{family.name}_sum", labels, numbers[-1])
    yield line(f"{family.name}_count", labels, total)


def line(name: str, labels: list[tuple[str, str]], value: float) -> str:
    inner = ",".join(f'{label}="{quoted(text)}"' for label, text in labels)
    return f"{name}{{{inner}}} {number(value)}" if inner else f"{name} {number(value)}"


def number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))


def escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def quoted(text: str) -> str:
    return escaped(text).replace('"', '\\"')

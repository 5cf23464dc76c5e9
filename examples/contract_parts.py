"""A contract whose request answers in parts, and a caller who leaves when it has seen enough."""

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass

import sig


@dataclass
class Point:
    angle: float
    metres: float


class Scanner(sig.Contract):
    def scan(self, steps: int) -> Generator[Point, None, str]:
        raise NotImplementedError


class Lidar(Scanner):
    def scan(self, steps: int) -> Generator[Point, None, str]:
        for step in range(steps):
            yield Point(360 * step / steps, 2.5 - step / 4)
        return f"{steps} points"


def whole(scanner: Scanner, steps: int) -> Generator[Point, None, None]:
    told = yield from scanner.scan(steps)
    print("that was all:", told)


with sig.serve("local://lab"), sig.connect("local://lab") as owner, sig.connect("local://lab") as caller:
    owner.add_sender("lab/lidar", Lidar())
    scanner = caller.sender("lab/lidar").typed(Scanner)
    for point in whole(scanner, 3):
        print(point)

    with closing(scanner.scan(1_000_000)) as points:
        near = next(point for point in points if point.metres < 2)
    print("something is near at", near)

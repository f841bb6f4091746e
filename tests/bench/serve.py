"""`muster serve` under load: its capacity, then 80 % of it, then 300 %.

Requests are due evenly (as oha and wrk2 send them) or at random times (as people do) whatever became of those before, and a latency counts
from when its request was due: waiting is not hidden. Prints a table; needs nothing but Python.
"""

import argparse
import asyncio
import random
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit


class Caller:
    """Asks about one photo, over connections that are kept."""

    def __init__(self, url: str, photo: bytes):
        place = urlsplit(url)
        self.host, self.port, self.kept = place.hostname, place.port, []
        head = f"POST /v1/recognize HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(photo)}\r\n\r\n"
        self.request = head.encode() + photo

    async def ask(self) -> int:
        reader, writer = self.kept.pop() if self.kept else await asyncio.open_connection(self.host, self.port)
        writer.write(self.request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = next(int(line.split(":")[1]) for line in head.split("\r\n") if line.startswith("content-length"))
        await reader.readexactly(length)
        # A refusal comes before the photo was read, and ends the connection.
        if "connection: close" in head or int(head.split()[1]) != 200:
            writer.close()
        else:
            self.kept.append((reader, writer))
        return int(head.split()[1])


async def capacity(caller: Caller, connections: int, seconds: float) -> float:
    """Answers a second that so many callers get, each asking again when it has its answer."""
    end = time.perf_counter() + seconds

    async def loop() -> int:
        count = 0
        while time.perf_counter() < end:
            count += await caller.ask() == 200
        return count

    return sum(await asyncio.gather(*(loop() for _ in range(connections)))) / seconds


async def load(caller: Caller, rate: float, seconds: float, gap) -> tuple[dict, list[float]]:
    """Asks at this rate; `gap` draws the time between two requests."""
    statuses, taken, tasks = {}, [], []

    async def one(due: float) -> None:
        try:
            status = await asyncio.wait_for(caller.ask(), 60)
        except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
            status = type(error).__name__
        statuses[status] = statuses.get(status, 0) + 1
        if status == 200:
            taken.append(time.perf_counter() - due)

    due = time.perf_counter()
    end = due + seconds
    while (due := due + gap(rate)) < end:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.create_task(one(due)))
    await asyncio.gather(*tasks)
    return statuses, sorted(taken)


def resident(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) >> 10


async def measure(url: str, photo: bytes, pid: int, seconds: float) -> None:
    caller = Caller(url, photo)
    await capacity(caller, 8, 3)
    most = await capacity(caller, 8, seconds)
    print(f"capacity {most:.1f} answers/s, 8 callers, {resident(pid)} MB")
    chance = random.Random(7)
    gaps = {"evenly": lambda rate: 1 / rate, "by chance": chance.expovariate}
    print(f"{'load':>6} {'arrive':>9} {'asked/s':>8} {'200/s':>7} {'p50 ms':>7} {'p99 ms':>7} {'p99/p50':>8} {'MB':>5}  statuses")
    for share, how in ((0.5, "evenly"), (0.8, "evenly"), (0.5, "by chance"), (0.8, "by chance"), (3.0, "by chance")):
        statuses, taken = await load(caller, share * most, seconds, gaps[how])
        at = lambda part: 1000 * taken[min(len(taken) - 1, int(part * len(taken)))]
        asked, answered = sum(statuses.values()) / seconds, len(taken) / seconds
        print(
            f"{share:6.0%} {how:>9} {asked:8.1f} {answered:7.1f} {at(0.5):7.0f} {at(0.99):7.0f} {at(0.99) / at(0.5):8.2f} "
            f"{resident(pid):5}  {dict(sorted(statuses.items(), key=str))}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--muster", required=True, type=Path)
    parser.add_argument("--library", required=True, type=Path, help="a library that is indexed")
    parser.add_argument("--photo", required=True, type=Path)
    parser.add_argument("--seconds", type=float, default=30)
    args = parser.parse_args()
    command = [args.muster, "serve", "--listen", "127.0.0.1:0", "--library", args.library]
    service = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        url = service.stdout.readline().strip()
        asyncio.run(measure(url, args.photo.read_bytes(), service.pid, args.seconds))
    finally:
        service.terminate()
        sys.exit(service.wait())


main()

"""A link between two network namespaces, with delay and loss, where the kernel has no netem.

    python3 tests/mpi/link.py NAMESPACE:DEVICE NAMESPACE:DEVICE --delay MS --loss PERCENT --seed N

Makes a TAP device in each namespace and carries frames between them: each arrives after the delay, or, by a seeded
generator, not at all. SIGUSR1 cuts the link, so that nothing arrives, and SIGUSR2 mends it. Ends with either namespace.
"""
import argparse
import collections
import fcntl
import os
import random
import select
import signal
import struct
import subprocess
import sys
import time

TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
FRAME_BYTES = 65536
# As a network card has: what is sent faster than it arrives is lost.
QUEUED_FRAMES = 20000


def make_device(end):
    """Makes the TAP device of an end, in its namespace. Returns its file descriptor, of which each read is a frame."""
    namespace, name = end.split(":")
    tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    subprocess.run(["ip", "link", "set", name, "netns", namespace], check=True)
    return tap


class Direction:
    """Frames on their way from one device to the other, the oldest first."""

    def __init__(self, source, target, options):
        self.source, self.target = source, target
        self.delay, self.loss = options.delay / 1000, options.loss / 100
        self.random = random.Random(f"{options.seed}:{source}")
        self.frames = collections.deque()

    def take(self, cut):
        """Takes what was sent."""
        while True:
            try:
                frame = os.read(self.source, FRAME_BYTES)
            except BlockingIOError:
                return
            if not cut and self.random.random() >= self.loss and len(self.frames) < QUEUED_FRAMES:
                self.frames.append((time.monotonic() + self.delay, frame))

    def deliver(self):
        """Delivers what is due. Returns seconds until something is; none if nothing is under way."""
        while self.frames:
            due, frame = self.frames[0]
            wait = due - time.monotonic()
            if wait > 0:
                return wait
            self.frames.popleft()
            try:
                os.write(self.target, frame)
            except OSError:
                pass  # a device that is down, or has no room
        return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ends", nargs=2, metavar="NAMESPACE:DEVICE")
    parser.add_argument("--delay", type=float, default=0, metavar="MS", help="of each way, in milliseconds")
    parser.add_argument("--loss", type=float, default=0, metavar="PERCENT", help="of the frames of each way")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()

    cut = False

    def set_cut(received, _frame):
        nonlocal cut
        cut = received == signal.SIGUSR1

    signal.signal(signal.SIGUSR1, set_cut)
    signal.signal(signal.SIGUSR2, set_cut)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal, for what uses the link
    taps = [make_device(end) for end in options.ends]
    directions = [Direction(taps[i], taps[1 - i], options) for i in (0, 1)]
    try:
        while True:
            waits = [wait for wait in (direction.deliver() for direction in directions) if wait is not None]
            select.select(taps, [], [], min(waits, default=None))
            for direction in directions:
                if cut:
                    direction.frames.clear()
                direction.take(cut)
    except OSError:
        return 0  # a device went with its namespace


if __name__ == "__main__":
    sys.exit(main())

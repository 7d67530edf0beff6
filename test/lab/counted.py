"""Numbered datagrams, counted at both ends.

    counted.py send ADDRESS PORT RATE     until its standard input ends; prints how many it sent
    counted.py take PORT                  until its standard input ends; prints how many came, and how many numbers
"""

import selectors
import socket
import struct
import sys
import time


# asm-generic/socket.h: beyond net.core.rmem_max.
SO_RCVBUFFORCE = 33


def send(address, port, rate):
    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    out.bind(("", 5000))
    ready = selectors.DefaultSelector()
    ready.register(sys.stdin, selectors.EVENT_READ)
    print("ready", flush=True)
    begin = time.monotonic()
    sent = 0
    while True:
        while sent < (time.monotonic() - begin) * rate:
            out.sendto(struct.pack("!I", sent) + bytes(60), (address, port))
            sent += 1
        if ready.select(0.002):
            break
    print(sent, flush=True)


def take(port):
    inn = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    inn.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
    inn.bind(("", port))
    inn.setblocking(False)
    ready = selectors.DefaultSelector()
    ready.register(sys.stdin, selectors.EVENT_READ, "end")
    ready.register(inn, selectors.EVENT_READ, "data")
    print("ready", flush=True)
    came = 0
    numbers = set()
    while True:
        found = {key.data for key, _ in ready.select()}
        if "data" in found:
            try:
                while True:
                    data, _ = inn.recvfrom(2048)
                    came += 1
                    numbers.add(struct.unpack("!I", data[:4])[0])
            except BlockingIOError:
                pass
        elif "end" in found:
            break
    print(f"{came} {len(numbers)}", flush=True)


if sys.argv[1] == "send":
    send(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
else:
    take(int(sys.argv[2]))

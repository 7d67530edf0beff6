"""A tenant's program for the lab: a hundred run at once, so it is one small process with plain sockets.

    python3 tenant.py NUMBER SERVER PORT SOURCE_PORT BYTES

Each line on standard input, "tcp" or "udp", is one exchange with the echo server (host/demo/endpoint.ts):
it sends BYTES that hold its number in every 16, and says in one line of JSON what came back. Every
answer of the server begins with a line that names the source it saw.
"""
import json
import select
import socket
import sys
import time

NUMBER, PORT, SOURCE_PORT, BYTES = (int(sys.argv[i]) for i in (1, 3, 4, 5))
SERVER = sys.argv[2]
MARK_BYTES = 16
PAYLOAD = b"".join(b"t%03d:%08d..\n" % (NUMBER, at) for at in range(0, BYTES, MARK_BYTES))
TIMEOUT = 30.0

# UDP has no flow control: no more than this many datagrams are on their way, and the lost are sent again.
DATAGRAM_BYTES = 62 * MARK_BYTES
WINDOW = 4
RETRY_SECONDS = 0.5


def tcp():
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        peer.settimeout(TIMEOUT)
        peer.bind(("", SOURCE_PORT))
        peer.connect((SERVER, PORT))
        peer.setblocking(False)
        deadline = time.monotonic() + TIMEOUT
        sent, received, over = 0, bytearray(), False
        while not over and time.monotonic() < deadline:
            writers = [peer] if sent < len(PAYLOAD) else []
            readable, writable, _ = select.select([peer], writers, [], 1.0)
            if writable:
                sent += peer.send(PAYLOAD[sent : sent + 65536])
                if sent == len(PAYLOAD):
                    peer.shutdown(socket.SHUT_WR)
            if readable:
                some = peer.recv(65536)
                received += some
                over = not some
        source, _, back = bytes(received).partition(b"\n")
        return {"sources": [source.decode()], "bytes": len(back), "own": back == PAYLOAD, "again": 0}


DATAGRAMS = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def udp():
    # Not closed: what is answered twice, since it was sent again, would meet a closed port.
    peer = DATAGRAMS
    peer.bind(("", SOURCE_PORT))
    peer.connect((SERVER, PORT))
    waiting = [(at, PAYLOAD[at : at + DATAGRAM_BYTES]) for at in range(0, BYTES, DATAGRAM_BYTES)]
    away, sources, foreign, done, again = {}, set(), 0, 0, 0
    deadline = time.monotonic() + TIMEOUT
    while (waiting or away) and time.monotonic() < deadline:
        while waiting and len(away) < WINDOW:
            at, chunk = waiting.pop(0)
            away[at] = (chunk, time.monotonic())
            peer.send(chunk)
        if select.select([peer], [], [], RETRY_SECONDS / 4)[0]:
            source, _, back = peer.recv(65536).partition(b"\n")
            sources.add(source.decode())
            at = int(back[5:13]) if back[:5] == PAYLOAD[:5] else -1
            if back != PAYLOAD[at : at + DATAGRAM_BYTES]:
                foreign += 1
            elif away.pop(at, None):
                done += len(back)
        for at, (chunk, since) in away.items():
            if time.monotonic() - since > RETRY_SECONDS:
                again += 1
                away[at] = (chunk, time.monotonic())
                peer.send(chunk)
    own = foreign == 0 and done == len(PAYLOAD)
    return {"sources": sorted(sources), "bytes": done, "own": own, "again": again}


print("ready", flush=True)
for line in sys.stdin:
    try:
        result = tcp() if line.strip() == "tcp" else udp()
    except OSError as error:
        result = {"sources": [], "bytes": 0, "own": False, "again": 0, "error": str(error)}
    print(json.dumps(result), flush=True)

"""An operator's client by a library that is not ours: python3-websockets, or nothing but a socket (--raw).

    rpcclient.py [--raw] URL [TOKEN]

Reads requests, one JSON object with "method" and "params" a line, and prints what comes, one a line. "connect" opens a new
connection in place of the one before, "leave" closes it without a word. Prints "lost" where there is none any more, or
where nothing comes within the request's "seconds" (10 by default).
"""

import asyncio
import base64
import json
import os
import socket
import sys
from urllib.parse import urlsplit

PROTOCOL = "crosszone.v1"
SECONDS = 10


class Library:
    def __init__(self, url, token):
        self.url = url
        self.seconds = SECONDS
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.socket = None

    async def connect(self):
        import websockets

        self.socket = await asyncio.wait_for(
            websockets.connect(self.url, subprotocols=[PROTOCOL], extra_headers=self.headers), self.seconds
        )
        if self.socket.subprotocol != PROTOCOL:
            raise ConnectionError("another subprotocol")

    async def ask(self, text):
        await asyncio.wait_for(self.socket.send(text), self.seconds)
        return await asyncio.wait_for(self.socket.recv(), self.seconds)

    def leave(self):
        self.socket.transport.abort()


class Raw:
    """RFC 6455 by hand: one masked text frame out, whole frames in."""

    def __init__(self, url, token):
        parts = urlsplit(url)
        self.host, self.port, self.path = parts.hostname, parts.port, parts.path
        self.token = token
        self.seconds = SECONDS
        self.socket = None

    async def connect(self):
        self.socket = socket.create_connection((self.host, self.port), self.seconds)
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [
            f"GET {self.path} HTTP/1.1",
            f"Host: {self.host}:{self.port}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Protocol: {PROTOCOL}",
        ]
        if self.token:
            lines.append(f"Authorization: Bearer {self.token}")
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += self.some(1)
        if not head.startswith(b"HTTP/1.1 101"):
            raise ConnectionError(head.split(b"\r\n")[0].decode())

    def some(self, count):
        found = b""
        while len(found) < count:
            chunk = self.socket.recv(count - len(found))
            if not chunk:
                raise ConnectionError("closed")
            found += chunk
        return found

    async def ask(self, text):
        self.socket.settimeout(self.seconds)
        data = text.encode()
        mask = os.urandom(4)
        size = len(data)
        head = bytes([0x81, 0x80 | size]) if size < 126 else bytes([0x81, 0xFE]) + size.to_bytes(2, "big")
        self.socket.sendall(head + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(data)))
        while True:
            first, second = self.some(2)
            size = second & 0x7F
            if size == 126:
                size = int.from_bytes(self.some(2), "big")
            elif size == 127:
                size = int.from_bytes(self.some(8), "big")
            payload = self.some(size)
            if first == 0x81:
                return payload.decode()

    def leave(self):
        self.socket.close()


async def main():
    args = sys.argv[1:]
    kind = Library
    if args[0] == "--raw":
        kind = Raw
        args = args[1:]
    client = kind(args[0], args[1] if len(args) > 1 else None)
    number = 0
    loop = asyncio.get_running_loop()
    while True:
        line = await loop.run_in_executor(None, sys.stdin.readline)
        if not line:
            return
        request = json.loads(line)
        client.seconds = request.pop("seconds", SECONDS)
        try:
            if request["method"] == "connect":
                await client.connect()
                print(json.dumps({"connected": True}), flush=True)
            elif request["method"] == "leave":
                client.leave()
                print(json.dumps({"left": True}), flush=True)
            else:
                number += 1
                text = json.dumps({"jsonrpc": "2.0", "id": number, **request})
                print(json.dumps(json.loads(await client.ask(text))), flush=True)
        except Exception as error:
            print(json.dumps({"lost": f"{type(error).__name__}: {error}"}), flush=True)


asyncio.run(main())

"""Debian's python3-websockets against the transport: URL or the path of a unix socket as argument."""

import asyncio
import sys

import websockets

PROTOCOL = "crosszone.v1"


def connect(where, **options):
    options = {"compression": None, **options}
    if where.startswith("ws"):
        return websockets.connect(where, **options)
    return websockets.unix_connect(where, "ws://localhost/rpc", **options)


async def talk(where):
    async with connect(where, subprotocols=["other", PROTOCOL], max_size=None) as channel:
        print("subprotocol", channel.subprotocol)
        for text in ["hello", "", "zürich 日本 🦊", "x" * 126, "y" * 65536, "z" * 1048576]:
            await channel.send(text)
            print("echo", len(text), await channel.recv() == text)
        await channel.send(["one ", "message ", "in pieces"])
        print("pieces", await channel.recv())
        await (await channel.ping(b"are you there?"))
        print("pong")
        await channel.close(4000, "bye")
        print("closed", channel.close_code, channel.close_reason)


async def compressed(where):
    async with connect(where, subprotocols=[PROTOCOL], compression="deflate") as channel:
        print("extensions", [extension.name for extension in channel.extensions])
        await channel.send("a" * 1000)
        print("echo", await channel.recv() == "a" * 1000)


async def refused(where):
    for options in [{}, {"subprotocols": ["other"]}]:
        try:
            async with connect(where, **options):
                print("connected")
        except websockets.exceptions.InvalidStatusCode as error:
            print("refused", error.status_code)


async def ended(where, message):
    async with connect(where, subprotocols=[PROTOCOL]) as channel:
        try:
            await channel.send(message)
            await channel.recv()
            print("answered")
        except websockets.exceptions.ConnectionClosed as error:
            print("ended", error.rcvd.code if error.rcvd else 1006)


async def main(where):
    await talk(where)
    await compressed(where)
    await refused(where)
    await ended(where, b"binary")
    await ended(where, "x" * 1048577)


asyncio.run(main(sys.argv[1]))

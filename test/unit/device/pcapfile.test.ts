/** Capture files, byte by byte: draft-ietf-opsawg-pcap and draft-ietf-opsawg-pcapng. */
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import {
  type CapturedPacket,
  CaptureError,
  CaptureWriter,
  parseCapture,
  readCapture,
} from "../../../host/device/pcapfile.js";

const ETHERNET = 1;
const FRAME = Buffer.from("02005e00000102005e00000288b5c0ffee", "hex");

/** A file made of numbers: [bytes, value] in one order of bytes, or bytes as they are. */
type Part = readonly [bytes: 1 | 2 | 4 | 8, value: number | bigint] | Uint8Array;

function build(littleEndian: boolean, ...parts: Part[]): Buffer {
  return Buffer.concat(
    parts.map((part) => {
      if (part instanceof Uint8Array) return part;
      const bytes = Buffer.alloc(8);
      bytes.writeBigUInt64LE(BigInt.asUintN(64, BigInt(part[1])));
      const cut = bytes.subarray(0, part[0]);
      return littleEndian ? cut : cut.reverse();
    }),
  );
}

function pcapHeader(magic: number, snapBytes = 65535, linkType = ETHERNET): Part[] {
  return [
    [4, magic],
    [2, 2],
    [2, 4],
    [4, 0],
    [4, 0],
    [4, snapBytes],
    [4, linkType],
  ];
}

function pcapRecord(seconds: number, fraction: number, data: Uint8Array, original = data.length) {
  return [[4, seconds], [4, fraction], [4, data.length], [4, original], data] as Part[];
}

function block(littleEndian: boolean, type: number, ...body: Part[]): Buffer {
  const inner = build(littleEndian, ...body);
  const padded = Buffer.concat([inner, Buffer.alloc(-inner.length & 3)]);
  const length = padded.length + 12;
  return build(littleEndian, [4, type], [4, length], padded, [4, length]);
}

function section(littleEndian: boolean): Buffer {
  return block(littleEndian, 0x0a0d0d0a, [4, 0x1a2b3c4d], [2, 1], [2, 0], [8, -1n]);
}

function description(littleEndian: boolean, options: Part[] = [], linkType = ETHERNET, snap = 0) {
  return block(littleEndian, 1, [2, linkType], [2, 0], [4, snap], ...options);
}

function enhanced(littleEndian: boolean, from: number, units: bigint, data: Uint8Array, more = 0) {
  const time: Part[] = [
    [4, units >> 32n],
    [4, units & 0xffffffffn],
  ];
  return block(
    littleEndian,
    6,
    [4, from],
    ...time,
    [4, data.length],
    [4, data.length + more],
    data,
  );
}

function packetsOf(bytes: Uint8Array): CapturedPacket[] {
  return [...parseCapture("trace.pcap", bytes).packets];
}

/** The message that reading the file ends with, undefined when it is read to its end. */
function errorOf(bytes: Uint8Array): string | undefined {
  try {
    packetsOf(bytes);
  } catch (error) {
    if (error instanceof CaptureError) return error.message;
    throw error;
  }
  return undefined;
}

t.test("pcap: both orders of bytes, micro- and nanoseconds", async (t) => {
  for (const littleEndian of [true, false]) {
    for (const [magic, fraction] of [
      [0xa1b2c3d4, 123_456],
      [0xa1b23c4d, 123_456_000],
    ] as const) {
      const file = build(
        littleEndian,
        ...pcapHeader(magic),
        ...pcapRecord(1_700_000_000, fraction, FRAME),
        ...pcapRecord(4_294_967_295, 0, FRAME.subarray(0, 14), 60),
      );
      const [first, second] = packetsOf(file);
      t.equal(first?.timestampNs, 1_700_000_000_123_456_000n);
      t.same(Buffer.from(first?.bytes ?? []), FRAME);
      t.equal(first?.truncated, false);
      t.equal(second?.timestampNs, 4_294_967_295_000_000_000n);
      t.match(second, { truncated: true, originalBytes: 60 });
    }
  }
  t.same(packetsOf(build(true, ...pcapHeader(0xa1b2c3d4))), [], "no packet is no error");
});

t.test("pcap: every damage is named with its place", async (t) => {
  const magic = 0xa1b2c3d4;
  const header = pcapHeader(magic);
  const rows: [file: Buffer, message: string][] = [
    [Buffer.alloc(0), "byte 0: a pcap or pcapng file expected, found an empty file"],
    [Buffer.from('{"a"'), "byte 0: a pcap or pcapng file expected, found 7b226122"],
    [
      build(true, ...header).subarray(0, 20),
      "byte 0: a file header of 24 bytes expected, the file ends after 20",
    ],
    [build(true, [4, magic], [2, 3], Buffer.alloc(18)), "byte 4: version 2 expected, found 3"],
    [
      build(true, ...pcapHeader(magic, 65535, 113)),
      "byte 20: link type 1 (Ethernet) expected, found 113",
    ],
    [
      build(true, ...header, [8, 0], [4, 70_000], [4, 70_000]),
      "byte 24: packet claims 70000 bytes, snap length is 65535",
    ],
    [
      build(true, ...pcapHeader(magic, 0), [8, 0], [4, 262_145], [4, 262_145]),
      "byte 24: packet claims 262145 bytes, snap length is 262144",
    ],
    [
      build(true, ...header, ...pcapRecord(1, 1_000_000, FRAME)),
      "byte 24: fraction of a second below 1000000 expected, found 1000000",
    ],
    [
      build(true, ...header, ...pcapRecord(1, 0, FRAME, 5)),
      "byte 24: packet claims 17 bytes captured of 5",
    ],
    [
      build(true, ...header, ...pcapRecord(1, 0, FRAME), [4, 1]),
      "byte 57: a packet header of 16 bytes expected, the file ends after 4",
    ],
    [
      build(true, ...header, ...pcapRecord(1, 0, FRAME)).subarray(0, -1),
      "byte 40: a packet of 17 bytes expected, the file ends after 16",
    ],
  ];
  for (const [file, message] of rows) t.equal(errorOf(file), `trace.pcap: ${message}`);
});

t.test("pcapng: sections, interfaces, resolutions and all packet blocks", async (t) => {
  for (const littleEndian of [true, false]) {
    const le = littleEndian;
    const resolution = (value: number): Part[] => [[2, 9], [2, 1], [1, value], Buffer.alloc(3)];
    const offset = (seconds: bigint): Part[] => [
      [2, 14],
      [2, 8],
      [8, seconds],
    ];
    const comment: Part[] = [[2, 1], [2, 3], Buffer.from("abc\0")];
    const file = Buffer.concat([
      section(le),
      description(le),
      description(le, [...comment, ...resolution(9), ...offset(-10n), [4, 0]]),
      description(le, resolution(0x80 | 10)),
      description(le, [], 113),
      block(le, 5, [4, 0], Buffer.alloc(8)),
      enhanced(le, 0, 1_700_000_000_000_001n, FRAME),
      enhanced(le, 1, 1_700_000_000_123_456_789n, FRAME.subarray(0, 14), 46),
      enhanced(le, 2, 1024n * 5n + 512n, FRAME),
      block(le, 2, [2, 0], [2, 0], [4, 0], [4, 7], [4, FRAME.length], [4, FRAME.length], FRAME),
      block(le, 3, [4, FRAME.length], FRAME),
      section(!le),
      description(!le, [], ETHERNET, 14),
      block(!le, 3, [4, 60], FRAME.subarray(0, 14)),
    ]);
    const packets = packetsOf(file);
    t.same(
      packets.map((packet) => [packet.timestampNs, packet.bytes.length, packet.originalBytes]),
      [
        [1_700_000_000_000_001_000n, 17, 17],
        [1_699_999_990_123_456_789n, 14, 60],
        [5_500_000_000n, 17, 17],
        [7_000n, 17, 17],
        [7_000n, 17, 17],
        [7_000n, 14, 60],
      ],
    );
    t.same(
      packets.map(({ truncated }) => truncated),
      [false, true, false, false, false, true],
    );
  }
});

t.test("pcapng: every damage is named with its place", async (t) => {
  const head = section(true);
  const both = Buffer.concat([head, description(true)]);
  const after = (...parts: Uint8Array[]) => Buffer.concat([both, ...parts]);
  const patched = (file: Buffer, at: number, value: number) => {
    const copy = Buffer.from(file);
    copy.writeUInt32LE(value, at);
    return copy;
  };
  const packet = after(enhanced(true, 0, 0n, FRAME));
  const wide: Part[] = [
    [2, 9],
    [2, 60],
    [4, 0],
  ];
  const rows: [file: Buffer, message: string][] = [
    [head.subarray(0, 8), "byte 0: a block of 12 bytes expected, the file ends after 8"],
    [head.subarray(0, 20), "byte 0: a block of 28 bytes expected, the file ends after 20"],
    [patched(head, 8, 7), "byte 8: byte-order magic 1a2b3c4d expected"],
    [patched(head, 12, 2), "byte 12: version 1 expected, found 2"],
    [patched(head, 4, 24), "byte 0: block length: a multiple of 4 from 28 on expected, found 24"],
    [patched(head, 24, 32), "byte 24: block length 28 once more expected, found 32"],
    [patched(both, 32, 21), "byte 28: block length: a multiple of 4 from 12 on expected, found 21"],
    [
      Buffer.concat([head, block(true, 1, [4, 1])]),
      "byte 28: an interface block of at least 20 bytes expected, found 16",
    ],
    [
      Buffer.concat([head, description(true, wide)]),
      "byte 44: option claims 60 bytes, its block has 4 left",
    ],
    [
      Buffer.concat([
        head,
        description(true, [
          [2, 9],
          [2, 4],
          [4, 0],
        ]),
      ]),
      "byte 48: if_tsresol of 1 byte expected, found 4",
    ],
    [
      Buffer.concat([
        head,
        description(true, [
          [2, 14],
          [2, 4],
          [4, 0],
        ]),
      ]),
      "byte 48: if_tsoffset of 8 bytes expected, found 4",
    ],
    [after(enhanced(true, 1, 0n, FRAME)), "byte 48: packet of interface 1, 1 are described"],
    [
      Buffer.concat([head, description(true, [], 113), enhanced(true, 0, 0n, FRAME)]),
      "byte 48: link type 1 (Ethernet) expected, interface 0 has 113",
    ],
    [
      after(block(true, 6, [4, 0])),
      "byte 48: a packet block of at least 32 bytes expected, found 16",
    ],
    [patched(packet, 68, 21), "byte 48: packet claims 21 bytes, its block has room for 20"],
    [patched(packet, 72, 5), "byte 48: packet claims 17 bytes captured of 5"],
    [
      after(block(true, 3, [4, 60], FRAME)),
      "byte 48: packet claims 60 bytes, its block has room for 20",
    ],
    [packet.subarray(0, -1), "byte 48: a block of 52 bytes expected, the file ends after 51"],
  ];
  for (const [file, message] of rows) t.equal(errorOf(file), `trace.pcap: ${message}`);
});

t.test("a file cut at any byte is an error or has fewer packets, and nothing else", async (t) => {
  const files = [
    build(true, ...pcapHeader(0xa1b2c3d4), ...pcapRecord(1, 2, FRAME), ...pcapRecord(3, 4, FRAME)),
    Buffer.concat([section(false), description(false), enhanced(false, 0, 5n, FRAME)]),
  ];
  for (const file of files) {
    const whole = packetsOf(file).length;
    for (let bytes = 0; bytes < file.length; bytes++) {
      const cut = file.subarray(0, bytes);
      if (errorOf(cut) === undefined && packetsOf(cut).length >= whole) t.fail(`${bytes} bytes`);
    }
    for (let at = 0; at < file.length; at++) {
      for (const value of [0x00, 0x7f, 0xff]) {
        const damaged = Buffer.from(file);
        damaged[at] = value;
        errorOf(damaged);
      }
    }
  }
});

t.test(
  "the writer: the same packets give the same bytes, and the reader gives them back",
  async (t) => {
    const path = join(t.testdir(), "out.pcap");
    const rows: [bigint, Uint8Array][] = [
      [0n, FRAME],
      [1_700_000_000_123_456_789n, new Uint8Array(262_144).fill(7)],
      [1_700_000_000_123_456_790n, new Uint8Array(0)],
      ...Array.from({ length: 5000 }, (_, i): [bigint, Uint8Array] => [
        2_000_000_000_000_000_000n + BigInt(i),
        new Uint8Array(i % 1500).fill(i),
      ]),
    ];
    const write = (): Buffer => {
      const writer = new CaptureWriter(path);
      for (const [timestampNs, bytes] of rows) writer.write(timestampNs, bytes);
      writer.close();
      return readFileSync(path);
    };
    const file = write();
    t.ok(file.equals(write()));
    t.equal(
      file.subarray(0, 24).toString("hex"),
      "4d3cb2a1020004000000000000000000000004000100" + "0000",
    );
    const packets = [...readCapture(path).packets];
    t.equal(packets.length, rows.length);
    t.ok(packets.every(({ timestampNs }, i) => timestampNs === rows[i]?.[0]));
    t.ok(packets.every(({ bytes }, i) => Buffer.compare(bytes, rows[i]?.[1] ?? FRAME) === 0));
  },
);

t.test("the writer refuses what the format cannot say", async (t) => {
  const writer = new CaptureWriter(join(t.testdir(), "out.pcap"));
  t.teardown(() => writer.close());
  t.throws(() => writer.write(-1n, FRAME), RangeError);
  t.throws(() => writer.write(4_294_967_296_000_000_000n, FRAME), RangeError);
  t.throws(() => writer.write(0n, new Uint8Array(262_145)), RangeError);
});

t.test("a file that cannot be read or written is named", async (t) => {
  const missing = join(t.testdir(), "none", "trace.pcap");
  t.throws(() => readCapture(missing), { message: `${missing}: cannot be read: ENOENT` });
  t.throws(() => new CaptureWriter(missing), { message: /ENOENT.*none\/trace.pcap/ });
});

t.test("others read what we write, and we what they write", async (t) => {
  const dir = t.testdir();
  const ours = join(dir, "ours.pcap");
  const writer = new CaptureWriter(ours);
  writer.write(1_700_000_000_000_000_001n, FRAME);
  writer.write(1_700_000_001_999_999_999n, Buffer.concat([FRAME, Buffer.alloc(1000)]));
  writer.close();

  const tcpdump = spawnSync("tcpdump", ["-tt", "-nn", "--nano", "-e", "-r", ours]);
  if (tcpdump.error) t.comment("tcpdump is missing");
  else
    t.match(
      tcpdump.stdout.toString(),
      /^1700000000\.000000001 [\s\S]*\n1700000001\.999999999 .*length 1017/,
    );

  const theirs = join(dir, "theirs.pcapng");
  const editcap = spawnSync("editcap", ["-F", "pcapng", ours, theirs]);
  if (editcap.error) {
    t.comment("editcap is missing");
    return;
  }
  const read = (path: string) =>
    [...readCapture(path).packets].map(({ timestampNs, bytes }) => [
      timestampNs,
      Buffer.from(bytes),
    ]);
  t.same(read(theirs), read(ours));
  for (const format of ["pcap", "nsecpcap"]) {
    const again = join(dir, `${format}.pcap`);
    spawnSync("editcap", ["-F", format, theirs, again]);
    t.equal(read(again).length, 2);
    if (format === "nsecpcap") t.same(readFileSync(again), readFileSync(ours));
  }
});

t.test("bytes of the file are not copied", async (t) => {
  const file = build(true, ...pcapHeader(0xa1b2c3d4), ...pcapRecord(1, 2, FRAME));
  t.equal(packetsOf(file)[0]?.bytes.buffer, file.buffer);
  const path = join(t.testdir(), "trace.pcap");
  writeFileSync(path, file);
  const { packets } = readCapture(path);
  t.same([...packets], [...packets], "and can be read twice");
});

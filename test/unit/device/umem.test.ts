/** Whose a chunk is, from its frame's arrival until it was sent. */
import t from "tap";
import { chunkBytesFor, Umem } from "../../../host/device/umem.js";

const AT = 65536;
const CHUNK = 2048;
const CHUNKS = 32;
const ELSEWHERE = 1024;

function make() {
  const memory = new WebAssembly.Memory({ initial: 2, maximum: 2 });
  const umem = new Umem({ memory, at: AT, bytes: CHUNKS * CHUNK }, CHUNK, 8);
  return { umem, bytes: new Uint8Array(memory.buffer), first: umem.join(7), second: umem.join(8) };
}

/** How many chunks are free: takes them all, and gives them back. */
function free(umem: Umem, queue: number): number {
  const taken: number[] = [];
  for (let chunk = umem.take(queue); chunk !== undefined; chunk = umem.take(queue)) {
    taken.push(chunk);
  }
  for (const chunk of taken) umem.give(chunk);
  return taken.length;
}

t.test("a lent frame leaves from where it stands, once", async (t) => {
  const { umem, bytes, first, second } = make();
  const chunk = umem.take(first) as number;
  const frame = umem.lend(chunk + 256);
  t.equal(frame, AT + chunk + 256);
  bytes.set([1, 2, 3], frame);
  t.equal(umem.adopt(frame - 4, 64, second), chunk + 252, "with a longer header in front, too");
  const copy = umem.adopt(frame, 60, second) as number;
  t.not(copy >> 11, chunk >> 11, "for a second time it is copied");
  t.same(bytes.slice(AT + copy, AT + copy + 3), new Uint8Array([1, 2, 3]));
  umem.release();
  t.equal(free(umem, first), CHUNKS - 2, "the turn's end takes neither away");
  umem.give(chunk + 252);
  umem.give(copy);
  t.equal(free(umem, first), CHUNKS);
});

t.test("a lent frame that goes nowhere is free at the turn's end", async (t) => {
  const { umem, first } = make();
  for (let i = 0; i < 5; i++) umem.lend((umem.take(first) as number) + 256);
  t.equal(free(umem, first), CHUNKS - 5);
  umem.release();
  umem.release();
  t.equal(free(umem, first), CHUNKS);
});

t.test("a frame from elsewhere is copied, and refused when no chunk is free", async (t) => {
  const { umem, bytes, first } = make();
  bytes.set([4, 5, 6], ELSEWHERE);
  const address = umem.adopt(ELSEWHERE, 60, first) as number;
  t.same(bytes.slice(AT + address, AT + address + 3), new Uint8Array([4, 5, 6]));
  for (let i = 1; i < CHUNKS; i++) t.ok(umem.adopt(ELSEWHERE, 60, first) !== undefined);
  t.equal(umem.adopt(ELSEWHERE, 60, first), undefined);
});

t.test(
  "what a queue had is free some time after it leaves, and its number another's",
  async (t) => {
    const { umem, first, second } = make();
    for (let i = 0; i < 10; i++) umem.take(first);
    const theirs = umem.take(second) as number;
    t.equal(umem.member, 7);
    umem.leave(first, 1000);
    t.equal(umem.member, 8);
    t.equal(umem.join(9), first);
    umem.freeRested(2999);
    t.equal(free(umem, first), CHUNKS - 11, "the kernel may still have them");
    umem.freeRested(3000);
    umem.freeRested(9000);
    t.equal(free(umem, first), CHUNKS - 1);
    umem.give(theirs);
    umem.leave(first, 9000);
    umem.leave(second, 9000);
    t.equal(umem.member, undefined);
  },
);

t.test("a chunk is as long as the packets of its interfaces need", async (t) => {
  for (const [mtu, bytes] of [
    [1500, 2048],
    [1770, 2048],
    [1771, 4096],
    [9000, 4096],
  ] as const) {
    t.equal(chunkBytesFor(mtu), bytes, `MTU ${mtu}`);
  }
});

t.test("interfaces claim their shares, and no more than was set aside", async (t) => {
  const { umem } = make();
  t.equal(umem.claim(20), true, "of 32 chunks 8 are kept for what is lent");
  t.equal(umem.claim(5), false);
  t.equal(umem.claim(4), true);
  umem.disclaim(20);
  t.equal(umem.claim(20), true);
});

t.test("the highest bit of an address is no sign", async (t) => {
  const pages = 40_000;
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
  const umem = new Umem({ memory, at: AT, bytes: (pages - 1) * 65536 }, CHUNK, 8);
  const bytes = new Uint8Array(memory.buffer);
  bytes.set([7, 8, 9], ELSEWHERE);
  const address = umem.adopt(ELSEWHERE, 60, umem.join(7)) as number;
  t.ok(address > 2 ** 31, `${address}`);
  t.same(bytes.slice(AT + address, AT + address + 3), new Uint8Array([7, 8, 9]));
});

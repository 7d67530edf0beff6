/** Both sides of a ring over one stretch of memory: what is put comes out, in order, and the counts wrap. */
import t from "tap";
import { ConsumerRing, ProducerRing, type RingPlace } from "../../../host/device/xskring.js";

const SIZE = 8;
const PLACE: RingPlace = {
  producer: 64,
  consumer: 128,
  descriptors: 192,
  size: SIZE,
  descriptorBytes: 16,
};

/** As after so many frames: the counts are 32 bits that wrap. */
function rings(count = 0) {
  const { buffer } = new WebAssembly.Memory({ initial: 1, maximum: 1 });
  const producer = new ProducerRing(buffer, PLACE);
  const consumer = new ConsumerRing(buffer, PLACE);
  const words = new Int32Array(buffer);
  if (count !== 0) {
    for (const ring of [producer, consumer] as unknown as { next: number }[]) ring.next = count;
    Object.assign(producer, { taken: count });
    Object.assign(consumer, { published: count });
    words[PLACE.producer / 4] = count;
    words[PLACE.consumer / 4] = count;
  }
  return { producer, consumer };
}

function takeAll(consumer: ConsumerRing): [number, number][] {
  const taken: [number, number][] = [];
  for (; consumer.available() > 0; consumer.take()) taken.push([consumer.address, consumer.length]);
  consumer.release();
  return taken;
}

for (const [name, count] of [
  ["from the start", 0],
  ["where the counts become negative", 0x7ffffffd],
  ["where the counts wrap", -3],
] as const) {
  t.test(`descriptors come out as they were put, ${name}`, async (t) => {
    const { producer, consumer } = rings(count);
    for (let round = 0; round < 5; round++) {
      for (let i = 0; i < 6; i++) producer.put(0xf0000000 + i, 60 + i);
      t.equal(consumer.available(), 0, "not before they are published");
      producer.publish();
      t.equal(producer.waiting(), 6);
      t.same(
        takeAll(consumer),
        Array.from({ length: 6 }, (_, i) => [0xf0000000 + i, 60 + i]),
      );
      t.equal(producer.waiting(), 0);
    }
  });
}

t.test(
  "there is room for as many as the ring has places, and again when they are taken",
  async (t) => {
    const { producer, consumer } = rings();
    t.equal(producer.room(1), SIZE);
    for (let i = 0; i < SIZE; i++) producer.put(i, 60);
    t.equal(producer.room(1), 0);
    producer.publish();
    t.equal(producer.room(1), 0);
    consumer.available();
    consumer.take();
    t.equal(producer.room(1), 0, "taken, but not released");
    consumer.release();
    t.equal(producer.room(1), 1);
  },
);

import assert from "node:assert/strict";
import { test } from "node:test";
import { BadMessage, ageMs, isWhole, parse } from "../../../../edge/console/page/js/live/message.js";

function message(header, ...images) {
  const head = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const whole = new Uint8Array(4 + head.length + images.reduce((sum, image) => sum + image.length, 0));
  new DataView(whole.buffer).setUint32(0, head.length, true);
  whole.set(head, 4);
  let at = 4 + head.length;
  for (const image of images) { whole.set(image, at); at += image.length; }
  return whole.buffer;
}

test("images come out as they were put in, in their order", () => {
  const images = [{ name: "picture", bytes: 3 }, { name: "original", bytes: 2 }];
  const parsed = parse(message({ seq: 7, images }, [1, 2, 3], [4, 5]));
  assert.equal(parsed.header.seq, 7);
  assert.deepEqual([...parsed.images.picture], [1, 2, 3]);
  assert.deepEqual([...parsed.images.original], [4, 5]);
});

test("a notice has no images", () => {
  assert.deepEqual(parse(message({ n: 0, live: false, images: [] })).images, {});
});

test("letters beyond ASCII keep their length in bytes", () => {
  assert.equal(parse(message({ why: "zu heiß", images: [{ name: "picture", bytes: 1 }] }, [9])).images.picture[0], 9);
});

for (const [what, buffer] of [
  ["nothing", new ArrayBuffer(0)],
  ["a header that is cut off", message({ images: [] }).slice(0, 10)],
  ["a header that is no JSON", message("{")],
  ["a header without images", message({ seq: 1 })],
  ["a header that is null", message("null")],
  ["an image that is cut off", message({ images: [{ name: "picture", bytes: 9 }] }, [1, 2])],
  ["an image of a negative size", message({ images: [{ name: "picture", bytes: -1 }] }, [1, 2])],
  ["an image without a size", message({ images: [{ name: "picture" }] }, [1, 2])],
  ["bytes that nobody announced", message({ images: [] }, [1])],
  ["a text", "{}"],
]) {
  test(`${what} is refused`, () => assert.throws(() => parse(buffer), BadMessage));
}

test("an enhanced picture is whole with its original alone", () => {
  const told = (treatment, ...names) => parse(message({ treatment, images: names.map((name) => ({ name, bytes: 1 })) }, ...names.map(() => [1])));
  assert.ok(!isWhole(told("enhanced", "picture")));
  assert.ok(!isWhole(told("enhanced", "original")));
  assert.ok(isWhole(told("enhanced", "picture", "original")));
  assert.ok(isWhole(told("original", "picture")));
  assert.ok(isWhole(told("enhanced")), "a notice");
});

test("the age of a picture counts its way and the time it has stood", () => {
  assert.equal(ageMs({ age_ms: 10, drain_ms: 20 }, 1000, 1030), 60);
  assert.equal(ageMs({ age_ms: 10 }, 1000, 990), 10);
});

// A binary message of the live picture: the length of the header, the header, the images. Pure.

export class BadMessage extends Error {}

/** {header, images: {picture: Uint8Array, ...}, bytes}; raises BadMessage for anything else. */
export function parse(buffer) {
  if (!(buffer instanceof ArrayBuffer) || buffer.byteLength < 4) throw new BadMessage("no header");
  const length = new DataView(buffer).getUint32(0, true);
  if (4 + length > buffer.byteLength) throw new BadMessage("the header is cut off");
  const header = decoded(new Uint8Array(buffer, 4, length));
  const images = {};
  let at = 4 + length;
  for (const image of header.images) {
    if (!(image.bytes >= 0) || at + image.bytes > buffer.byteLength) throw new BadMessage("an image is cut off");
    images[image.name] = new Uint8Array(buffer, at, image.bytes);
    at += image.bytes;
  }
  if (at !== buffer.byteLength) throw new BadMessage("more bytes than the header says");
  return { header, images, bytes: buffer.byteLength };
}

/** An enhanced picture comes with its original: without it, there would be nothing true to show as the original. */
export function isWhole({ header, images }) {
  return !header.images.length || header.treatment !== "enhanced" || ("picture" in images && "original" in images);
}

function decoded(bytes) {
  let header;
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw new BadMessage("the header is not JSON");
  }
  if (!header || !Array.isArray(header.images)) throw new BadMessage("the header names no images");
  return header;
}

/** How old the picture is now, on the screen: when it was sent, how long it took, how long it has stood. */
export function ageMs(header, arrivedMs, nowMs) {
  return header.age_ms + (header.drain_ms ?? 0) + Math.max(0, nowMs - arrivedMs);
}

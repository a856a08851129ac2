// The last seconds as they arrived, still encoded: what freeze scrolls back through. Bounded by time and by bytes. Pure.

export class History {
  constructor(longestMs = 12000, mostBytes = 64 << 20) {
    this.longestMs = longestMs;
    this.mostBytes = mostBytes;
    this.bytes = 0;
    this.pictures = [];
  }

  get length() {
    return this.pictures.length;
  }

  /** Keeps a picture: anything with `takenMs` (when it was taken, on the page's clock) and `bytes`. */
  add(picture) {
    this.pictures.push(picture);
    this.bytes += picture.bytes;
    const oldest = picture.takenMs - this.longestMs;
    while (this.pictures.length > 1 && (this.pictures[0].takenMs < oldest || this.bytes > this.mostBytes)) {
      this.bytes -= this.pictures.shift().bytes;
    }
  }

  /** What is shown while frozen does not grow any more. */
  held() {
    return new Held(this.pictures.slice());
  }

  clear() {
    this.pictures = [];
    this.bytes = 0;
  }
}

/** A frozen sequence and the place in it. */
export class Held {
  constructor(pictures) {
    this.pictures = pictures;
    this.place = Math.max(0, pictures.length - 1);
  }

  get length() {
    return this.pictures.length;
  }

  get picture() {
    return this.pictures[this.place] ?? null;
  }

  get isLast() {
    return this.place >= this.pictures.length - 1;
  }

  /** Seconds before the frozen picture, 0 or less. */
  get seconds() {
    if (!this.pictures.length) return 0;
    return (this.picture.takenMs - this.pictures[this.pictures.length - 1].takenMs) / 1000;
  }

  go(place) {
    this.place = Math.min(Math.max(0, Math.round(place)), Math.max(0, this.pictures.length - 1));
    return this.picture;
  }

  step(by) {
    return this.go(this.place + by);
  }
}

// The change map as colours over the picture: orange where it was made brighter, blue where darker, as on the
// panel: the same colour means the same on both faces. Pure but for the canvas.

const GAIN = 6; // a change of a sixth of full scale is as strong as it gets
const LEAST = 2; // what JPEG itself adds is no change
const MOST_OPAQUE = 190;
const BRIGHTER = [255, 150, 40];
const DARKER = [70, 190, 255];

/** Turns grey levels (128: no change) into colours, in place: RGBA, as a canvas has them. */
export function tint(pixels) {
  for (let at = 0; at < pixels.length; at += 4) {
    const change = pixels[at] - 128;
    const size = Math.abs(change);
    const colour = change > 0 ? BRIGHTER : DARKER;
    pixels[at] = colour[0];
    pixels[at + 1] = colour[1];
    pixels[at + 2] = colour[2];
    pixels[at + 3] = size <= LEAST ? 0 : Math.min(MOST_OPAQUE, size * GAIN);
  }
  return pixels;
}

export class Tint {
  constructor() {
    this.canvas = document.createElement("canvas");
    this.context = this.canvas.getContext("2d", { willReadFrequently: true });
  }

  /** A canvas to be laid over the picture. */
  of(change) {
    this.canvas.width = change.width;
    this.canvas.height = change.height;
    this.context.drawImage(change, 0, 0);
    const image = this.context.getImageData(0, 0, change.width, change.height);
    tint(image.data);
    this.context.putImageData(image, 0, 0);
    return this.canvas;
  }
}

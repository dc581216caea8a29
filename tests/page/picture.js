// Pictures of the page for the docs.
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import UPNG from "upng-js";

const FOLDER = new URL("../../docs/images/", import.meta.url);
/** The largest picture, in bytes: more is too much for a README. */
const LARGEST = 150_000;
/** As many colours as one byte of a palette names: enough for a page, and half the size. */
const COLOURS = 256;

/** Writes what `page` shows to docs/images. */
export async function picture(page, name) {
	const { width, height, ...shot } = UPNG.decode(await page.screenshot({ type: "png", animations: "disabled" }));
	const png = Buffer.from(UPNG.encode(UPNG.toRGBA8({ width, height, ...shot }), width, height, COLOURS));
	assert.ok(png.length <= LARGEST, `${name}.png has ${png.length} bytes; at most ${LARGEST} are allowed`);
	await mkdir(FOLDER, { recursive: true });
	await writeFile(new URL(`${name}.png`, FOLDER), png);
}

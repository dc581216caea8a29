/** One text and one fingerprint for the body of an event: the same as tests/e2e/canonical.js of the repository makes. */

import canonicalize from "canonicalize";

/** Writes an event as RFC 8785 has it, with its keys in order. agentwire adds no field, so this is what the log holds. */
export function canonical(event: object): string {
	// Only what JSON does not know has no text.
	return canonicalize(event) as string;
}

/** 64 bits over the UTF-16 code units of a text, as 16 hexadecimal digits. */
export function fingerprint(text: string): string {
	let high = 0xdeadbeef;
	let low = 0x41c6ce57;
	for (let index = 0; index < text.length; index += 1) {
		const unit = text.charCodeAt(index);
		high = Math.imul(high ^ unit, 2654435761);
		low = Math.imul(low ^ unit, 1597334677);
	}
	const first = mixed(high, low);
	const second = mixed(low, first);
	return hex(second) + hex(first);
}

function mixed(a: number, b: number): number {
	return Math.imul(a ^ (a >>> 16), 2246822507) ^ Math.imul(b ^ (b >>> 13), 3266489909);
}

function hex(number: number): string {
	return (number >>> 0).toString(16).padStart(8, "0");
}

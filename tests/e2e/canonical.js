// One text and one fingerprint for the body of an event: the twin of proof/src/delivery/canonical.rs.

// A development tool of the package, at the same place in the checkout and on the recorder's site.
import canonicalize from "../../pkg/node_modules/canonicalize/lib/canonicalize.js";

/** Writes an event's body as RFC 8785 has it. The package passes it on as it is in the log (EVT-9). */
export const canonical = canonicalize;

/** 64 bits over the UTF-16 code units of a text, as 16 hexadecimal digits. */
export function fingerprint(text) {
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

function mixed(a, b) {
	return Math.imul(a ^ (a >>> 16), 2246822507) ^ Math.imul(b ^ (b >>> 13), 3266489909);
}

function hex(number) {
	return (number >>> 0).toString(16).padStart(8, "0");
}

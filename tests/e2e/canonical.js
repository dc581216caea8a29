// One text and one fingerprint for the body of an event: the twin of xtask/src/demo/canonical.rs.

/** Writes an event's body with its keys in the order of their code units. The package passes it on as it is in the log (EVT-9). */
export function canonical(value) {
	if (typeof value !== "object" || value === null) return JSON.stringify(value);
	if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
	let text = "{";
	// The default order of `sort` is that of UTF-16 code units.
	for (const key of Object.keys(value).sort()) {
		if (text.length > 1) text += ",";
		text += `${JSON.stringify(key)}:${canonical(value[key])}`;
	}
	return `${text}}`;
}

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

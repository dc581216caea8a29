import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { canonical, fingerprint } from "./canonical.js";

const vectors = JSON.parse(readFileSync(new URL("canonical.json", import.meta.url), "utf8"));

for (const { name, text, canonical: expected, fingerprint: print } of vectors) {
	test(name, () => {
		const got = canonical(JSON.parse(text));
		assert.equal(got, expected);
		assert.equal(fingerprint(got), print);
	});
}

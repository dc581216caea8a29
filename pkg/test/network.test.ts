import assert from "node:assert/strict";
import { test } from "node:test";

import { watchBrowser } from "../src/network.js";

test("the network and the page are heard until the watch ends", () => {
	const target = new EventTarget();
	const added = ["addEventListener", "removeEventListener"] as const;
	for (const name of added) Object.defineProperty(globalThis, name, { configurable: true, value: target[name].bind(target) });
	try {
		const heard: string[] = [];
		const stop = watchBrowser({
			online: (online) => void heard.push(`online ${online}`),
			away: (away) => void heard.push(`away ${away}`),
		});
		for (const name of ["offline", "online", "pagehide", "pageshow"]) target.dispatchEvent(new Event(name));
		assert.deepEqual(heard, ["online false", "online true", "away true", "away false"]);
		stop();
		target.dispatchEvent(new Event("pagehide"));
		assert.equal(heard.length, 4);
	} finally {
		for (const name of added) Reflect.deleteProperty(globalThis, name);
	}
});

test("where nobody speaks, nothing is heard", () => {
	watchBrowser({ online: () => assert.fail(), away: () => assert.fail() })();
});

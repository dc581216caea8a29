import assert from "node:assert/strict";
import { test } from "node:test";

import { watchBrowser } from "../src/client/network.js";

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

test("a page that comes out of the cache says anew whether there is a network", () => {
	const target = new EventTarget();
	const added = ["addEventListener", "removeEventListener"] as const;
	for (const name of added) Object.defineProperty(globalThis, name, { configurable: true, value: target[name].bind(target) });
	const kept = Object.getOwnPropertyDescriptor(globalThis, "navigator");
	const shown = (persisted: boolean): boolean => target.dispatchEvent(Object.assign(new Event("pageshow"), { persisted }));
	try {
		const heard: string[] = [];
		const stop = watchBrowser({
			online: (online) => void heard.push(`online ${online}`),
			away: (away) => void heard.push(`away ${away}`),
		});
		for (const onLine of [false, true]) {
			Object.defineProperty(globalThis, "navigator", { configurable: true, value: { onLine } });
			shown(true);
		}
		shown(false);
		assert.deepEqual(heard, ["online false", "away false", "online true", "away false", "away false"]);
		stop();
	} finally {
		for (const name of added) Reflect.deleteProperty(globalThis, name);
		if (kept === undefined) Reflect.deleteProperty(globalThis, "navigator");
		else Object.defineProperty(globalThis, "navigator", kept);
	}
});

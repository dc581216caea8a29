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
			wake: () => void heard.push("wake"),
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

test("a page that becomes visible or focused, or is resumed, wakes the client, and one that is hidden does not", () => {
	const page = Object.assign(new EventTarget(), { visibilityState: "hidden" });
	const target = new EventTarget();
	const added = ["addEventListener", "removeEventListener"] as const;
	for (const name of added) Object.defineProperty(globalThis, name, { configurable: true, value: target[name].bind(target) });
	Object.defineProperty(globalThis, "document", { configurable: true, value: page });
	try {
		let woken = 0;
		const stop = watchBrowser({ online: () => assert.fail(), away: () => assert.fail(), wake: () => (woken += 1) });
		page.dispatchEvent(new Event("visibilitychange"));
		assert.equal(woken, 0);
		page.visibilityState = "visible";
		page.dispatchEvent(new Event("visibilitychange"));
		page.dispatchEvent(new Event("resume"));
		target.dispatchEvent(new Event("focus"));
		assert.equal(woken, 3);
		stop();
		page.dispatchEvent(new Event("resume"));
		target.dispatchEvent(new Event("focus"));
		assert.equal(woken, 3);
	} finally {
		for (const name of [...added, "document"]) Reflect.deleteProperty(globalThis, name);
	}
});

test("where nobody speaks, nothing is heard", () => {
	watchBrowser({ online: () => assert.fail(), away: () => assert.fail(), wake: () => assert.fail() })();
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
			wake: () => void heard.push("wake"),
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

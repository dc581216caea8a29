/** Waits with deadlines, and random numbers that can be repeated. */
import type { EventEmitter } from "node:events";
import type { TestContext } from "node:test";
import { Fake } from "./fake.js";

/** Waits for an event that `is` accepts; fails after `withinMs`. */
export function event<T>(emitter: EventEmitter | EventTarget, name: string, is: (value: T) => boolean = () => true, withinMs: number = 5_000): Promise<T> {
	return new Promise((resolve, reject) => {
		const end = emitter instanceof EventTarget ? () => emitter.removeEventListener(name, listener as () => void) : () => emitter.off(name, listener);
		const timer = setTimeout(() => {
			end();
			reject(new Error(`no ${name} within ${withinMs} ms`));
		}, withinMs);
		function listener(value: T): void {
			if (!is(value)) return;
			clearTimeout(timer);
			end();
			resolve(value);
		}
		if (emitter instanceof EventTarget) emitter.addEventListener(name, listener as () => void);
		else emitter.on(name, listener);
	});
}

/** A fake server that ends with the test. */
export async function fake(t: TestContext): Promise<Fake> {
	const server = await new Fake().start();
	server.setMaxListeners(100);
	t.after(() => server.stop());
	return server;
}

/** A promise and what resolves it. */
export function gate(): { readonly promise: Promise<void>; readonly open: () => void } {
	let open = (): void => {};
	const promise = new Promise<void>((resolve) => {
		open = resolve;
	});
	return { promise, open };
}

/** Numbers from 0 to 1 (mulberry32). */
export function random(seed: number): () => number {
	let state = seed;
	return () => {
		state = (state + 0x6d2b79f5) | 0;
		let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
		mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
		return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
	};
}

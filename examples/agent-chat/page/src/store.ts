/** State outside of React. Its listeners are notified at most once per frame. */

type Listener = () => void;

/** A value with listeners, in the shape of `useSyncExternalStore`. */
export class Store<T> {
	#value: T;
	readonly #listeners = new Set<Listener>();
	readonly #flush = (): void => {
		for (const listener of [...this.#listeners]) listener();
	};

	constructor(value: T) {
		this.#value = value;
	}

	readonly get = (): T => this.#value;

	readonly subscribe = (listener: Listener): (() => void) => {
		this.#listeners.add(listener);
		return () => this.#listeners.delete(listener);
	};

	/** Sets the value; the listeners hear of it with the next frame. */
	set(value: T): void {
		if (Object.is(value, this.#value)) return;
		this.#value = value;
		atNextFrame(this.#flush);
	}

	update(change: (value: T) => T): void {
		this.set(change(this.#value));
	}
}

/** A hidden page gets no frames. */
const HIDDEN_MS = 250;
const waiting = new Set<Listener>();
let frame: number | undefined;
let timer: ReturnType<typeof setTimeout> | undefined;

/** Calls each function once with the next frame, however often it was asked for. */
export function atNextFrame(task: Listener): void {
	waiting.add(task);
	frame ??= requestAnimationFrame(runTasks);
	timer ??= setTimeout(runTasks, HIDDEN_MS);
}

function runTasks(): void {
	if (frame !== undefined) cancelAnimationFrame(frame);
	clearTimeout(timer);
	frame = undefined;
	timer = undefined;
	// A task may ask for another one, such as notifying the listeners: that belongs to this frame.
	for (let round = 0; round < 4 && waiting.size > 0; round += 1) {
		const tasks = [...waiting];
		waiting.clear();
		for (const task of tasks) task();
	}
}

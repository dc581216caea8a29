/** One task with the next frame of the screen. */

/** Without frames, as in a worker, in milliseconds. */
const FRAME_MS = 16;
/** A page that is hidden gets no frames, in milliseconds. */
const HIDDEN_MS = 250;

export class Frame {
	readonly #task: () => void;
	#frame: number | undefined;
	#timer: ReturnType<typeof setTimeout> | undefined;
	readonly #run = (): void => {
		this.cancel();
		this.#task();
	};

	constructor(task: () => void) {
		this.#task = task;
	}

	get isRequested(): boolean {
		return this.#timer !== undefined;
	}

	/** Runs the task once, however often it is asked for. */
	request(): void {
		if (this.isRequested) return;
		const hasFrames = typeof requestAnimationFrame === "function";
		if (hasFrames) this.#frame = requestAnimationFrame(this.#run);
		this.#timer = setTimeout(this.#run, hasFrames ? HIDDEN_MS : FRAME_MS);
	}

	cancel(): void {
		if (this.#frame !== undefined) cancelAnimationFrame(this.#frame);
		clearTimeout(this.#timer);
		this.#frame = undefined;
		this.#timer = undefined;
	}
}

/** What went wrong with a client, for whoever listens, also later. */
import type { AgentwireError } from "../shared/errors.js";
import type { Reporter } from "../shared/report.js";

export class Failures {
	readonly #reporter: Reporter;
	/** Errors of the constructor wait here: nobody can listen yet. */
	#unreported: AgentwireError[] | undefined = [];
	#present: AgentwireError | undefined;
	#last: AgentwireError | undefined;

	constructor(reporter: Reporter) {
		this.#reporter = reporter;
	}

	/** Why the client is not connected, once it can be reported. */
	get present(): AgentwireError | undefined {
		return this.#unreported === undefined ? this.#present : undefined;
	}

	/** The last thing that went wrong, also after it is mended. */
	get last(): AgentwireError | undefined {
		return this.#last;
	}

	/** `lasts`: it is why the client is not connected. */
	report(error: AgentwireError, lasts: boolean): void {
		this.#last = error;
		if (lasts) this.#present = error;
		if (this.#unreported === undefined) this.#reporter.error(error);
		else this.#unreported.push(error);
	}

	/** The client is connected, or closed. */
	clear(): void {
		this.#present = undefined;
	}

	/** Reports what went wrong in the constructor as soon as somebody can listen. */
	reportLater(): void {
		const report = (): void => {
			const errors = this.#unreported ?? [];
			this.#unreported = undefined;
			for (const error of errors) this.#reporter.error(error);
		};
		if (this.#unreported?.length === 0) report();
		else queueMicrotask(report);
	}
}

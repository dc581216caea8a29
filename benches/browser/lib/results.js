/** What was measured: a value per load, client and round, and the estimates that follow. */
import { CLIENTS, CONTROL, REFERENCE } from "./clients.js";
import { estimate, paired } from "./stats.js";

/** @typedef {{ value: number, [more: string]: number }} Measured */

export class Results {
	#seed;
	/** @type {Map<string, Map<string, (Measured | undefined)[]>>} Load, client, round. */
	#values = new Map();
	/** @type {{ load: string, client: string, round: number, problem: string }[]} */
	errors = [];

	constructor(seed) {
		this.#seed = seed;
	}

	add(load, client, round, measured) {
		const clients = this.#values.get(load) ?? new Map();
		this.#values.set(load, clients);
		const rounds = clients.get(client) ?? [];
		clients.set(client, rounds);
		rounds[round] = measured;
	}

	fail(load, client, round, problem) {
		this.errors.push({ load, client, round, problem });
	}

	loads() {
		return [...this.#values.keys()];
	}

	/** The clients that were measured under `load`, in their order. */
	clients(load) {
		return CLIENTS.filter(({ id }) => this.#values.get(load)?.has(id));
	}

	rounds(load, client, field = "value") {
		const rounds = this.#values.get(load)?.get(client) ?? [];
		return Array.from(rounds, (measured) => measured?.[field]);
	}

	value(load, client) {
		return this.extra(load, client, "value");
	}

	extra(load, client, field) {
		return estimate(
			this.rounds(load, client, field).filter((value) => value !== undefined),
			this.#seed,
		);
	}

	/** Against raw of the same round, or another client. */
	ratio(load, client, reference = REFERENCE) {
		return estimate(
			paired(this.rounds(load, client), this.#references(load, client, reference), (value, other) => value / other),
			this.#seed,
		);
	}

	over(load, client, reference = REFERENCE) {
		return estimate(
			paired(this.rounds(load, client), this.#references(load, client, reference), (value, other) => value - other),
			this.#seed,
		);
	}

	/** Raw runs twice in a round: the others are compared with the mean of the two, and the two with each other. */
	#references(load, client, reference) {
		const rounds = this.rounds(load, reference);
		if (reference !== REFERENCE || client === REFERENCE || client === CONTROL) return rounds;
		const again = this.rounds(load, CONTROL);
		return rounds.map((value, round) => (value === undefined || again[round] === undefined ? value : (value + again[round]) / 2));
	}

	/** How many times our cost per event the cheapest peer needs that sends a message per event. */
	leastTokens() {
		const ratios = CLIENTS.filter(({ perMessage }) => perMessage).map(({ id }) => this.ratio("tokens", id, "agentwire"));
		return ratios.filter((ratio) => ratio !== undefined).sort((a, b) => a.point - b.point)[0];
	}

	/** Everything, for a file. */
	toJSON() {
		return this.loads().map((load) => ({
			load,
			clients: this.clients(load).map(({ id, label }) => ({
				id,
				label,
				value: this.value(load, id),
				ratio: this.ratio(load, id),
				over: this.over(load, id),
				rounds: this.#values.get(load)?.get(id),
			})),
		}));
	}
}

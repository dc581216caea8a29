/** The figures that `onMetric` gets. */

/** One figure, at the moment it arises. */
export type Metric =
	/** From the first attempt, or from the loss of the connection, to the next welcome. */
	| { readonly name: "connect_duration"; readonly unit: "ms"; readonly value: number }
	/** Events replayed by one catch-up, for each consumer of the thread. */
	| { readonly name: "replayed_events"; readonly unit: "events"; readonly value: number; readonly thread: string }
	/** Offsets lost by one gap, for each consumer of the thread; 0 when an epoch ended, because nobody knows. */
	| { readonly name: "gap_offsets"; readonly unit: "offsets"; readonly value: number; readonly thread: string }
	/** From `send` to its settling. */
	| { readonly name: "send_duration"; readonly unit: "ms"; readonly value: number }
	/** The wasm instance was replaced. */
	| { readonly name: "core_rebuilds"; readonly unit: "times"; readonly value: number };

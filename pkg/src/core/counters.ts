/** The counters of a core. They cross the border by their place in a list. */
import type { RawClient } from "./raw.js";

/** What a core has counted. Figures only grow, except those that say "now"; they begin anew when the core is replaced. */
export interface Counters {
	/** Attempts to connect. */
	readonly attempts: number;
	/** Welcomes. */
	readonly connects: number;
	/** Frames that came on the socket in use. */
	readonly framesReceived: number;
	/** Frames of an unknown type, or of a thread that is not subscribed. */
	readonly framesIgnored: number;
	/** Malformed or contradictory frames. */
	readonly malformedFrames: number;
	/** Events delivered, counted per consumer: all handlers of a thread are one, each iterator is another. */
	readonly eventsDelivered: number;
	/** Events delivered that were replays, counted per consumer. */
	readonly eventsReplayed: number;
	/** Events that came again and were dropped. */
	readonly duplicatesDropped: number;
	/** Frames that came before what precedes them. */
	readonly outOfOrder: number;
	/** Requests for events that were missing. */
	readonly replayRequests: number;
	/** Gaps that the server declared. */
	readonly gaps: number;
	/** Acknowledgements sent. */
	readonly acksSent: number;
	/** What came on a socket that was no longer in use. */
	readonly staleEvents: number;
	/** Frames that wait for what precedes them, now. */
	readonly parkedFrames: number;
	/** Sends that the core has no receipt for, now. */
	readonly sendsPending: number;
	/** Milliseconds that the server took to answer a `hello` or a `ping` last, now; 0 while not connected. */
	readonly roundTripMs: number;
}

/** In the order of `src/proto/stats.rs`, where a test compares the two. */
const COUNTERS: readonly (keyof Counters)[] = [
	"attempts",
	"connects",
	"framesReceived",
	"framesIgnored",
	"malformedFrames",
	"eventsDelivered",
	"eventsReplayed",
	"duplicatesDropped",
	"outOfOrder",
	"replayRequests",
	"gaps",
	"acksSent",
	"staleEvents",
	"parkedFrames",
	"sendsPending",
	"roundTripMs",
];

/** Reads the counters of a core; all are 0 where there is none. */
export function countersOf(raw: RawClient | undefined): Counters {
	return Object.fromEntries(COUNTERS.map((name, place) => [name, raw?.counter(place) ?? 0])) as unknown as Counters;
}

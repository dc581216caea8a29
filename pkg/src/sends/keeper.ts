/** What keeps the outbox beyond the life of the page: `agentwire/persist` has one. Without one, letters go out as they come. */
import type { RawEventsFrame } from "../core/raw.js";
import type { Seat, Stream } from "../thread/stream.js";
import type { Letter } from "./letter.js";
import type { Receipt } from "./receipt.js";

/** Keeps the letters of one client. Nothing here throws, and none of it is called after `end`. */
export interface Keeper {
	/** The user is known. Called again with the same name when the server names it. */
	user(name: string): void;
	/** The client is connected now, or is no more. */
	connected(connected: boolean): void;
	/** The outbox has taken a letter. It waits for `outbox.release`. */
	take(letter: Letter): void;
	/** A letter is settled, by its receipt or by the code of an error. */
	settled(letter: Letter, receipt: Receipt | undefined, code: string | undefined): void;
	/** Does the page still show a message that is settled? */
	keeps(id: string): boolean;
	/** The application wants a message no more. */
	forget(id: string): void;
	/** A consumer got `take` events of a frame, the first at index `skip` and at `offset`. */
	delivered(seat: Seat, frame: RawEventsFrame, skip: number, take: number, offset: number): void;
	/** A consumer of the stream may be at another place. */
	moved(stream: Stream): void;
	/** The client has ended. */
	end(): void;
}

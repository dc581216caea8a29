/** What this page tells the others in a thread (SIG-1), checked where the caller reads the error. */
import { AgentwireError } from "../shared/errors.js";
import { isSized } from "../shared/names.js";
import { copyOf } from "./content.js";

/** Longest `type` of a signal, in bytes. */
const MAX_TYPE_BYTES = 64;
/** Largest signal, in bytes of its JSON. */
const MAX_SIGNAL_BYTES = 4_096;

/** A copy of a signal. Throws `invalid_message` and `message_too_large`. */
export function signalOf(given: unknown): object {
	const signal = copyOf("signal", given);
	if (!isSized(signal["type"], MAX_TYPE_BYTES))
		throw new AgentwireError("invalid_message", `the type of a signal must be a text of 1 to ${MAX_TYPE_BYTES} bytes`);
	const { length } = new TextEncoder().encode(JSON.stringify(signal));
	if (length > MAX_SIGNAL_BYTES) throw new AgentwireError("message_too_large", `the signal has ${length} bytes of JSON, it may have ${MAX_SIGNAL_BYTES}`);
	return signal;
}

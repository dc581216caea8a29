/** What the threads of a client need of it, and how a client ended. */
import { AgentwireError } from "../shared/errors.js";
import type { HandleContext } from "../thread/handle.js";

/** How a client ended. */
export interface Over {
	readonly name: "closed" | "failed";
	readonly reason: AgentwireError;
	/** What iterators reject with; those of a closed client end. */
	readonly error: AgentwireError | undefined;
}

/** The context of the client's handles; `over` says how the client ended, if it has. */
export function handleContext(parts: Omit<HandleContext, "check" | "over"> & { readonly over: () => Over | undefined }): HandleContext {
	const { supervisor, outbox, reporter, nextId, owner, over } = parts;
	return {
		supervisor,
		outbox,
		reporter,
		nextId,
		owner,
		get over() {
			return over();
		},
		check: () => {
			const ended = over();
			if (ended === undefined) return;
			const { name, reason } = ended;
			throw new AgentwireError("closed", name === "failed" ? `the client has failed with ${reason.code}: ${reason.message}` : reason.message, {
				cause: reason,
			});
		},
	};
}

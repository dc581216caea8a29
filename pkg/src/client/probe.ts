/** Asks by HTTP why a socket did not open: a browser tells a page nothing about a refused handshake. */
import { AgentwireError } from "../shared/errors.js";

/** How long the answer may take, in milliseconds. */
const PATIENCE_MS = 5_000;

/** Answers of a server that would take a handshake: it misses what only a handshake has. */
const HEALTHY: readonly number[] = [200, 204, 400, 426];

/** An error that says what answers at the address, or `undefined`: nothing does, or the server seems well. */
export async function probe(socketUrl: string): Promise<AgentwireError | undefined> {
	const url = socketUrl.replace(/^ws/, "http");
	// Without CORS a browser follows redirects or fails.
	const ask = async (mode: "cors" | "no-cors"): Promise<number> =>
		(
			await fetch(url, {
				mode,
				credentials: "omit",
				cache: "no-store",
				redirect: mode === "cors" ? "manual" : "follow",
				signal: AbortSignal.timeout(PATIENCE_MS),
			})
		).status;
	let status: number;
	try {
		// Of another origin the status is hidden, unless the server shows it.
		status = await ask("cors").catch(async () => ask("no-cors"));
	} catch {
		return undefined;
	}
	if (HEALTHY.includes(status)) return undefined;
	const what = status === 0 ? "something answers at the address but opens no socket" : `the server answered ${status} in place of a socket`;
	return new AgentwireError("upgrade_refused", what, { retryable: true });
}

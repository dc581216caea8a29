/**
 * A delay line: a TCP proxy that holds every byte back for half a round trip in each direction, and a new connection for a whole one
 * more (its handshake). It limits no bandwidth: what comes is read at once, whatever waits.
 *
 * A process of its own: `node delay-line.js ROUND_TRIP_MS PORT`. Says by IPC where it listens.
 */
import { fork } from "node:child_process";
import { connect, createServer } from "node:net";
import { fileURLToPath } from "node:url";

/** Passes on what `from` says to `to`, `delay` milliseconds later, and nothing before `earliest`. */
function pass(from, to, delay, earliest) {
	/** @type {{ at: number, act: () => void }[]} */
	const queue = [];
	let armed = false;
	const later = (act) => {
		queue.push({ at: Math.max(performance.now(), earliest) + delay, act });
		if (!armed) arm();
	};
	const arm = () => {
		armed = queue.length > 0;
		// Timers count whole milliseconds and never come early.
		if (armed) setTimeout(release, Math.max(0, Math.floor(queue[0].at - performance.now())));
	};
	const release = () => {
		const now = performance.now();
		let due = 0;
		while (due < queue.length && queue[due].at <= now + 0.5) queue[due++].act();
		queue.splice(0, due);
		arm();
	};
	from.on("data", (chunk) => later(() => to.writable && to.write(chunk)));
	from.on("end", () => later(() => to.end()));
	from.on("close", () => later(() => to.destroySoon()));
	from.on("error", () => undefined);
}

/** Starts a delay line in this process. Resolves with its port. */
export function listen(roundTrip, port) {
	return new Promise((resolve, reject) => {
		const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
			const upstream = connect({ port, host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
			const established = performance.now() + roundTrip;
			pass(client, upstream, roundTrip / 2, established);
			pass(upstream, client, roundTrip / 2, established);
		});
		server.on("error", reject);
		server.listen(0, "127.0.0.1", () => resolve({ port: /** @type {import("node:net").AddressInfo} */ (server.address()).port, close: () => server.close() }));
	});
}

/** Starts a delay line in a process of its own. Resolves with its port and the process. */
export function start(roundTrip, port) {
	return new Promise((resolve, reject) => {
		const child = fork(fileURLToPath(import.meta.url), [String(roundTrip), String(port)], { stdio: ["ignore", "ignore", "inherit", "ipc"] });
		child.once("message", (/** @type {any} */ message) => resolve({ child, port: message.port }));
		child.once("exit", (code) => reject(new Error(`the delay line ended with ${code}`)));
	});
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
	const { port } = await listen(Number(process.argv[2]), Number(process.argv[3]));
	process.send?.({ port });
	process.on("disconnect", () => process.exit());
	process.on("SIGINT", () => undefined);
}

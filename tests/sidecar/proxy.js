// The network between pages and server: a TCP proxy whose connections can be cut.
import { connect, createServer } from "node:net";

/** Listens, and forwards to `port`. */
export function proxy(port) {
	const sockets = new Set();
	let moved = 0;
	const server = createServer((near) => {
		const far = connect(port, "127.0.0.1");
		const pair = { near, far };
		sockets.add(pair);
		const end = () => {
			sockets.delete(pair);
			near.destroy();
			far.destroy();
		};
		far.on("data", () => (moved += 1));
		for (const socket of [near, far]) socket.setNoDelay(true).on("error", end).on("close", end);
		near.pipe(far);
		far.pipe(near);
	});
	return new Promise((resolve) => {
		server.listen(0, "127.0.0.1", () => {
			resolve({
				port: server.address().port,
				/** Pieces that came from the server. */
				moved: () => moved,
				/** Resets every connection. */
				cut() {
					for (const { near, far } of sockets) {
						near.resetAndDestroy();
						far.destroy();
					}
				},
				close: () => server.close(),
			});
		});
	});
}

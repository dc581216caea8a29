/**
 * A socket.io server with connection state recovery, and publishers in its process. It is started and spoken to as the bridge's stand
 * is (`proof/stand`): it prints `listening on http://127.0.0.1:PORT`, `POST /load/publish` publishes and answers when everything is
 * published. A page joins the room that its query names as `stream`.
 */
import { createServer } from "node:http";
import { Server } from "./peers.js";

const FILLER = "the agent reads the notes of the station and compares what the log says with what the page has shown ".repeat(10);

/** Events that each room has had. */
const counts = new Map();

const http = createServer(async (request, response) => {
	if (request.method !== "POST" || request.url !== "/load/publish") return void response.writeHead(404).end();
	let body = "";
	for await (const part of request) body += part;
	const published = await publish(JSON.parse(body));
	response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ published }));
});

const io = new Server(http, {
	serveClient: false,
	transports: ["websocket"],
	perMessageDeflate: false,
	connectionStateRecovery: { maxDisconnectionDuration: 120_000, skipMiddlewares: true },
});
io.on("connection", (socket) => void socket.join(String(socket.handshake.query["stream"])));

/** The text of an event: its number, when it was published on the clock of the machine, and filler (`proof/crowd/src/stamp.rs`). */
function text(n, bytes) {
	const head = `${n} ${process.hrtime.bigint()} `;
	return head + FILLER.slice(0, Math.max(0, bytes - head.length));
}

/** Publishes `events` to each stream, `perSecond` each; the beginnings of their intervals are spread evenly. One that is late catches up. */
function publish({ streams, events, perSecond, bytes }) {
	const begin = performance.now();
	const interval = 1_000 / perSecond;
	/** In the order in which they are due: number k is event k / streams of stream k % streams. */
	let next = 0;
	const total = streams * events;
	return new Promise((resolve) => {
		const turn = () => {
			const due = Math.min(total, Math.floor(((performance.now() - begin) / interval) * streams) + 1);
			for (; next < due; next += 1) emit(String(next % streams), bytes);
			if (next < total) setTimeout(turn, 1);
			else resolve(total);
		};
		turn();
	});
}

function emit(room, bytes) {
	const n = (counts.get(room) ?? 0) + 1;
	counts.set(room, n);
	const event = { type: "message_delta", runId: "run-7f3a90c1", messageId: "message-0b7c2d44", time: Date.now(), text: text(n, bytes) };
	io.to(room).emit("event", event);
}

process.once("SIGTERM", () => io.close(() => process.exit(0)));

http.listen(0, "127.0.0.1", () => {
	const { port } = /** @type {import("node:net").AddressInfo} */ (http.address());
	console.log(`listening on http://127.0.0.1:${port}`);
});

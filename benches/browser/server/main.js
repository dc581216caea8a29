/**
 * The server of the benchmark, a process of its own: serves the pages, speaks the clients' protocols, and writes frames that were
 * encoded before.
 *
 * The driver tells it by IPC what a run is: `prepare` (what to encode), `go` (send so many events at such a pace), `forget`. It tells
 * the driver: `subscribed`, `sent`, `report` (what a page found), `failed`.
 */
import { createServer } from "node:http";
import { Server as SocketIoServer } from "socket.io";
import { WebSocketServer } from "ws";
import { Run } from "./run.js";
import { serve } from "./site.js";

const [, , pages] = process.argv;
/** @type {Map<string, Run>} */
const runs = new Map();
const tell = (message) => process.connected && process.send?.(message);

const http = createServer((request, response) => {
	const report = request.method === "POST" && /^\/report\/(\d+)$/.exec(request.url ?? "");
	if (!report) return serve(pages, request, response);
	let body = "";
	request.on("data", (part) => (body += part));
	request.on("end", () => {
		tell({ type: "report", run: report[1], result: JSON.parse(body) });
		response.writeHead(204).end();
	});
});
http.keepAliveTimeout = 60_000;

const sockets = new WebSocketServer({
	noServer: true,
	perMessageDeflate: false,
	// The first that is offered: agentwire.v1, phoenix, centrifuge-json.
	handleProtocols: (offered) => [...offered][0] ?? false,
});

http.on("upgrade", (request, socket, head) => {
	const url = new URL(request.url ?? "/", "http://localhost");
	if (url.pathname.startsWith("/socketio/")) return;
	const run = runs.get(runOf(url));
	if (run === undefined) return void socket.destroy();
	sockets.handleUpgrade(request, socket, head, (webSocket) => {
		socket.setNoDelay(true);
		const session = run.connected({
			send: (text) => webSocket.send(text, { binary: false, compress: false }),
			buffered: () => webSocket.bufferedAmount,
		});
		webSocket.on("message", (data) => {
			run.guard(() => session.received(data.toString()));
			run.wake();
		});
		webSocket.on("close", (code) => run.closed(code));
		webSocket.on("error", () => undefined);
		run.guard(() => session.opened());
	});
});

/** The number of the run: a part of the path, or, where a client knows no path of its own, a parameter. */
function runOf(url) {
	return url.searchParams.get("run") ?? url.pathname.split("/").find((part) => /^\d+$/.test(part)) ?? "";
}

const io = new SocketIoServer(http, { path: "/socketio/", serveClient: false, transports: ["websocket"], perMessageDeflate: false });
io.on("connection", (socket) => {
	const run = runs.get(String(socket.handshake.query["run"]));
	if (run === undefined) return void socket.disconnect(true);
	let buffered = 0;
	run.connected({
		// The frames are packets as texts, so the real server sends what was encoded before; Engine.IO adds its own first byte.
		send(frame) {
			buffered += frame.length;
			socket.conn.send(frame.subarray(1).toString("latin1"), {}, () => (buffered -= frame.length));
		},
		buffered: () => buffered,
	});
	socket.on("disconnect", () => run.closed(0));
	run.subscribed();
});

process.on("message", (/** @type {any} */ message) => {
	if (message.type === "prepare") {
		const run = new Run(message.run, message.plan, tell);
		runs.set(message.run, run);
		run.encode().then(() => tell({ type: "prepared", run: message.run }));
	} else if (message.type === "go") {
		runs.get(message.run)?.go(message.count, message.pace);
	} else if (message.type === "forget") {
		runs.get(message.run)?.forget();
		runs.delete(message.run);
	}
});
// The driver is gone: nobody needs this server.
process.on("disconnect", () => process.exit());
process.on("SIGINT", () => undefined);

http.listen(0, "127.0.0.1", () => tell({ type: "listening", port: /** @type {import("node:net").AddressInfo} */ (http.address()).port }));

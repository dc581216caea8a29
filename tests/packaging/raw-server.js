// A server of agentwire.v1 that can stop to read: it welcomes a page, keeps the frames in their order, and answers sends.
import { createHash } from "node:crypto";
import { EventEmitter, once } from "node:events";
import { createServer } from "node:http";

const WELCOME = { type: "welcome", session: "s1", subject: "ada", heartbeatMs: 300_000, maxFrameBytes: 16_777_216, maxStreams: 64, sendHorizonMs: 86_400_000 };

/** Starts it on the loopback. */
export async function rawServer() {
	const told = new EventEmitter();
	const frames = [];
	let socket;
	const server = createServer();
	server.on("upgrade", (request, upgraded) => {
		socket = upgraded;
		const accept = createHash("sha1").update(`${request.headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
		socket.write(
			`HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: ${accept}\r\nsec-websocket-protocol: agentwire.v1\r\n\r\n`,
		);
		socket.on("error", () => undefined);
		readFrames(socket, (text) => {
			const frame = JSON.parse(text);
			if (frame.type === "hello") say(WELCOME);
			if (!["send", "approve"].includes(frame.type)) return;
			const { id, stream } = frame;
			frames.push(id.startsWith("m") ? id : frame.type);
			const decision = frame.type === "approve" ? { decision: frame.decision } : {};
			say({ type: "receipt", id, stream, status: "accepted", position: { epoch: "e1", offset: frames.length }, ...decision });
			told.emit("frame");
		});
	});
	const say = (frame) => {
		const body = Buffer.from(JSON.stringify(frame));
		const length = body.length < 126 ? Buffer.from([0x81, body.length]) : Buffer.from([0x81, 126, body.length >> 8, body.length & 255]);
		socket.write(Buffer.concat([length, body]));
	};
	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	return {
		address: `ws://127.0.0.1:${server.address().port}/`,
		/** The keys of the messages that came, and the types of what else was sent, in their order. */
		frames,
		stopReading: () => socket.pause(),
		goOn: () => socket.resume(),
		/** Waits until so many of them are here. */
		async received(count, signal) {
			while (frames.length < count) await once(told, "frame", { signal });
		},
		close() {
			socket?.destroy();
			return new Promise((resolve) => server.close(resolve));
		},
	};
}

/** Reads the messages of a page: its bytes are masked, and a browser divides a large message into several frames. */
function readFrames(socket, take) {
	let message = [];
	let parts = [];
	let held = 0;
	let wanted = 2;
	socket.on("data", (part) => {
		parts.push(part);
		held += part.length;
		while (held >= wanted) {
			const bytes = Buffer.concat(parts);
			const frame = frameIn(bytes);
			if (typeof frame === "number") {
				[parts, wanted] = [[bytes], frame];
				continue;
			}
			[parts, held, wanted] = [[bytes.subarray(frame.end)], bytes.length - frame.end, 2];
			// What is no data, such as a close, is of no interest here.
			if (frame.opcode > 1) continue;
			message.push(frame.body);
			if (!frame.isLast) continue;
			take(Buffer.concat(message).toString());
			message = [];
		}
	});
}

/** The frame at the beginning of `bytes`, or how many bytes are needed to go on. */
function frameIn(bytes) {
	if (bytes.length < 2) return 2;
	const short = bytes[1] & 127;
	const start = { 126: 4, 127: 10 }[short] ?? 2;
	if (bytes.length < start + 4) return start + 4;
	const length = { 126: () => bytes.readUInt16BE(2), 127: () => Number(bytes.readBigUInt64BE(2)) }[short]?.() ?? short;
	const end = start + 4 + length;
	if (bytes.length < end) return end;
	const body = Buffer.from(bytes.subarray(start + 4, end));
	for (let at = 0; at < length; at += 1) body[at] ^= bytes[start + (at & 3)];
	return { opcode: bytes[0] & 15, isLast: bytes[0] > 127, body, end };
}
